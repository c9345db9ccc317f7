"""Batches with a teacher's targets beside the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.distillation.targets import Targets
from wenmo.training.batches import Batch, PackedBatches, Stream


@dataclass(frozen=True, kw_only=True)
class TaughtBatch(Batch):
    """A batch of which a teacher has said what may come at every place.

    Attributes:
        top: Tokens that the teacher names for each target, int64 (B, T, K).
        probabilities: Their probabilities, float32 (B, T, K); 0 where none is named.
    """

    top: Tensor
    probabilities: Tensor

    def to(self, device: torch.device) -> TaughtBatch:
        """See `Batch.to`."""
        if device.type == "cpu":
            return self
        plain = Batch(self.inputs, self.targets, self.weights).to(device)
        top, probabilities = (
            tensor.contiguous().pin_memory().to(device, non_blocking=True)
            for tensor in (self.top, self.probabilities)
        )
        return TaughtBatch(**vars(plain), top=top, probabilities=probabilities)

    def split(self, rows: int) -> list[Batch]:
        """See `Batch.split`."""
        parts = Batch(self.inputs, self.targets, self.weights).split(rows)
        starts = range(0, len(self.inputs), rows)
        return [
            TaughtBatch(
                **vars(part),
                top=self.top[start : start + rows],
                probabilities=self.probabilities[start : start + rows],
            )
            for start, part in zip(starts, parts, strict=True)
        ]


class _Places:
    """The numbers 0 to N - 1 as an array that takes no room; `PackedBatches` asks for its length and its slices."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> npt.NDArray[np.int64]:
        return np.arange(part.start, part.stop, dtype=np.int64)


class TaughtBatches:
    """The batches of `PackedBatches` with the targets of a teacher, in the same order for the same seed.

    Args:
        stream: Tokens of all documents.
        targets: What the teacher says of each of them.
        context: Tokens per row T.
        rows: Rows per batch B.
        seed: Seed of the order.
    """

    def __init__(self, stream: Stream, targets: Targets, *, context: int, rows: int, seed: int) -> None:
        if len(targets) != len(stream.ids):
            raise ValueError(f"{len(targets)} targets for {len(stream.ids)} tokens")
        self._ids = stream.ids
        self._targets = targets
        places: Any = _Places(len(stream.ids))
        self._packed = PackedBatches(places, stream.offsets, context=context, rows=rows, seed=seed)

    @property
    def epochs_done(self) -> float:
        """Passes over the documents so far."""
        return self._packed.epochs_done

    def state(self) -> dict[str, int]:
        """Position, for a checkpoint."""
        return self._packed.state()

    def restore(self, state: dict[str, int]) -> None:
        """Goes to a position that `state` returned."""
        self._packed.restore(state)

    def next(self) -> TaughtBatch:
        """Returns the next batch."""
        places = self._packed.next()
        before, after = places.inputs.numpy(), places.targets.numpy()
        top, probabilities = self._targets.of(after)
        return TaughtBatch(
            inputs=torch.from_numpy(self._ids[before].astype(np.int64)),
            targets=torch.from_numpy(self._ids[after].astype(np.int64)),
            weights=places.weights,
            top=torch.from_numpy(top),
            probabilities=torch.from_numpy(probabilities),
        )
