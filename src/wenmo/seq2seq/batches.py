"""Pairs of token ids, and batches of pairs of similar length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Ids = npt.NDArray[np.int64]
LENGTH_NOISE = 0.1
"""Lengths are multiplied by up to 1 plus this before sorting, so that a pair meets others in every epoch."""


@dataclass(frozen=True)
class TokenPairs:
    """Sources and targets as token ids.

    Attributes:
        sources: Ids of each source, with the token 0 that ends it.
        targets: Ids of each target, without it.
    """

    sources: list[Ids]
    targets: list[Ids]

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def target_tokens(self) -> int:
        """Target tokens to predict in one pass, the ends included."""
        return sum(len(target) + 1 for target in self.targets)

    @property
    def source_tokens(self) -> int:
        """Source tokens read in one pass."""
        return sum(len(source) for source in self.sources)


@dataclass(frozen=True)
class PairBatch:
    """A batch on its way to the model.

    Attributes:
        source: int64 (B, S), padded with 0.
        source_lengths: int64 (B,).
        inputs: Target tokens as read, beginning with 0, int64 (B, T).
        outputs: Target tokens to be predicted, ending with 0, int64 (B, T).
        weights: 1 at valid target tokens, 0 at padding, float32 (B, T).
        tokens: Valid target tokens.
    """

    source: Tensor
    source_lengths: Tensor
    inputs: Tensor
    outputs: Tensor
    weights: Tensor
    tokens: int

    def to(self, device: torch.device) -> PairBatch:
        """Returns the batch on a device."""
        return PairBatch(
            self.source.to(device, non_blocking=True),
            self.source_lengths.to(device, non_blocking=True),
            self.inputs.to(device, non_blocking=True),
            self.outputs.to(device, non_blocking=True),
            self.weights.to(device, non_blocking=True),
            self.tokens,
        )


def padded(rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Returns rows as one int64 tensor (B, longest) padded with 0, and their lengths (B,)."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    table = np.zeros((len(rows), int(lengths.max(initial=0))), dtype=np.int64)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(table), torch.from_numpy(lengths)


def make_batch(pairs: TokenPairs, chosen: Sequence[int]) -> PairBatch:
    """Returns the batch of the pairs with the given numbers."""
    source, source_lengths = padded([pairs.sources[index] for index in chosen])
    targets = [pairs.targets[index] for index in chosen]
    inputs, lengths = padded([np.concatenate(([0], target)) for target in targets])
    outputs, _ = padded([np.concatenate((target, [0])) for target in targets])
    weights = (torch.arange(inputs.shape[1])[None] < lengths[:, None]).float()
    return PairBatch(source, source_lengths, inputs, outputs, weights, int(lengths.sum()))


def cut_by_tokens(lengths: npt.NDArray[np.floating[Any]] | Ids, order: Ids, tokens: int) -> list[Ids]:
    """Cuts an order of rows into runs in which rows x longest row is at most `tokens` (or that have one row)."""
    runs: list[Ids] = []
    start = 0
    longest = 0.0
    for place, index in enumerate(order):
        longest = max(longest, float(lengths[index]))
        if place > start and longest * (place - start + 1) > tokens:
            runs.append(order[start:place])
            start, longest = place, float(lengths[index])
    if len(order) > start:
        runs.append(order[start:])
    return runs


class PairBatches:
    """Endless batches of pairs of similar length, in a new order every epoch, that can be resumed at any batch.

    Args:
        pairs: Training pairs.
        tokens: Tokens of a batch: rows times the longest source or target.
        seed: Seed of the order; the order of an epoch depends on it and the epoch alone.
    """

    def __init__(self, pairs: TokenPairs, tokens: int, seed: int) -> None:
        self.pairs = pairs
        self.tokens = tokens
        self.seed = seed
        self.epoch = 0
        self.place = 0
        self._source = np.array([len(source) for source in pairs.sources], dtype=np.float64)
        self._target = np.array([len(target) + 1 for target in pairs.targets], dtype=np.float64)
        self._plan()

    def _plan(self) -> None:
        random = np.random.default_rng((self.seed, self.epoch))
        noise = 1.0 + LENGTH_NOISE * random.random((2, len(self.pairs)))
        order = np.lexsort((np.round(self._source * noise[0]), np.round(self._target * noise[1])))
        runs = cut_by_tokens(np.maximum(self._source, self._target), order, self.tokens)
        self._runs = [runs[index] for index in random.permutation(len(runs))]

    @property
    def epochs_done(self) -> float:
        """Passes over the pairs so far."""
        return self.epoch + self.place / max(len(self._runs), 1)

    @property
    def batches(self) -> int:
        """Batches of this epoch."""
        return len(self._runs)

    def next(self) -> PairBatch:
        """Returns the next batch."""
        if self.place == len(self._runs):
            self.epoch, self.place = self.epoch + 1, 0
            self._plan()
        batch = make_batch(self.pairs, self._runs[self.place].tolist())
        self.place += 1
        return batch

    def state(self) -> dict[str, int]:
        """Returns the position as JSON."""
        return {"epoch": self.epoch, "place": self.place}

    def restore(self, state: dict[str, int]) -> None:
        """Goes to a position that `state` returned."""
        self.epoch = state["epoch"]
        self._plan()
        self.place = state["place"]
