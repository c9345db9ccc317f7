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

Nothing in such a directory is ever executed, and pickle files are not read.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from wenmo.config import GenerationSettings
from wenmo.errors import ModelError, WenmoError
from wenmo.files import atomic_directory
from wenmo.models.base import LanguageModel, ModelConfig
from wenmo.models.layouts import CLASSES, config_from_hugging_face
from wenmo.models.registry import model_class, parse_config
from wenmo.tokenization.tokenizer import Tokenizer

FORMAT_VERSION = 1
_OURS = ("wenmo.json", "training", "metrics.jsonl")
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


def save_model(
    model: LanguageModel,
    directory: str | Path,
    *,
    tokenizer: Tokenizer | None,
    info: dict[str, Any] | None = None,
    generation: GenerationSettings | None = None,
    card: str | None = None,
) -> Path:
    """Writes a model directory, whole or not at all.

    A model directory that is already there is replaced; files in it that this function does not write, such
    as `training/` and reports, are kept.

    Args:
        model: The model.
        directory: Where to.
        tokenizer: Its tokenizer.
        info: Recipe, corpus fingerprint, metrics and whatever else is to be kept (JSON).
        generation: Default generation settings of this model.
        card: Model card, Markdown.

    Returns:
        The directory.

    Raises:
        ModelError: When the directory holds something else than a model.
        ResourceError: When the disk is full or the folder is not writable.
    """
    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise ModelError(f"{target} is a file; choose another name for the model")
    holds_other = target.is_dir() and any(target.iterdir()) and not any((target / n).exists() for n in _OURS)
    if holds_other:
        raise ModelError(f"{target} exists and is not a model directory; choose another or empty it")
    with atomic_directory(target) as temporary:
        _write(model, temporary, tokenizer, info or {}, generation or GenerationSettings(), card)
        if target.is_dir():
            _keep(target, temporary)
    return target


def _keep(old: Path, new: Path) -> None:
    """Links the files of the old directory that the new one does not write."""
    for entry in old.iterdir():
        if entry.name == "members" or (new / entry.name).exists():
            continue
        if entry.is_dir():
            shutil.copytree(entry, new / entry.name, copy_function=_link)
        else:
            _link(entry, new / entry.name)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _write(
    model: LanguageModel,
    directory: Path,
    tokenizer: Tokenizer | None,
    info: dict[str, Any],
    generation: GenerationSettings,
    card: str | None,
) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in model.saved_tensors().items()}
    try:
        safetensors.torch.save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:
        failure = re.search(r"os error (\d+)", str(error))
        if failure is None:
            raise
        number = int(failure[1])  # an OSError in disguise: the disk is full, for example
        raise OSError(number, os.strerror(number)) from error
    special = (
        {} if tokenizer is None else {"bos_token_id": tokenizer.eos_id, "eos_token_id": tokenizer.eos_id}
    )
    _dump(directory / "config.json", {**model.config_json(), **special})
    _dump(directory / "generation_config.json", {**_generation_json(generation), **special})
    members = model.saved_members()
    wenmo = {
        "format_version": FORMAT_VERSION,
        "config": model.config.model_dump(mode="json"),
        "parameters": model.num_parameters(),
        "members": list(members),
        "tokenizer": None if tokenizer is None else tokenizer.fingerprint,
        "generation": generation.model_dump(mode="json"),
        "versions": {"wenmo": _version(), "torch": torch.__version__, "python": platform.python_version()},
        "info": info,
    }
    _dump(directory / "wenmo.json", wenmo)
    if tokenizer is not None:
        tokenizer.save(directory)
    if card is not None:
        (directory / "README.md").write_text(card, encoding="utf-8")
    for name, member in members.items():
        folder = directory / "members" / _checked_name(name)
        folder.mkdir(parents=True)
        _write(member, folder, tokenizer, {}, generation, None)


def _checked_name(name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise ModelError(f"{name!r} cannot be the name of a folder; rename the member of the mixture")
    return name


def _version() -> str:
    try:
        return version("wenmo")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


def _dump(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _generation_json(settings: GenerationSettings) -> dict[str, Any]:
    """Generation settings under the names of `transformers`."""
    data: dict[str, Any] = {
        "do_sample": settings.temperature > 0 and settings.beams == 1,
        "max_new_tokens": settings.max_tokens,
        "num_beams": settings.beams,
        "repetition_penalty": settings.repeat_penalty,
    }
    if data["do_sample"]:
        data.update(
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
            typical_p=settings.typical_p,
        )
    return data


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
    raise ModelError(f"{folder} is not a model directory: it has neither wenmo.json nor config.json")


def _load_own(folder: Path, device: str | torch.device) -> LoadedModel:
    data = _read_json(folder / "wenmo.json")
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
        name: load_model(folder / "members" / _checked_name(str(name)), device).model
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
    data = _read_json(folder / "config.json")
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


def _read_json(path: Path) -> dict[str, Any]:
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
        shards = _read_json(index).get("weight_map")
        if not isinstance(shards, dict):
            raise ModelError(f"{index} is damaged: 'weight_map' is missing; copy the model again")
        paths = [folder / _checked_name(str(name)) for name in sorted(set(shards.values()))]
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
