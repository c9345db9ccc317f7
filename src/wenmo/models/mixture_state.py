"""What a mixture remembers of the tokens read."""

from __future__ import annotations

from torch import Tensor

from .base import State
from .recollection import Recollection


class MixtureState(State):
    """One state for each member, and the text that the cache looks back at."""

    def __init__(self, states: tuple[State, ...], recent: Recollection | None = None) -> None:
        self.states = states
        self.recent = recent
        self.lengths = states[0].lengths

    def select(self, rows: Tensor) -> MixtureState:
        """See `State.select`."""
        return MixtureState(
            tuple(state.select(rows.to(state.lengths.device)) for state in self.states),
            None if self.recent is None else self.recent.select(rows.to(self.recent.lengths.device)),
        )

    def truncate(self, lengths: Tensor) -> MixtureState:
        """See `State.truncate`."""
        return MixtureState(
            tuple(state.truncate(lengths.to(state.lengths.device)) for state in self.states),
            None if self.recent is None else self.recent.truncate(lengths.to(self.recent.lengths.device)),
        )
