"""How the budget of a run is divided, and divided again at each stage by what was measured until then.

What comes after the last training is planned before it: every stage of the finish is expected to take a measured time,
and training ends when exactly these are left. Each stage then gets its share of what really is left; the last one that
can do more or less, the sample of written texts, takes up the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from wenmo.interrupts import raise_lost_interrupt

FINISH_SECONDS = 4.0
"""Samples, report and saving, on two slow cores, until they are measured."""
SCORING_SHARE = 0.06
"""Largest share of the budget for scoring the test text; as much again is for fitting the weights of a mixture."""
SCORING_SECONDS_PER_BYTE = 5e-5
"""Time to score a byte with all members, generously, until the members' own speeds are known."""
SCORING_MARGIN = 1.15
"""Fitting weights, and what is done once for each scoring, on top of the measured speeds."""
PPMD_SECONDS_PER_BYTE = 5e-7
"""Time in which PPMd reads a byte of training text on a slow core, until it is measured."""
XZ_BYTES_PER_SECOND = 300_000
"""Speed of xz -9e on one slow core; bounds the training text that xz reads first where the budget is short."""
MOST_BYTES = 32_000_000
"""Compressors read no more training text than this."""
VARIETY_SHARE, SHORTEST_VARIETY, LONGEST_VARIETY = 0.02, 2.0, 12.0
"""Share of the budget, and fewest and most seconds, for judging variety: half to write, half to look for copies."""
SAMPLES_SHARE = 0.03
"""Largest share of the budget for writing the samples."""
COUNTING_SHARE, BASELINE_SHARE = 0.25, 0.08
"""Largest share of the budget for the n-gram model as a member, and as a mere baseline."""
LEAST_SLOPE = 0.5
"""See `Cost.through`."""
LEAVING_SHARE = 0.1
"""A process takes about this share of the time from its start to the first stage for printing and leaving."""
UNBOUNDED_SCORING = 30.0
"""Seconds for each stage of scoring and writing where steps or epochs decide instead of a budget."""
FINISH = ("weights", "scores", "samples", "variety", "saving", "leaving")
"""What comes after the last training, in order."""
STRETCH = 3.0
"""The last elastic stage takes at most this many times what was planned for it."""
ELASTIC = ("weights", "samples", "variety")
"""Stages that do less where time is short; the text that is scored is chosen before and stays."""


@dataclass(frozen=True)
class Cost:
    """Seconds that work on a stream of tokens takes.

    Attributes:
        once: Whatever its length.
        token: For each token.
    """

    once: float
    token: float

    @classmethod
    def through(cls, fewer: int, short: float, more: int, long: float) -> Cost:
        """The line through two timings: of `fewer` tokens in `short` seconds, and of `more` in `long`.

        A token costs at least `LEAST_SLOPE` of the mean over the longer stretch, whatever disturbed the shorter one.
        """
        mean = long / more
        token = max((long - short) / (more - fewer), LEAST_SLOPE * mean) if more > fewer else mean
        return cls(max(long - token * more, 0.0), token)

    def of(self, tokens: int) -> float:
        """Seconds for so many tokens."""
        return self.once + self.token * tokens

    def tokens(self, seconds: float, most: int) -> int:
        """Tokens that so many seconds are enough for, of `most` that there are."""
        return int(min(max(seconds - self.once, 0.0) / max(self.token, 1e-9), most))


@dataclass
class Clock:
    """The wall clock of a run.

    Attributes:
        budget: Seconds for everything; None when steps or epochs decide.
        started: `now()` at which the run began.
        text_bytes: Bytes of training text, once they are known.
        held_out_bytes: Bytes of the larger of the two held-out splits, once they are known.
        scoring_speeds: Member -> bytes that it scores in a second, once it is known.
        fitting: What fitting the weights of a mixture costs; nothing until it is known.
        expected: Stage of the finish that is still to come -> seconds it is expected to take, once that is measured.
        spent: Stage -> seconds that it took, in the order in which they ended.
        primed: Whether the compressors have read the training text.
        now: Tells the time in seconds; tests give another one.
    """

    budget: float | None
    started: float
    text_bytes: int = 0
    held_out_bytes: float = float("inf")
    scoring_speeds: dict[str, float] = field(default_factory=dict)
    fitting: Cost = Cost(0.0, 0.0)
    expected: dict[str, float] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    primed: bool = False
    now: Callable[[], float] = time.monotonic

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.now() - self.started

    @property
    def left(self) -> float:
        """Seconds until the budget ends; infinite without one."""
        return float("inf") if self.budget is None else self.budget - self.elapsed

    @contextmanager
    def stage(self, name: str) -> Iterator[float]:
        """Measures a stage and gives its `allowance`; when it has begun it is no longer expected.

        Stages inside it count for themselves.

        Raises:
            KeyboardInterrupt: Where Ctrl-C was pressed before and got lost.
        """
        raise_lost_interrupt()
        seconds = self.allowance(name)
        self.expected.pop(name, None)
        began = self.now()
        inner = sum(self.spent.values())
        try:
            yield seconds
        finally:
            inside = sum(self.spent.values()) - inner
            self.spent[name] = self.spent.get(name, 0.0) + self.now() - began - inside

    @property
    def scoring(self) -> float:
        """Most seconds for scoring the test text; as many for the text that steers."""
        return UNBOUNDED_SCORING if self.budget is None else SCORING_SHARE * self.budget

    @property
    def xz(self) -> float:
        """Seconds that xz may read training text."""
        return 0.5 * self.scoring

    @property
    def variety(self) -> float:
        """Seconds that judging variety is planned with."""
        if self.budget is None:
            return LONGEST_VARIETY
        return min(max(VARIETY_SHARE * self.budget, SHORTEST_VARIETY), LONGEST_VARIETY)

    @property
    def rivals(self) -> float:
        """Seconds that the compressors are expected to read, before that is measured."""
        if self.primed:
            return 0.0
        read = min(self.text_bytes, MOST_BYTES)
        return PPMD_SECONDS_PER_BYTE * read + min(read / XZ_BYTES_PER_SECOND, self.xz)

    def scoring_seconds(self, num_bytes: float, unknown: int = 0) -> float:
        """Seconds for scoring so many bytes with all members, within the share of the budget.

        Args:
            num_bytes: UTF-8 bytes.
            unknown: Members whose speed is not known yet; each is taken to be as slow as the slowest known one.
        """
        known = [1.0 / speed for speed in self.scoring_speeds.values()]
        per_byte = SCORING_MARGIN * (sum(known) + unknown * max(known, default=0.0))
        if len(known) < 2:  # at most the n-gram model, which is fast
            per_byte = max(per_byte, SCORING_SECONDS_PER_BYTE)
        return min(self.scoring, per_byte * num_bytes)

    def reserve(self, models: int = 0) -> float:
        """Seconds to be left when the last neural training ends.

        Measured ones where the stages of the finish are expected; else what similar machines need.

        Args:
            models: Members whose speed is not known yet.
        """
        if self.expected:
            return sum(self.expected.values())
        scoring = 0.5 + self.scoring_seconds(self.held_out_bytes, models)
        return FINISH_SECONDS + 2.0 * scoring + self.variety + self.rivals

    def training(self, models: int, undecided: int | None = None) -> float:
        """Seconds for the next of `models` neural trainings still to come.

        Args:
            models: How many they are.
            undecided: How many of them have no known speed; all when not given.
        """
        reserve = self.reserve(models if undecided is None else undecided)
        return max(self.left - reserve, 0.0) / max(models, 1)

    def plan_finish(self, seconds: dict[str, float]) -> None:
        """Sets what the stages of the finish are expected to take, from measurements.

        Raises:
            ValueError: When one is not of the finish.
        """
        unknown = set(seconds) - set(FINISH)
        if unknown:
            raise ValueError(f"{min(unknown)} is not a stage of the finish")
        self.expected = {name: seconds[name] for name in FINISH if name in seconds}

    def allowance(self, name: str) -> float:
        """Seconds that a stage may take now; infinite for one that is not expected, but for variety.

        With as much time left as was planned, or more, it is what was expected; the last elastic stage also takes
        what is left over, up to `STRETCH` times that. With less, all elastic stages to come are shortened in
        proportion. Without a budget a run must not depend on how fast it went: stages get ample time.
        """
        wanted = self.expected.get(name, self.variety if name == "variety" else float("inf"))
        if self.budget is None and name != "variety":
            return max(wanted, UNBOUNDED_SCORING)
        if self.budget is None or name not in self.expected or name not in ELASTIC:
            return wanted
        elastic = [stage for stage in ELASTIC if stage in self.expected]
        room = self.left - sum(self.expected.values()) + sum(self.expected[stage] for stage in elastic)
        planned = sum(self.expected[stage] for stage in elastic)
        if elastic and name == elastic[-1]:
            return min(max(room, 0.0), STRETCH * wanted)
        if room >= planned:
            return wanted
        return max(room, 0.0) * wanted / planned if planned else 0.0

    @property
    def early(self) -> float:
        """Share of the budget that is left; below zero when it was overrun, and zero without a budget."""
        return 0.0 if self.budget is None else self.left / self.budget
