"""Files from which training goes on as if it had never stopped.

Weights, averages, best weights, optimiser state and random state are tensors of one safetensors file; counters,
the position in the data and the curve are JSON in its header. One file is renamed into place at once, so a kill at
any moment leaves a whole checkpoint: the old one or the new one.

Where every process holds a slice of the model, each writes its slices into a file of its own, in a folder for this
checkpoint, and `checkpoint.json` names the folder once all are there. Any number of processes reads either kind, each
process the rows it needs, so training goes on with more, fewer or one of them. All of them must see the same folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wenmo.errors import ModelError
from wenmo.files import atomic_path, write_text
from wenmo.models.saving import write_tensors
from wenmo.training.world import World

VERSION = "1"
WHOLE = "checkpoint.safetensors"
INDEX = "checkpoint.json"


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Writes tensors (any dtype, moved to the CPU) and a JSON-serialisable state atomically.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    cpu = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        write_tensors(cpu, temporary, {"version": VERSION, "state": json.dumps(state)})


def save_together(directory: Path, tensors: dict[str, Tensor], state: dict[str, Any], world: World) -> None:
    """Writes a checkpoint of all processes: into one file where they hold the same, else each its slices.

    The other kind of checkpoint, and an older one, are removed when this one is complete.

    Args:
        directory: Folder that all processes see.
        tensors: What this process holds: whole tensors (the leading process's are written), or `DTensor`s sliced by
            rows over all processes.
        state: JSON-serialisable; the leading process's is written.
        world: The processes, all of which call this.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    if not any(hasattr(tensor, "device_mesh") for tensor in tensors.values()):
        if world.leads:
            save_checkpoint(directory / WHOLE, tensors, state)
            (directory / INDEX).unlink(missing_ok=True)
            _remove(directory, keep=None)
        world.barrier()
        return
    numbers = [int(path.name.split("-")[1]) for path in _folders(directory)]
    folder = f"checkpoint-{int(world.lead(max(numbers, default=0) + 1))}"
    own: dict[str, Tensor] = {}
    begins: dict[str, int] = {}
    for name, tensor in tensors.items():
        if not hasattr(tensor, "device_mesh"):
            if world.leads:
                own[name] = tensor
            continue
        rows = cast(Any, tensor).to_local()
        if rows.numel():
            own[name], begins[name] = rows, _first_row(tensor.shape[0], world.size, world.rank)
    save_checkpoint(directory / folder / f"{world.rank:05d}.safetensors", own, {"begins": begins})
    world.barrier()
    if world.leads:
        index = {"version": VERSION, "folder": folder, "files": world.size, "state": state}
        write_text(directory / INDEX, json.dumps(index))
        (directory / WHOLE).unlink(missing_ok=True)
        _remove(directory, keep=folder)
    world.barrier()


def exists(directory: Path) -> bool:
    """Whether a checkpoint of either kind is there."""
    return (directory / WHOLE).is_file() or (directory / INDEX).is_file()


def _folders(directory: Path) -> list[Path]:
    return [path for path in directory.glob("checkpoint-*") if path.name.split("-")[1].isdecimal()]


def _remove(directory: Path, keep: str | None) -> None:
    for folder in _folders(directory):
        if folder.name != keep:
            shutil.rmtree(folder, ignore_errors=True)


def _first_row(rows: int, size: int, rank: int) -> int:
    """Where the rows of a process begin: all have equally many, but for the last ones."""
    return min(rank * -(-rows // size), rows)


class Saved:
    """An open checkpoint of either kind, from which tensors are read as they are needed.

    Attributes:
        state: What was given to `save_together`.
    """

    def __init__(self, files: list[Any], begins: list[dict[str, int]], state: dict[str, Any]) -> None:
        self.state = state
        self._pieces: dict[str, list[tuple[int, Any]]] = {}
        for file, first in zip(files, begins, strict=True):
            for name in file.keys():  # noqa: SIM118 - no mapping
                self._pieces.setdefault(name, []).append((first.get(name, 0), file))

    @property
    def names(self) -> list[str]:
        """Names of all tensors."""
        return list(self._pieces)

    def read(self, name: str, like: Tensor | None = None) -> Tensor:
        """Reads a tensor.

        Args:
            name: Its name.
            like: Where this is a `DTensor` of the same shape, the rows of this process are read, as one.

        Raises:
            KeyError: When there is none of this name.
        """
        if like is None or not hasattr(like, "device_mesh"):
            return self._rows(name, 0, None)
        from torch.distributed.tensor import DTensor

        assert isinstance(like, DTensor)
        size, rank = like.device_mesh.size(), like.device_mesh.get_local_rank()
        begin, end = (_first_row(like.shape[0], size, r) for r in (rank, rank + 1))
        local = self._rows(name, begin, end).to(like.to_local().device)
        return DTensor.from_local(
            local, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
        )

    def _rows(self, name: str, begin: int, end: int | None) -> Tensor:
        pieces = sorted(self._pieces[name], key=lambda piece: piece[0])
        if end is None and len(pieces) == 1:
            found: Tensor = pieces[0][1].get_tensor(name)
            return found
        parts: list[Tensor] = []
        for first, file in pieces:
            rows = file.get_slice(name)
            count = rows.get_shape()[0]
            low, high = max(begin - first, 0), count if end is None else min(end - first, count)
            if low < high or not parts:
                parts.append(rows[min(low, count) : max(min(low, count), high)])
        return torch.cat(parts)


@contextmanager
def open_checkpoint(directory: Path) -> Iterator[Saved]:
    """Opens the checkpoint in a folder.

    Raises:
        ModelError: When there is none, or it is damaged or of another version.
    """
    index = directory / INDEX
    with ExitStack() as stack, _readable(index if index.is_file() else directory / WHOLE):
        if not index.is_file():
            file, state = _open(stack, directory / WHOLE)
            yield Saved([file], [{}], state)
            return
        facts = json.loads(index.read_text(encoding="utf-8"))
        _check_version(index, facts.get("version"))
        folder = directory / facts["folder"]
        opened = [_open(stack, folder / f"{rank:05d}.safetensors") for rank in range(facts["files"])]
        yield Saved([file for file, _ in opened], [own["begins"] for _, own in opened], facts["state"])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise ModelError(f"{path} does not exist, so there is nothing to resume; train without --resume")
    try:
        yield
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is damaged ({error}); delete it and train again") from error


def _open(stack: ExitStack, path: Path) -> tuple[Any, dict[str, Any]]:
    file = stack.enter_context(safe_open(str(path), framework="pt"))
    metadata = file.metadata() or {}
    _check_version(path, metadata.get("version"))
    return file, json.loads(metadata["state"])


def _check_version(path: Path, version: str | None) -> None:
    if version != VERSION:
        raise ModelError(
            f"{path} was written by another version of wenmo (format {version}, this one reads {VERSION}); train again"
        )


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_checkpoint` wrote.

    Raises:
        ModelError: When the file is missing, damaged or of another version.
    """
    with ExitStack() as stack, _readable(path):
        file, state = _open(stack, path)
        return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118


def optimizer_tensors(optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Flattens the optimisers' per-parameter state into named tensors."""
    tensors: dict[str, Tensor] = {}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                tensors[f"optimizer.{number}.{index}.{name}"] = torch.as_tensor(value)
    return tensors


def read_optimizers(saved: Saved, optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Reads what `optimizer_tensors` flattened, laid out over the processes as the optimisers' parameters are."""
    tensors: dict[str, Tensor] = {}
    for number, optimizer in enumerate(optimizers):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        prefix = f"optimizer.{number}."
        for key in saved.names:
            if key.startswith(prefix):
                index, name = key[len(prefix) :].split(".", 1)
                tensors[key] = saved.read(key, None if name == "step" else parameters[int(index)])
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
