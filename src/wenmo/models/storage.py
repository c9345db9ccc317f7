"""Saved models: a directory that holds a model, its tokenizer, and what they were made from.

| file | content |
|---|---|
| `config.json` | shape, as `transformers` reads it (a Transformer) or with `model_type: wenmo-...` |
| `model.safetensors` | all tensors |
| `tokenizer.json`, `tokenizer_config.json` | tokenizer |
| `generation_config.json` | how to draw text, as `transformers` reads it |
| `wenmo.json` | format version, shape, generation settings, versions, and the caller's information |
| `README.md` | model card |
| `members/NAME/` | the models inside a mixture, each a directory like this one |

Nothing in such a directory is ever executed, and pickle files are not read. `saving` writes such a directory;
this module reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from wenmo.config import GenerationSettings
from wenmo.errors import ModelError, WenmoError
from wenmo.models.base import LanguageModel, ModelConfig
from wenmo.models.layouts import CLASSES, config_from_hugging_face
from wenmo.models.registry import model_class, parse_config
from wenmo.models.saving import FORMAT_VERSION, checked_name, save_model
from wenmo.tokenization.tokenizer import Tokenizer

__all__ = ["LoadedModel", "load_model", "save_model"]

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class LoadedModel:
    """A model read from disk, ready for use.

    Attributes:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer; None when it was saved without, or a foreign one cannot be read.
        info: What was saved with it: recipe, corpus, metrics. Empty for a foreign directory.
        generation: Generation settings saved with it, or the defaults.
        directory: Where it was read from.
    """

    model: LanguageModel
    tokenizer: Tokenizer | None
    info: dict[str, Any]
    generation: GenerationSettings
    directory: Path


def load_model(directory: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Reads a model directory that `save_model` wrote, or a Qwen3, Llama or GPT-2 of Hugging Face.

    Args:
        directory: Where from.
        device: Where the tensors go.

    Returns:
        The model in evaluation mode, with its tokenizer and settings.

    Raises:
        ModelError: When the directory or a file is missing, damaged, of another version or architecture, or
            when the tensors do not fit the shape.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ModelError(f"there is no model directory {folder}; give the folder that training wrote")
    if (folder / "wenmo.json").exists():
        return _load_own(folder, device)
    if (folder / "config.json").exists():
        return _load_foreign(folder, device)
    if (folder / "task.json").exists():
        raise ModelError(
            f"{folder} holds an application, not a language model; its README.md says what it is for"
        )
    raise ModelError(f"{folder} is not a model directory: it has neither wenmo.json nor config.json")


def _load_own(folder: Path, device: str | torch.device) -> LoadedModel:
    data = read_json(folder / "wenmo.json")
    found = data.get("format_version")
    if found != FORMAT_VERSION:
        raise ModelError(
            f"{folder} has format version {found}, and this version of wenmo reads {FORMAT_VERSION}; "
            "use the version of wenmo that wrote it, or train again"
        )
    for name, kind in (("config", dict), ("generation", dict), ("info", dict), ("members", list)):
        if not isinstance(data.get(name), kind):
            raise ModelError(f"{folder / 'wenmo.json'} is damaged: {name!r} is missing; copy the model again")
    try:
        config = parse_config(data["config"])
        generation = GenerationSettings.model_validate(data["generation"])
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    except ValidationError as error:
        raise ModelError(f"{folder / 'wenmo.json'}: generation: {error.errors()[0]['msg']}") from error
    members = {
        name: load_model(folder / "members" / checked_name(str(name)), device).model
        for name in data["members"]
    }
    model = _restore(folder, config, members, device)
    tokenizer = None
    if data.get("tokenizer") is not None:
        if not (folder / "tokenizer.json").exists():
            raise ModelError(f"{folder / 'tokenizer.json'} is missing; copy the whole model directory")
        tokenizer = _load_tokenizer(folder, model)
        if tokenizer.fingerprint != data["tokenizer"]:
            raise ModelError(f"{folder}: the tokenizer is not the one the model was trained with; copy both")
    return LoadedModel(model, tokenizer, data["info"], generation, folder)


def _load_foreign(folder: Path, device: str | torch.device) -> LoadedModel:
    data = read_json(folder / "config.json")
    kind = str(data.get("model_type"))
    if kind.startswith("wenmo-"):
        raise ModelError(f"{folder / 'wenmo.json'} is missing; copy the whole model directory")
    if kind not in CLASSES:
        raise ModelError(f"{folder}: unknown architecture {kind!r}; this version reads {', '.join(CLASSES)}")
    try:
        config = config_from_hugging_face(data)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    model = _restore(folder, config, {}, device)
    try:
        tokenizer = _load_tokenizer(folder, model)
    except WenmoError:
        tokenizer = None  # another kind of tokenizer: the model can still be scored and exported by ids
    return LoadedModel(model, tokenizer, {}, GenerationSettings(), folder)


def _restore(
    folder: Path, config: ModelConfig, members: dict[str, LanguageModel], device: str | torch.device
) -> LanguageModel:
    tensors = _read_tensors(folder)
    architecture: Any = getattr(config, "architecture", None)
    try:
        model = model_class(architecture).restore(config, tensors, members)
    except ValueError as error:
        raise ModelError(f"{folder}: the weights do not fit the shape: {error}") from error
    return model.to(device).eval()


def _load_tokenizer(folder: Path, model: LanguageModel) -> Tokenizer:
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > model.vocab_size:
        raise ModelError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens and the model {model.vocab_size}; "
            "they do not belong together"
        )
    return tokenizer


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object of a model directory.

    Raises:
        ModelError: When it is missing, damaged or no object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path} is damaged ({error}); copy the model again") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} is damaged: it is not a JSON object; copy the model again")
    return data


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    """Reads model.safetensors, or the shards that model.safetensors.index.json names."""
    single = folder / "model.safetensors"
    index = folder / "model.safetensors.index.json"
    paths = [single]
    if not single.exists() and index.exists():
        shards = read_json(index).get("weight_map")
        if not isinstance(shards, dict):
            raise ModelError(f"{index} is damaged: 'weight_map' is missing; copy the model again")
        paths = [folder / checked_name(str(name)) for name in sorted(set(shards.values()))]
    tensors: dict[str, Tensor] = {}
    for path in paths:
        if not path.exists():
            pickles = sorted(found.name for pattern in _PICKLES for found in folder.glob(pattern))
            if pickles:
                raise ModelError(
                    f"{folder} has no {path.name}, and {pickles[0]} may be a pickle, which can run code "
                    "and is not read; convert it to safetensors"
                )
            raise ModelError(f"{path} is missing; copy the whole model directory")
        try:
            tensors.update(safetensors.torch.load_file(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"{path} is damaged or truncated ({error}); copy the model again") from error
    return tensors
