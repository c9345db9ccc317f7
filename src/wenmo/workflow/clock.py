"""How the budget of a run is divided."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

FINISH_SECONDS = 4.0
"""Report, samples and saving, measured on two cores."""
SECONDS_PER_BYTE = 1.2e-6
"""Time that the end of a run takes for each byte of training text: compressors read it, n-gram tables are saved."""
MOST_BYTES = 32_000_000
"""Compressors read no more training text than this."""
SCORING_SHARE = 0.06
"""Largest share of the budget for scoring the test text; as much again is for fitting the weights of a mixture."""
SCORING_SECONDS_PER_BYTE = 5e-5
"""Time to score a byte with all members, generously, until the members' own speeds are known."""
SCORING_MARGIN = 1.3
"""Scoring may take this much longer than the measured speeds say."""
VARIETY_SHARE, SHORTEST_VARIETY, LONGEST_VARIETY = 0.01, 1.0, 6.0
"""Share of the budget, and fewest and most seconds, for writing texts to judge variety by; as much again to search for
copies."""
COUNTING_SHARE = 0.25
"""Largest share of the budget for the n-gram model."""


@dataclass
class Clock:
    """The wall clock of a run.

    Attributes:
        budget: Seconds for everything; None when steps or epochs decide.
        started: `time.monotonic()` at which the run began.
        text_bytes: Bytes of training text, once they are known.
        held_out_bytes: Bytes of the larger of the two held-out splits, once they are known.
        scoring_speeds: Member -> bytes that it scores in a second, once it is known.
    """

    budget: float | None
    started: float
    text_bytes: int = 0
    held_out_bytes: float = float("inf")
    scoring_speeds: dict[str, float] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until the budget ends; infinite without one."""
        return float("inf") if self.budget is None else self.budget - self.elapsed

    @property
    def scoring(self) -> float:
        """Most seconds for scoring the test text; as many for the text that steers."""
        return 30.0 if self.budget is None else SCORING_SHARE * self.budget

    @property
    def variety(self) -> float:
        """Seconds for writing texts whose variety is judged; about as many to look for copies in them."""
        if self.budget is None:
            return LONGEST_VARIETY
        return min(max(VARIETY_SHARE * self.budget, SHORTEST_VARIETY), LONGEST_VARIETY)

    def reserve(self, models: int = 0) -> float:
        """Seconds to be left when the last neural training ends.

        Args:
            models: Members whose speed is not known yet; each is taken to be as slow as the slowest known one.
        """
        known = [1.0 / speed for speed in self.scoring_speeds.values()]
        per_byte = SCORING_MARGIN * (sum(known) + models * max(known, default=0.0))
        if len(known) < 2:  # at most the n-gram model, which is fast
            per_byte = max(per_byte, SCORING_SECONDS_PER_BYTE)
        scoring = min(self.scoring, 1.0 + per_byte * self.held_out_bytes)
        reading = SECONDS_PER_BYTE * min(self.text_bytes, MOST_BYTES)
        return FINISH_SECONDS + 2.0 * (scoring + self.variety) + reading

    def training(self, models: int, undecided: int | None = None) -> float:
        """Seconds for the next of `models` neural trainings still to come.

        Args:
            models: How many they are.
            undecided: How many of them have no known speed; all when not given.
        """
        reserve = self.reserve(models if undecided is None else undecided)
        return max(self.left - reserve, 0.0) / max(models, 1)
