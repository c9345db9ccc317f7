"""How the budget of a run is divided."""

from __future__ import annotations

import time
from dataclasses import dataclass

FINISH_SECONDS = 4.0
"""Report, samples and saving, measured on two cores."""
SECONDS_PER_BYTE = 1.2e-6
"""Time that the end of a run takes for each byte of training text: compressors read it, n-gram tables are saved."""
MOST_BYTES = 32_000_000
"""Compressors read no more training text than this."""
SCORING_SHARE = 0.06
"""Largest share of the budget for scoring the test text; as much again is for fitting the weights of a mixture."""
SCORING_SECONDS_PER_BYTE = 5e-5
"""Time to score a byte with all members, generously: a short test text needs less than its share of a long budget."""
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
    """

    budget: float | None
    started: float
    text_bytes: int = 0
    held_out_bytes: float = float("inf")

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
        """Seconds for scoring the test text; as many for the text that steers."""
        if self.budget is None:
            return 30.0
        return min(SCORING_SHARE * self.budget, 1.0 + SCORING_SECONDS_PER_BYTE * self.held_out_bytes)

    @property
    def reserve(self) -> float:
        """Seconds to be left when the last neural training ends."""
        reading = SECONDS_PER_BYTE * min(self.text_bytes, MOST_BYTES)
        return FINISH_SECONDS + 2.0 * self.scoring + reading

    def training(self, models: int) -> float:
        """Seconds for the next of `models` neural trainings still to come."""
        return max(self.left - self.reserve, 0.0) / max(models, 1)
