"""What a recurrent model remembers: hidden states, and enough of the past to go back exactly.

A hidden state cannot be un-read. To truncate, the ids read are kept, with a bounded number of earlier hidden
states, and the ids after the nearest of these are read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import State

SNAPSHOTS = 8
"""Most earlier hidden states kept. They thin out with age: going far back reads more tokens again."""

Advance = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], tuple[Tensor, Tensor, Tensor | None]]
"""ids (B, T), h, c, lengths -> outputs, h, c: `RecurrentModel.advance`."""


@dataclass(frozen=True)
class Snapshot:
    """Hidden states as they were when row b had read `lengths[b]` tokens.

    Attributes:
        h: (layers, B, H).
        c: (layers, B, H); None unless LSTM.
        lengths: int64 (B,).
        position: Time steps run before it, padding included.
    """

    h: Tensor
    c: Tensor | None
    lengths: Tensor
    position: int

    def select(self, rows: Tensor) -> Snapshot:
        """Returns the snapshot of the given rows."""
        c = None if self.c is None else self.c[:, rows]
        return Snapshot(self.h[:, rows], c, self.lengths[rows], self.position)


class RecurrentState(State):
    """State of a recurrent model.

    Args:
        now: Hidden states and lengths of the present.
        past: Snapshots in the order of time; the first is where `history` begins.
        history: Ids read since the first snapshot, int64 (B, width); row b holds
            `now.lengths[b] - past[0].lengths[b]` of them, the rest is padding.
        advance: Reads tokens, to go forward again from a snapshot.
    """

    def __init__(self, now: Snapshot, past: tuple[Snapshot, ...], history: Tensor, advance: Advance) -> None:
        self.now = now
        self.past = past
        self.history = history
        self.advance = advance
        self.lengths = now.lengths

    @classmethod
    def beginning(cls, zeros: Tensor, cell: bool, advance: Advance) -> RecurrentState:
        """Returns the state of rows that have read nothing; `zeros` is (layers, B, H), `cell` for an LSTM."""
        lengths = torch.zeros(zeros.shape[1], dtype=torch.int64, device=zeros.device)
        now = Snapshot(zeros, zeros if cell else None, lengths, 0)
        return cls(now, (now,), lengths.new_empty(len(lengths), 0), advance)

    @property
    def h(self) -> Tensor:
        """Hidden states, (layers, B, H)."""
        return self.now.h

    @property
    def c(self) -> Tensor | None:
        """Cell states, (layers, B, H); None unless LSTM."""
        return self.now.c

    def after(
        self, ids: Tensor, lengths: Tensor | None, h: Tensor, c: Tensor | None, *, keep_history: bool = True
    ) -> RecurrentState:
        """Returns the state after reading.

        Args:
            ids: What was read, int64 (B, T).
            lengths: Valid ids of each row, int64 (B,); None means T.
            h: Hidden states after it.
            c: Cell states after it.
            keep_history: False makes the new state the oldest to which `truncate` can go back.
        """
        steps = ids.shape[1]
        read = steps if lengths is None else lengths
        now = Snapshot(h, c, self.lengths + read, self.now.position + steps)
        if not keep_history:
            return RecurrentState(now, (now,), ids.new_empty(len(ids), 0), self.advance)
        past = self.past if self.past[-1] is self.now else (*self.past, self.now)
        return RecurrentState(now, _thin(past, now.position), self._extend(ids, lengths), self.advance)

    def _extend(self, ids: Tensor, lengths: Tensor | None) -> Tensor:
        kept = self.lengths - self.past[0].lengths
        width = self.history.shape[1]
        if lengths is None and (width == 0 or bool((kept == width).all())):
            return torch.cat([self.history, ids], 1)
        history = torch.cat([self.history, torch.zeros_like(ids)], 1)
        columns = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        valid = torch.ones_like(ids, dtype=torch.bool) if lengths is None else columns < lengths[:, None]
        rows = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)
        history[rows[valid], (kept[:, None] + columns)[valid]] = ids[valid]
        return history[:, : int((kept + valid.sum(1)).max())] if len(ids) else history

    def select(self, rows: Tensor) -> RecurrentState:
        """See `State.select`."""
        past = tuple(snapshot.select(rows) for snapshot in self.past)
        return RecurrentState(self.now.select(rows), past, self.history[rows], self.advance)

    def detach(self) -> RecurrentState:
        """Returns the state cut from the graph of gradients, for truncated backpropagation through time."""
        c = None if self.now.c is None else self.now.c.detach()
        now = Snapshot(self.now.h.detach(), c, self.now.lengths, self.now.position)
        return RecurrentState(now, (now,), self.history[:, :0], self.advance)

    def truncate(self, lengths: Tensor) -> RecurrentState:
        """See `State.truncate`.

        Raises:
            ValueError: When a length exceeds what the row has read, or lies before the history kept.
        """
        first = self.past[0].lengths
        if bool((lengths > self.lengths).any()):
            raise ValueError("cannot truncate to more tokens than were read")
        if bool((lengths < first).any()):
            raise ValueError("cannot truncate to before the history that was kept")
        if torch.equal(lengths, self.lengths):
            return self
        h, start = self.past[0].h, first
        c = self.past[0].c
        for snapshot in self.past[1:]:
            reached = snapshot.lengths <= lengths
            mask = reached[None, :, None]
            h = torch.where(mask, snapshot.h, h)
            c = None if c is None or snapshot.c is None else torch.where(mask, snapshot.c, c)
            start = torch.where(reached, snapshot.lengths, start)
        again = lengths - start
        columns = torch.arange(int(again.max()), device=lengths.device)
        places = (start - first)[:, None] + columns
        ids = self.history.gather(1, places.clamp(max=max(self.history.shape[1] - 1, 0)))
        _, h, c = self.advance(ids, h, c, again)
        past = tuple(s for s in self.past if bool((s.lengths <= lengths).all()))
        now = Snapshot(h, c, lengths, past[-1].position + len(columns))
        return RecurrentState(now, past, self.history[:, : int((lengths - first).max())], self.advance)


def _thin(past: tuple[Snapshot, ...], position: int) -> tuple[Snapshot, ...]:
    """Drops one snapshot if there are too many: the one whose gap is smallest for its age."""
    if len(past) <= SNAPSHOTS:
        return past

    def cost(index: int) -> float:
        gap = past[index + 1].position - past[index - 1].position
        return gap / (position - past[index].position + 1)

    dropped = min(range(1, len(past) - 1), key=cost)
    # The first is where the history begins, the last the present's nearest: both stay.
    return past[:dropped] + past[dropped + 1 :]
