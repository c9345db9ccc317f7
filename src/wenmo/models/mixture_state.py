"""What a mixture remembers of the tokens read."""

from __future__ import annotations

from torch import Tensor

from .base import State
from .recollection import Recollection


class MixtureState(State):
    """One state for each member, the text the cache looks back at, and whether the model writes what comes next."""

    def __init__(
        self, states: tuple[State, ...], recent: Recollection | None = None, own: bool = False
    ) -> None:
        self.states = states
        self.recent = recent
        self.own = own
        self.lengths = states[0].lengths

    def select(self, rows: Tensor) -> MixtureState:
        """See `State.select`."""
        return MixtureState(
            tuple(state.select(rows.to(state.lengths.device)) for state in self.states),
            None if self.recent is None else self.recent.select(rows.to(self.recent.lengths.device)),
            self.own,
        )

    def truncate(self, lengths: Tensor) -> MixtureState:
        """See `State.truncate`."""
        return MixtureState(
            tuple(state.truncate(lengths.to(state.lengths.device)) for state in self.states),
            None if self.recent is None else self.recent.truncate(lengths.to(self.recent.lengths.device)),
            self.own,
        )

    def writing(self, own: bool) -> MixtureState:
        """See `State.writing`."""
        return MixtureState(tuple(state.writing(own) for state in self.states), self.recent, own)
