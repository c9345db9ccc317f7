"""What a Transformer decoder remembers: keys and values of the source, and of the target tokens read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wenmo.seq2seq.base import DecoderState, Memory

Pair = tuple[Tensor, Tensor]
Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Pair]


@dataclass(frozen=True)
class TransformerMemory(Memory):
    """Keys and values of the sources for every decoder layer.

    Attributes:
        lengths: Tokens of each source, int64 (B,).
        keys: Keys and values of each layer, (B, H, S, D) each.
        bias: Added to attention scores: 0, or minus infinity at padding, (B, 1, 1, S).
    """

    lengths: Tensor
    keys: list[Pair]
    bias: Tensor

    def select(self, sources: Tensor) -> TransformerMemory:
        """Returns the memory of the given sources (int64 (M,))."""
        keys = [(key[sources], value[sources]) for key, value in self.keys]
        return TransformerMemory(self.lengths[sources], keys, self.bias[sources])


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
        merged = query.view(batch, self.rows, heads, tokens, size).transpose(1, 2)
        mixed, weights = attend(
            merged.reshape(batch, heads, self.rows * tokens, size), self.key, self.value, self.bias, p
        )

        def apart(x: Tensor) -> Tensor:
            x = x.view(batch, heads, self.rows, tokens, -1).transpose(1, 2)
            return x.reshape(all_rows, heads, tokens, -1)

        return apart(mixed), apart(weights)


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
class TransformerState(DecoderState):
    """State of rows that have all read the same number of tokens.

    Attributes:
        lengths: Target tokens read by each row, int64 (N,).
        memory: The sources.
        source: Index into `memory` of each row, int64 (N,); rows of one source stand together.
        rows: Rows of each source, the same for all.
        read: Target tokens read.
        layers: Keys and values of each layer.
    """

    lengths: Tensor
    memory: TransformerMemory
    source: Tensor
    rows: int
    read: int
    layers: tuple[SelfKeys, ...]

    @classmethod
    def beginning(cls, memory: TransformerMemory, beams: int) -> TransformerState:
        """State of `beams` rows for each source, before the first token."""
        device = memory.lengths.device
        source = torch.arange(len(memory.lengths), device=device).repeat_interleave(beams)
        lengths = torch.zeros_like(source)
        return cls(lengths, memory, source, beams, 0, tuple(SelfKeys() for _ in memory.keys))

    def caches(self) -> list[SelfKeys]:
        """Copies of the layers' keys that may be extended."""
        return [SelfKeys(layer.key, layer.value) for layer in self.layers]

    def sources(self) -> list[CrossKeys]:
        """Each layer's view of the sources."""
        return [CrossKeys(key, value, self.memory.bias, self.rows) for key, value in self.memory.keys]

    def after(self, caches: list[SelfKeys], tokens: int) -> TransformerState:
        """The state after `tokens` more tokens, whose keys are in `caches`."""
        return replace(
            self, lengths=self.lengths + tokens, read=self.read + tokens, layers=tuple(caches)
        )

    def select(self, rows: Tensor) -> TransformerState:
        """See `DecoderState.select`. Where every source keeps its number of rows, no key of a source is copied."""
        source = self.source[rows]
        layers = tuple(layer.select(rows) for layer in self.layers)
        if len(rows) == len(self.source) and torch.equal(source, self.source):
            return replace(self, lengths=self.lengths[rows], layers=layers)
        kept, counts = torch.unique_consecutive(source, return_counts=True)
        count = int(counts[0]) if len(counts) else 1
        if bool((counts == count).all()):
            memory, per_source = self.memory.select(kept), count
            source = torch.arange(len(kept), device=rows.device).repeat_interleave(count)
        else:
            memory, per_source = self.memory.select(source), 1
            source = torch.arange(len(rows), device=rows.device)
        return TransformerState(self.lengths[rows], memory, source, per_source, self.read, layers)
