"""What a decoder sees of the sources: keys and values to attend to, kept once for all rows that read a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor

from wenmo.seq2seq.base import DecoderState, Memory

Pair = tuple[Tensor, Tensor]
Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Pair]


@dataclass(frozen=True)
class AttentionMemory(Memory):
    """Keys and values of the sources for every decoder layer that attends.

    Attributes:
        lengths: Tokens of each source, int64 (B,).
        keys: Keys and values of each layer, (B, H, S, D) each.
        bias: Added to attention scores: 0, or minus infinity at padding, (B, 1, 1, S).
    """

    lengths: Tensor
    keys: list[Pair]
    bias: Tensor

    def select(self, sources: Tensor) -> Self:
        """Returns the memory of the given sources (int64 (M,))."""
        keys = [(key[sources], value[sources]) for key, value in self.keys]
        return replace(self, lengths=self.lengths[sources], keys=keys, bias=self.bias[sources])


@dataclass(frozen=True)
class CrossKeys:
    """One layer's view of the sources, read by `rows` rows for each source.

    Attributes:
        key: (B, H, S, D).
        value: (B, H, S, D).
        bias: (B, 1, 1, S).
        rows: Rows that read each source, one after the other.
    """

    key: Tensor
    value: Tensor
    bias: Tensor
    rows: int

    def attend(self, query: Tensor, attend: Attend, p: float) -> Pair:
        """Attends with queries (B * rows, H, T, D); returns values (B * rows, H, T, D) and weights (B * rows, H, T, S).

        The rows of one source are looked up as if they were more tokens of one row: its keys are never repeated.
        """
        if self.rows == 1:
            return attend(query, self.key, self.value, self.bias, p)
        all_rows, heads, tokens, size = query.shape
        batch = all_rows // self.rows
        merged = query.reshape(batch, self.rows, heads, tokens, size).transpose(1, 2)
        mixed, weights = attend(
            merged.reshape(batch, heads, self.rows * tokens, size), self.key, self.value, self.bias, p
        )

        def apart(x: Tensor) -> Tensor:
            x = x.view(batch, heads, self.rows, tokens, -1).transpose(1, 2)
            return x.reshape(all_rows, heads, tokens, -1)

        return apart(mixed), apart(weights)


M = TypeVar("M", bound=AttentionMemory)


@dataclass(frozen=True)
class Readers(DecoderState, Generic[M]):
    """Rows that read sources.

    Attributes:
        lengths: Target tokens read by each row, int64 (N,).
        memory: The sources.
        source: Index into `memory` of each row, int64 (N,); rows of one source stand together.
        rows: Rows of each source, the same for all.
    """

    lengths: Tensor
    memory: M
    source: Tensor
    rows: int

    def sources(self) -> list[CrossKeys]:
        """Each layer's view of the sources."""
        return [CrossKeys(key, value, self.memory.bias, self.rows) for key, value in self.memory.keys]

    def select(self, rows: Tensor) -> Self:
        """See `DecoderState.select`. Where every source keeps its number of rows, no key of a source is copied."""
        source = self.source[rows]
        if len(rows) == len(self.source) and torch.equal(source, self.source):
            return replace(self, lengths=self.lengths[rows])
        kept, counts = torch.unique_consecutive(source, return_counts=True)
        count = int(counts[0]) if len(counts) else 1
        if not bool((counts == count).all()):
            kept, count = source, 1
        places = torch.arange(len(kept), device=rows.device).repeat_interleave(count)
        return replace(
            self, lengths=self.lengths[rows], memory=self.memory.select(kept), source=places, rows=count
        )


def beginning(memory: AttentionMemory, beams: int) -> tuple[Tensor, Tensor]:
    """Returns `source` and `lengths` of `beams` rows for each source, before the first token."""
    device = memory.lengths.device
    source = torch.arange(len(memory.lengths), device=device).repeat_interleave(beams)
    return source, torch.zeros_like(source)


class SelfKeys:
    """Keys and values of the target tokens read so far, of one layer; `extend` adds to them."""

    def __init__(self, key: Tensor | None = None, value: Tensor | None = None) -> None:
        self.key, self.value = key, value

    def extend(self, key: Tensor, value: Tensor) -> Pair:
        """Returns the keys and values of all tokens, (N, H, T, D), after adding those of new ones."""
        if self.key is not None and self.value is not None:
            key, value = torch.cat((self.key, key), 2), torch.cat((self.value, value), 2)
        self.key, self.value = key, value
        return key, value

    def select(self, rows: Tensor) -> SelfKeys:
        """Returns those of the given rows."""
        if self.key is None or self.value is None:
            return SelfKeys()
        return SelfKeys(self.key[rows], self.value[rows])


@dataclass(frozen=True)
class TransformerState(Readers[AttentionMemory]):
    """State of rows that have all read the same number of tokens.

    Attributes:
        read: Target tokens read.
        layers: Keys and values of each layer.
    """

    read: int
    layers: tuple[SelfKeys, ...]

    def caches(self) -> list[SelfKeys]:
        """Copies of the layers' keys that may be extended."""
        return [SelfKeys(layer.key, layer.value) for layer in self.layers]

    def after(self, caches: list[SelfKeys], tokens: int) -> TransformerState:
        """The state after `tokens` more tokens, whose keys are in `caches`."""
        return replace(self, lengths=self.lengths + tokens, read=self.read + tokens, layers=tuple(caches))

    def select(self, rows: Tensor) -> TransformerState:
        """See `DecoderState.select`."""
        return replace(super().select(rows), layers=tuple(layer.select(rows) for layer in self.layers))
