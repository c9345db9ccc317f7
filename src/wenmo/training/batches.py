"""Batches from a token stream: every token of every document once per epoch, in a new order each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.training.permutation import random_order

MOST_ORDERED = 1 << 22
"""Documents, and rows, whose order is kept as an array (32 MB each). Beyond it neighbouring documents are shuffled as
one, and rows by a formula, so that memory stays flat whatever the size of the text."""


class Stream(Protocol):
    """What training needs of a `wenmo.tokenization.TokenStream`."""

    @property
    def ids(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Tokens of all documents, each followed by the end-of-text token."""

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Start of each document, and the end."""


@dataclass(frozen=True)
class Batch:
    """A block of rows of one step.

    Attributes:
        inputs: Token ids, int64 (B, T).
        targets: The token after each input, int64 (B, T).
        weights: 1.0 where the target counts, 0.0 at padding, float32 (B, T); None when all count.
        total: Where this is the share of one process: targets that count in the whole batch.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None
    total: int | None = None

    @property
    def tokens(self) -> int:
        """Targets that count."""
        return self.targets.numel() if self.weights is None else int(self.weights.sum().item())

    def share(self, rank: int, size: int) -> Batch:
        """Returns the rows of one of `size` processes; all get equally many, padded by rows that count nothing."""
        if size == 1 or self.total is not None:
            return self
        rows, width = self.inputs.shape
        each = -(-rows // size)
        mine = slice(min(rank * each, rows), min((rank + 1) * each, rows))
        found = self.inputs[mine].shape[0]
        weights = torch.zeros(each, width)
        weights[:found] = 1.0 if self.weights is None else self.weights[mine]

        def padded(ids: Tensor) -> Tensor:
            return torch.cat([ids[mine], ids.new_zeros(each - found, width)])

        if found == each and self.weights is None:
            return Batch(self.inputs[mine], self.targets[mine], None, self.tokens)
        return Batch(padded(self.inputs), padded(self.targets), weights, self.tokens)

    def to(self, device: torch.device) -> Batch:
        """Copies the batch to a device; from pinned memory to a GPU, so that the copy does not wait for its work."""
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            return tensor.contiguous().pin_memory().to(device, non_blocking=True)

        weights = None if self.weights is None else move(self.weights)
        return Batch(move(self.inputs), move(self.targets), weights)

    def split(self, rows: int) -> list[Batch]:
        """Cuts the batch into parts of at most `rows` rows (for gradient accumulation)."""
        pieces = []
        for start in range(0, self.inputs.shape[0], rows):
            part = slice(start, start + rows)
            weights = None if self.weights is None else self.weights[part]
            pieces.append(Batch(self.inputs[part], self.targets[part], weights))
        return pieces


class BatchSource(Protocol):
    """Endless batches in an order that can be gone on with."""

    @property
    def epochs_done(self) -> float:
        """Passes over the training data so far."""

    def next(self) -> Batch:
        """Returns the next batch; at least one of its targets counts."""

    def state(self) -> dict[str, int]:
        """Position, for a checkpoint."""

    def restore(self, state: dict[str, int]) -> None:
        """Goes to a position that `state` returned."""


class PackedBatches:
    """Endless batches over a stream of documents, packed so that nothing is dropped and nothing padded but the end.

    Each epoch shuffles the documents, joins them (each keeps its end-of-text token, so the model sees where one
    ends), turns the joined stream by a random offset, so that windows fall elsewhere every epoch, and cuts it into
    rows of `context` targets, which are shuffled once more. The order is a pure function of (seed, epoch), and the
    position is two numbers, so a run resumes exactly where it stopped.

    Several processes hold one of these each, with the same seed: they go through the same batches, and each reads
    its own rows only.

    Args:
        ids: Tokens of all documents, each followed by the end-of-text token.
        offsets: Start of each (non-empty) document in `ids`, and the end, int64 (documents + 1).
        context: Tokens per row T.
        rows: Rows per batch B, of all processes together.
        seed: Seed of the order.
        rank: Which of the processes this is.
        size: Number of processes.
    """

    def __init__(
        self,
        ids: npt.NDArray[np.unsignedinteger[Any]],
        offsets: npt.NDArray[np.int64],
        *,
        context: int,
        rows: int,
        seed: int,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        if len(ids) == 0:
            raise ValueError("no tokens to train on")
        self._ids = ids
        self._offsets = _grouped(offsets)
        self._rank, self._size = rank, size
        self.context = min(context, len(ids))
        self.rows = rows
        self._seed = seed
        self.epoch = 0
        self.row = 0
        self._load_epoch()

    @property
    def rows_per_epoch(self) -> int:
        """Rows of one pass over the documents."""
        return -(-len(self._ids) // self.context)

    @property
    def epochs_done(self) -> float:
        """Passes over the documents so far."""
        return self.epoch + self.row / self.rows_per_epoch

    def state(self) -> dict[str, int]:
        """Position, for a checkpoint."""
        return {"epoch": self.epoch, "row": self.row}

    def restore(self, state: dict[str, int]) -> None:
        """Goes to a position that `state` returned."""
        self.epoch, self.row = state["epoch"], state["row"]
        self._load_epoch()

    def _load_epoch(self) -> None:
        generator = np.random.default_rng([self._seed, self.epoch])
        self._order = generator.permutation(len(self._offsets) - 1)
        lengths = np.diff(self._offsets)[self._order]
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._turn = int(generator.integers(len(self._ids)))
        key = (self._seed, self.epoch)
        self._row_order = random_order(generator, self.rows_per_epoch, key, MOST_ORDERED)

    def _read(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Copies `count` tokens of this epoch's joined stream, which is endless: after its end it begins again."""
        window = np.empty(count, dtype=np.int64)
        filled = 0
        position = start % len(self._ids)
        document = int(np.searchsorted(self._starts, position, side="right")) - 1
        while filled < count:
            begin = int(self._offsets[self._order[document]]) + position - int(self._starts[document])
            take = min(count - filled, int(self._starts[document + 1]) - position)
            window[filled : filled + take] = self._ids[begin : begin + take]
            filled += take
            position += take
            document += 1
            if document == len(self._order):
                position = document = 0
        return window

    def _valid(self, index: int) -> int:
        """Number of targets of a row that count: all but those after the end of the last row."""
        return min(self.context, len(self._ids) - index * self.context)

    def _row(self, index: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Inputs and targets of one row.

        The input before the stream's first token is its last one, which is an end-of-text token, as it should be.
        """
        window = self._read(self._turn + index * self.context - 1, self.context + 1)
        return window[:-1], window[1:]

    def next(self) -> Batch:
        """Returns the next batch: always `rows` x `context`, the rest of an epoch being filled from the next one.

        With several processes: this one's share of it (see `Batch.share`).
        """
        each = -(-self.rows // self._size)
        inputs = np.zeros((each, self.context), dtype=np.int64)
        targets = np.zeros((each, self.context), dtype=np.int64)
        weights = np.zeros((each, self.context), dtype=np.float32)
        total = 0
        for number in range(self.rows):
            if self.row == self.rows_per_epoch:
                self.epoch += 1
                self.row = 0
                self._load_epoch()
            index = int(self._row_order[self.row])
            valid = self._valid(index)
            self.row += 1
            total += valid
            owner, row = divmod(number, each)
            if owner == self._rank:
                inputs[row], targets[row] = self._row(index)
                weights[row, :valid] = 1.0
        return Batch(
            torch.from_numpy(inputs),
            torch.from_numpy(targets),
            None if weights.all() else torch.from_numpy(weights),
            None if self._size == 1 else total,
        )


def _grouped(offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Borders of what is shuffled as one: of every document, or of a few neighbours where there are very many."""
    together = -(-(len(offsets) - 1) // MOST_ORDERED)
    if together <= 1:
        return offsets
    return np.append(offsets[:-1:together], offsets[-1])
