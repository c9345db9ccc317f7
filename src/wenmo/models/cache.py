"""The key-value cache: what a Transformer remembers of the tokens read."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

from wenmo.models.base import State

_SMALLEST = 64


class _Storage:
    """Keys and values of all layers, each (B, K, capacity, D), and the states that live in them."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]]) -> None:
        self.layers = layers
        self.states: weakref.WeakSet[CacheState] = weakref.WeakSet()

    @property
    def capacity(self) -> int:
        return self.layers[0][0].shape[2] if self.layers else 0


class CacheState(State):
    """Keys and values of the tokens each row has read.

    The buffers are shared between a state and those made from it. A state appends in place unless another
    living state of the same storage has read further; then it moves to a storage of its own. So every state
    stays valid as long as it is held, and decoding, which drops each state for the next one, never copies.

    Args:
        storage: Buffers; slot p of row b is the token at position p.
        uniform: Tokens read when all rows have read as many, else None.
        lengths: Tokens read by each row, int64 (B,); may be None where `uniform` says it.
        batch: Number of rows B.
        device: Where the lengths are.
    """

    def __init__(
        self,
        storage: _Storage,
        *,
        batch: int,
        device: torch.device,
        uniform: int | None = None,
        lengths: Tensor | None = None,
    ) -> None:
        if uniform is None and lengths is None:
            raise ValueError("a cache needs the tokens read")
        self.storage = storage
        self.batch = batch
        self.uniform = uniform
        self._device = device
        self._lengths = lengths
        storage.states.add(self)

    @classmethod
    def empty(cls, batch: int, device: torch.device) -> CacheState:
        """Returns the cache of rows that have read nothing."""
        return cls(_Storage([]), batch=batch, device=device, uniform=0)

    @property
    def lengths(self) -> Tensor:  # type: ignore[override]
        """Tokens read by each row, int64 (B,)."""
        if self._lengths is None:
            self._lengths = torch.full((self.batch,), self.uniform or 0, device=self._device)
        return self._lengths

    @property
    def longest(self) -> int:
        """Tokens read by the row that read most."""
        return int(self.lengths.max()) if self.uniform is None else self.uniform

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of each layer, (B, K, capacity, D); empty before the first token."""
        return self.storage.layers

    def select(self, rows: Tensor) -> CacheState:
        """See `State.select`."""
        used = self.longest
        layers = [(k[rows, :, :used], v[rows, :, :used]) for k, v in self.layers]
        lengths = None if self.uniform is not None else self.lengths[rows]
        return CacheState(
            _Storage(layers), batch=len(rows), device=self._device, uniform=self.uniform, lengths=lengths
        )

    def truncate(self, lengths: Tensor) -> CacheState:
        """See `State.truncate`."""
        if bool((lengths > self.lengths).any()) or bool((lengths < 0).any()):
            raise ValueError("cannot truncate to more tokens than were read")
        return CacheState(
            self.storage,
            batch=self.batch,
            device=self._device,
            uniform=_common(lengths),
            lengths=lengths.clone(),
        )

    def _overtaken(self) -> bool:
        """Whether another living state has read further in the same storage."""
        for other in self.storage.states:
            if other is self:
                continue
            if self.uniform is not None and other.uniform is not None:
                if other.uniform > self.uniform:
                    return True
            elif bool((other.lengths > self.lengths).any()):
                return True
        return False

    def reserve(self, tokens: int) -> _Storage:
        """Returns a storage that holds this state's tokens and may be written for `tokens` more positions."""
        used = self.longest
        if not self.layers:
            return self.storage
        grow = used + tokens > self.storage.capacity
        if not grow and not self._overtaken():
            return self.storage
        capacity = max(2 * self.storage.capacity, used + tokens, _SMALLEST) if grow else self.storage.capacity
        layers = []
        for pair in self.layers:
            copies = []
            for old in pair:
                new = old.new_zeros(*old.shape[:2], capacity, old.shape[3])
                new[:, :, :used] = old[:, :, :used]
                copies.append(new)
            layers.append((copies[0], copies[1]))
        return _Storage(layers)


def _common(lengths: Tensor) -> int | None:
    """The length that all rows share, or None."""
    if not len(lengths):
        return 0
    first = int(lengths[0])
    return first if bool((lengths == first).all()) else None


@dataclass
class Reading:
    """One call's use of the cache: where its tokens go and what they may attend to.

    Attributes:
        storage: Where the keys and values go.
        start: Tokens read before when that is the same for all rows, else None.
        positions: Position of each token, int64 (T,), or (B, T) when rows differ.
        mask: Attention mask, bool (T, S) or (B, 1, T, S); None when causal or all-seeing.
        first: Whether nothing was read before: attention is plainly causal within the call.
        longest: Tokens read before by the row that read most.
        keep: Whether the keys and values of a first call are kept.
    """

    storage: _Storage
    start: int | None
    positions: Tensor
    mask: Tensor | None
    first: bool
    longest: int
    keep: bool

    @classmethod
    def begin(
        cls, state: CacheState | None, shape: tuple[int, int], device: torch.device, keep: bool
    ) -> Reading:
        """Plans a call that reads ids of `shape` (B, T) after `state`, keeping the keys if `keep`."""
        tokens = shape[1]
        if state is None or not state.layers or state.uniform == 0:
            return cls(_Storage([]), 0, torch.arange(tokens, device=device), None, True, 0, keep)
        storage = state.reserve(tokens)
        longest = state.longest
        steps = torch.arange(tokens, device=device)
        mask = None
        if state.uniform is not None:
            positions = steps + longest
            if tokens > 1:
                mask = torch.arange(longest + tokens, device=device) <= positions[:, None]
        else:
            positions = state.lengths[:, None] + steps
            mask = (torch.arange(longest + tokens, device=device) <= positions[:, :, None])[:, None]
        return cls(storage, state.uniform, positions, mask, False, longest, keep)

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Stores a layer's keys and values (B, K, T, D) and returns all that attention may look at."""
        if self.first:
            if self.keep:
                self.storage.layers.append((keys, values))
            return keys, values
        end = self.longest + keys.shape[2]
        old = self.storage.layers[layer]
        if torch.is_grad_enabled() and (keys.requires_grad or old[0].requires_grad):
            # Writing in place would break the gradient through what was read before.
            old = (old[0].clone(), old[1].clone())
            self.storage.layers[layer] = old
        for buffer, new in zip(old, (keys, values), strict=True):
            if self.start is not None:
                buffer[:, :, self.start : end] = new
            else:
                rows = torch.arange(len(new), device=new.device)[:, None]
                buffer[rows, :, self.positions] = new.transpose(1, 2)
        return old[0][:, :, :end], old[1][:, :, :end]

    def state(self, before: CacheState | None, shape: tuple[int, int], lengths: Tensor | None) -> CacheState:
        """Returns the state after the call."""
        batch, tokens = shape
        device = self.positions.device
        if lengths is None and self.start is not None:
            return CacheState(self.storage, batch=batch, device=device, uniform=self.start + tokens)
        read = torch.full((batch,), tokens, device=device) if lengths is None else lengths.to(device)
        total = read if before is None else before.lengths + read
        return CacheState(
            self.storage, batch=batch, device=device, uniform=_common(total), lengths=total.clone()
        )
