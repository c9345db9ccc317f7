"""One file from which training goes on as if it had never stopped.

Weights, averages, best weights, optimiser state and random state are tensors of one safetensors file; counters,
the position in the data and the curve are JSON in its header. One file is renamed into place at once, so a kill at
any moment leaves a whole checkpoint: the old one or the new one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wenmo.errors import ModelError
from wenmo.files import atomic_path
from wenmo.models.saving import write_tensors

VERSION = "1"


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Writes tensors (any dtype, moved to the CPU) and a JSON-serialisable state atomically.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    cpu = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        write_tensors(cpu, temporary, {"version": VERSION, "state": json.dumps(state)})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_checkpoint` wrote.

    Raises:
        ModelError: When the file is missing, damaged or of another version.
    """
    if not path.is_file():
        raise ModelError(f"{path} does not exist, so there is nothing to resume; train without --resume")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("version") != VERSION:
                raise ModelError(
                    f"{path} was written by another version of wenmo (format {metadata.get('version')}, "
                    f"this one reads {VERSION}); train again"
                )
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata["state"])  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is damaged ({error}); delete it and train again") from error


def optimizer_tensors(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Flattens the optimisers' per-parameter state into named tensors."""
    tensors: dict[str, Tensor] = {}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                tensors[f"optimizer.{number}.{index}.{name}"] = torch.as_tensor(value)
    return tensors


def restore_optimizers(optimizers: list[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Puts the state that `optimizer_tensors` flattened back; learning rates are set at every step anyway."""
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        prefix = f"optimizer.{number}."
        for key, value in tensors.items():
            if key.startswith(prefix):
                index, name = key[len(prefix) :].split(".", 1)
                state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
