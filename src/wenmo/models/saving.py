"""Writing a model directory (see `storage` for what it holds)."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from wenmo.config import GenerationSettings
from wenmo.errors import ModelError
from wenmo.files import atomic_directory
from wenmo.models.base import LanguageModel
from wenmo.tokenization.tokenizer import Tokenizer

FORMAT_VERSION = 1
_OURS = ("wenmo.json", "training", "metrics.jsonl")


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
    write_tensors(tensors, directory / "model.safetensors", {"format": "pt"})
    special: dict[str, Any] = {}
    if tokenizer is not None:
        special = {"bos_token_id": tokenizer.eos_id, "eos_token_id": tokenizer.eos_id}
    _dump(directory / "config.json", {**model.config_json(), **special})
    if tokenizer is not None and len(tokenizer.end_ids) > 1:
        special["eos_token_id"] = sorted(tokenizer.end_ids)  # a turn ends before the text does
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
        folder = directory / "members" / checked_name(name)
        folder.mkdir(parents=True)
        _write(member, folder, tokenizer, {}, generation, None)


def write_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file.

    Raises:
        OSError: When it cannot be written; the library's own error says so only in its text.
    """
    try:
        safetensors.torch.save_file(tensors, path, metadata=metadata)
        path.chmod(0o644)  # it is made for its owner alone
    except SafetensorError as error:
        failure = re.search(r"os error (\d+)", str(error))
        if failure is None:
            raise
        number = int(failure[1])  # the disk is full, for example
        raise OSError(number, os.strerror(number)) from error


def checked_name(name: str) -> str:
    """Returns the name of a folder or file inside a model directory.

    Raises:
        ModelError: When it would point out of that directory.
    """
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
