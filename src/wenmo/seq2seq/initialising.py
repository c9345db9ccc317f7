"""Beginning with a language model that was trained on raw text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from wenmo.errors import ModelError, OptionError
from wenmo.models.base import LanguageModel
from wenmo.models.storage import load_model
from wenmo.seq2seq.base import Seq2SeqModel
from wenmo.tokenization.tokenizer import Tokenizer


def open_base(directory: Path, architecture: str) -> tuple[LanguageModel, Tokenizer]:
    """Opens a language model to begin with: the model itself, or the fitting member of a mixture.

    Args:
        directory: Its folder.
        architecture: Wanted architecture; `auto` takes what there is, a Transformer first.

    Raises:
        ModelError: When the folder holds no such model.
        OptionError: When an encoder-decoder cannot begin with it.
    """
    loaded = load_model(directory)
    members = [loaded.model, *loaded.model.saved_members().values()]
    names = {getattr(m, "architecture", ""): m for m in reversed(members)}
    wanted = ("transformer", "lstm", "gru") if architecture == "auto" else (architecture,)
    model = next((names[name] for name in wanted if name in names), None)
    if model is None:
        raise OptionError(
            f"--from {directory}: it holds {', '.join(sorted(names))}, and translation can begin with "
            f"{' or '.join(wanted)}; train one on your text, or leave --from out"
        )
    if getattr(model.config, "layout", "") == "gpt2":
        raise OptionError(
            f"--from {directory}: layers in the layout gpt2 do not fit the translation model; "
            "train the language model with --model.layout qwen3 or llama"
        )
    if loaded.tokenizer is None:
        raise ModelError(f"--from {directory}: it has no tokenizer; copy the whole model directory")
    return model, loaded.tokenizer


def base_shape(model: LanguageModel) -> dict[str, Any]:
    """Returns the fields of an encoder-decoder configuration that layers of this language model fit into."""
    config: Any = model.config
    if model.architecture == "transformer":
        names = ("width", "heads", "kv_heads", "head_size", "ffn", "rope_theta", "norm_epsilon")
        layers = {"encoder_layers": config.layers, "decoder_layers": config.layers}
        fixed = {"positions": "rotary", "qk_norm": config.layout == "qwen3", "embedding_scale": 1.0}
        return {name: getattr(config, name) for name in names} | layers | fixed
    return {name: getattr(config, name) for name in ("layers", "embedding_size", "hidden_size")}


@torch.no_grad()
def begin_with(model: Seq2SeqModel, base: LanguageModel) -> float:
    """Copies the embeddings and layers of a language model into an encoder-decoder model of its shape.

    A Transformer's layers go into the encoder and the decoder; recurrent layers into the decoder. Attention to the
    source, and the tokens that say the direction, stay random.

    Args:
        model: Built with `base_shape(base)`.
        base: The language model.

    Returns:
        Share of the model's parameters that were copied.
    """
    table = base.get_submodule("embedding")
    own = model.get_submodule("embedding")
    assert isinstance(table, nn.Embedding) and isinstance(own, nn.Embedding)
    rows = min(len(own.weight), len(table.weight))
    own.weight.normal_(std=float(table.weight.std()))
    own.weight[:rows] = table.weight[:rows]
    copied = rows * table.weight.shape[1]
    transformer = base.architecture == "transformer"
    given = dict(base.get_submodule("blocks" if transformer else "layers").named_parameters())
    for stack in ("encoder", "decoder") if transformer else ("decoder",):
        for name, parameter in model.get_submodule(stack).named_parameters():
            if name in given and given[name].shape == parameter.shape:
                parameter.copy_(given[name])
                copied += parameter.numel()
    if transformer:
        norm = base.get_parameter("final_norm.weight")
        for name in ("norm", "encoder_norm"):
            model.get_parameter(f"{name}.weight").copy_(norm)
            copied += norm.numel()
    return copied / model.num_parameters()
