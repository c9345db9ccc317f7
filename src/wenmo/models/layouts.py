"""Transformers as Hugging Face names them: config.json and tensors of Qwen3, Llama and GPT-2, both ways."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from wenmo.errors import ModelError
from wenmo.models.transformer_config import TransformerConfig

CLASSES = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM", "gpt2": "GPT2LMHeadModel"}
"""Layout (`model_type` in config.json) -> class in `transformers`."""


def config_to_hugging_face(config: TransformerConfig) -> dict[str, Any]:
    """Returns the content of config.json for `transformers`.

    The longest text it names is the context the model was trained with.
    """
    common = {
        "architectures": [CLASSES[config.layout]],
        "model_type": config.layout,
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied,
        "dtype": "float32",
    }
    if config.layout == "gpt2":
        return {
            **common,
            "n_embd": config.width,
            "n_layer": config.layers,
            "n_head": config.heads,
            "n_inner": config.ffn,
            "n_positions": config.context_length,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": config.norm_epsilon,
            "embd_pdrop": config.dropout,
            "resid_pdrop": config.dropout,
            "attn_pdrop": 0.0,
        }
    return {
        **common,
        "hidden_size": config.width,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_bias": False,
        "attention_dropout": 0.0,
    }


def config_from_hugging_face(data: dict[str, Any]) -> TransformerConfig:
    """Reads a config.json that `transformers` wrote.

    Raises:
        ModelError: When the model type is another one, or a setting has no counterpart here.
    """
    layout = data.get("model_type")
    if layout not in CLASSES:
        known = ", ".join(CLASSES)
        raise ModelError(f"config.json: model type {layout!r} is not supported; this version reads {known}")
    _refuse_variants(layout, data)
    try:
        return _read_gpt2(data) if layout == "gpt2" else _read_rotary(layout, data)
    except KeyError as error:
        raise ModelError(f"config.json: {error.args[0]} is missing") from error
    except ValidationError as error:
        raise ModelError(f"config.json: {error.errors()[0]['msg']}") from error


def _refuse_variants(layout: str, data: dict[str, Any]) -> None:
    """Raises where a setting changes the computation in a way that is not implemented."""
    plain: dict[str, tuple[Any, ...]]
    if layout == "gpt2":
        plain = {
            "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
            "scale_attn_weights": (True,),
            "scale_attn_by_inverse_layer_idx": (False,),
            "add_cross_attention": (False,),
        }
    else:
        plain = {
            "hidden_act": ("silu",),
            "attention_bias": (False,),
            "mlp_bias": (False,),
            "use_sliding_window": (False,),
        }
    for name, accepted in plain.items():
        if data.get(name, accepted[0]) not in accepted:
            raise ModelError(
                f"config.json: {name} = {data[name]!r} is not supported; only {accepted[0]!r} is"
            )
    scaling = data.get("rope_scaling") or data.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind != "default":
        raise ModelError(f"config.json: rotary scaling {kind!r} is not supported; only 'default' is")


def _read_gpt2(data: dict[str, Any]) -> TransformerConfig:
    heads, width = data["n_head"], data["n_embd"]
    return TransformerConfig(
        layout="gpt2",
        vocab_size=data["vocab_size"],
        context_length=data.get("n_positions", 1024),
        layers=data["n_layer"],
        width=width,
        heads=heads,
        kv_heads=heads,
        head_size=width // heads,
        ffn=data.get("n_inner") or 4 * width,
        dropout=data.get("resid_pdrop", 0.1),
        tied=data.get("tie_word_embeddings", True),
        norm_epsilon=data.get("layer_norm_epsilon", 1e-5),
    )


def _read_rotary(layout: Any, data: dict[str, Any]) -> TransformerConfig:
    heads, width = data["num_attention_heads"], data["hidden_size"]
    theta = data.get("rope_theta") or (data.get("rope_parameters") or {}).get("rope_theta")
    return TransformerConfig(
        layout=layout,
        vocab_size=data["vocab_size"],
        context_length=data["max_position_embeddings"],
        layers=data["num_hidden_layers"],
        width=width,
        heads=heads,
        kv_heads=data.get("num_key_value_heads") or heads,
        head_size=data.get("head_dim") or (128 if layout == "qwen3" else width // heads),
        ffn=data["intermediate_size"],
        tied=data.get("tie_word_embeddings", False),
        rope_theta=theta or 10000.0,
        norm_epsilon=data.get("rms_norm_eps", 1e-6),
    )


def _names(config: TransformerConfig) -> list[tuple[str, tuple[str, ...]]]:
    """Pairs our tensor with those of `transformers` that are stacked in it (by rows)."""
    gpt2 = config.layout == "gpt2"
    root = "transformer" if gpt2 else "model"
    pairs: list[tuple[str, tuple[str, ...]]] = [
        ("embedding.weight", (f"{root}.wte.weight" if gpt2 else f"{root}.embed_tokens.weight",)),
        ("final_norm.weight", (f"{root}.ln_f.weight" if gpt2 else f"{root}.norm.weight",)),
    ]
    if not config.tied:
        pairs.append(("output.weight", ("lm_head.weight",)))
    block: dict[str, tuple[str, ...]]
    if gpt2:
        pairs += [
            ("position.weight", (f"{root}.wpe.weight",)),
            ("final_norm.bias", (f"{root}.ln_f.bias",)),
        ]
        block = {
            "attention_norm": ("ln_1",),
            "attention.qkv": ("attn.c_attn",),
            "attention.out": ("attn.c_proj",),
            "ffn_norm": ("ln_2",),
            "ffn.up": ("mlp.c_fc",),
            "ffn.down": ("mlp.c_proj",),
        }
    else:
        block = {
            "attention_norm": ("input_layernorm",),
            "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            "attention.out": ("self_attn.o_proj",),
            "ffn_norm": ("post_attention_layernorm",),
            "ffn.up": ("mlp.gate_proj", "mlp.up_proj"),
            "ffn.down": ("mlp.down_proj",),
        }
        if config.layout == "qwen3":
            block["attention.query_norm"] = ("self_attn.q_norm",)
            block["attention.key_norm"] = ("self_attn.k_norm",)
    layers = f"{root}.h" if gpt2 else f"{root}.layers"
    for layer in range(config.layers):
        for ours, theirs in block.items():
            for kind in ("weight", "bias") if gpt2 else ("weight",):
                parts = tuple(f"{layers}.{layer}.{part}.{kind}" for part in theirs)
                pairs.append((f"blocks.{layer}.{ours}.{kind}", parts))
    return pairs


def _rows(config: TransformerConfig, ours: str) -> list[int]:
    """Rows of each matrix stacked in one of our tensors."""
    if ours.endswith("attention.qkv.weight"):
        keys = config.kv_heads * config.head_size
        return [config.heads * config.head_size, keys, keys]
    return [config.ffn, config.ffn]


def _transposed(config: TransformerConfig, ours: str) -> bool:
    """Whether `transformers` stores this matrix as (inputs, outputs), as GPT-2's Conv1D does."""
    return config.layout == "gpt2" and "norm" not in ours and ours.startswith("blocks") and "weight" in ours


def to_hugging_face(config: TransformerConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Renames, cuts and turns our tensors into those of `transformers` (copies where anything changes)."""
    found: dict[str, Tensor] = {}
    for ours, theirs in _names(config):
        tensor = tensors[ours].T if _transposed(config, ours) else tensors[ours]
        parts = [tensor] if len(theirs) == 1 else list(torch.split(tensor, _rows(config, ours)))
        for name, part in zip(theirs, parts, strict=True):
            found[name] = part if part is tensors[ours] else part.clone(memory_format=torch.contiguous_format)
    return found


def from_hugging_face(config: TransformerConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turns the tensors of `transformers` into ours; undoes `to_hugging_face`.

    A missing `transformer.` or `model.` prefix, the causal masks that old GPT-2 files hold, and a tied output
    layer that is stored again are accepted.

    Raises:
        ValueError: When a tensor is missing or unknown.
    """
    root = "transformer." if config.layout == "gpt2" else "model."
    rest = {}
    for name, tensor in tensors.items():
        full = name if name.startswith((root, "lm_head.")) else root + name
        if not full.endswith((".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")):
            rest[full] = tensor
    if config.tied:
        rest.pop("lm_head.weight", None)
    found: dict[str, Tensor] = {}
    for ours, theirs in _names(config):
        missing = [name for name in theirs if name not in rest]
        if missing:
            raise ValueError(f"tensor {missing[0]} is missing")
        parts = [rest.pop(name) for name in theirs]
        tensor = parts[0] if len(parts) == 1 else torch.cat(parts)
        found[ours] = tensor.T if _transposed(config, ours) else tensor
    if rest:
        raise ValueError(f"tensor {min(rest)} is unknown")
    return found
