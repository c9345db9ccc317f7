"""How long it takes to reach a loss: the law across trainings of different length, from two short ones.

Each training is made as its own time asks for (size, batch, schedule), so that its final loss is the best that this
time buys. Two laws act against each other:

- When the time is multiplied by `STEP`, the logarithm of the final loss falls; the next time by `RATIO` of that.
- Passes over the same text beyond `FREE_PASSES` teach less and less (compare Muennighoff et al. 2023): they raise
  ln L by `PENALTY` times the squared logarithm of their number over the free ones. With more time a fixed text is seen
  more often, so that the loss has a lowest point: the floor of this text with this recipe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

STEP = 4.0
"""Factor of time between two points of the law."""
RATIO, RATIO_SPREAD = 0.95, 0.15
"""What the fall of ln L keeps from one factor of time to the next, and its standard deviation. In the measured range no
levelling shows (`bench/laws.py`: 0.81 and 1.32 on two texts); a little is assumed."""
FREE_PASSES, PENALTY = 2.0, 0.0281
"""Passes without a loss, and the rise of ln L for the squared logarithm of the passes over these (`bench/laws.py`)."""
REPETITION_SPREAD = 0.5
"""Standard deviation of what repetition costs, as a share of it."""
MOST_DOUBLINGS = 40
"""Trainings up to 2**40 times as long as the probe are thought of."""
NINETY = 1.645
"""Standard deviations to either side that hold nine of ten."""
LEAST_RATIO, LARGEST_RATIO = 0.05, 0.995
SOFTEST, SHARPEST = 0.2, 200.0
"""Range of the sharpness of a mixture, per bit."""


class Law(NamedTuple):
    """How a loss goes on.

    Attributes:
        ratio: What the fall of ln L keeps from one factor of time to the next.
        cost: What repetition costs, as a share of the law's.
    """

    ratio: float
    cost: float


LIKELY = Law(RATIO, 1.0)
FAST, SLOW = (
    Law(
        min(max(RATIO + sign * NINETY * RATIO_SPREAD, LEAST_RATIO), LARGEST_RATIO),
        1.0 - sign * NINETY * REPETITION_SPREAD,
    )
    for sign in (1.0, -1.0)
)
"""Both parts at the same end of their intervals: together they hold more than nine of ten texts."""


@dataclass(frozen=True)
class Span:
    """A value with the interval that holds it in at least nine of ten texts; infinite where it is never reached.

    Attributes:
        likely: Most likely value.
        low: Lower end.
        high: Upper end.
    """

    likely: float
    low: float
    high: float


@dataclass(frozen=True)
class Reach:
    """Final losses of two trainings of one text, from which others are extrapolated.

    Attributes:
        short: Seconds of the shorter training.
        short_loss: Its final loss.
        long: Seconds of the longer one.
        long_loss: Its final loss.
        passes: Passes over the text that the longer one made.
        growth: Power of the time with which the passes grow: 1 for a model of fixed size, less where it grows too.
    """

    short: float
    short_loss: float
    long: float
    long_loss: float
    passes: float = 0.0
    growth: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.short < self.long or min(self.short_loss, self.long_loss) <= 0.0:
            raise ValueError("the shorter training must be shorter, and losses above zero")

    @property
    def fall(self) -> float:
        """Fall of ln L for a factor of `STEP` in time; 0 when the longer training was no better."""
        steps = math.log(self.long / self.short) / math.log(STEP)
        return max(math.log(self.short_loss / self.long_loss) / steps, 0.0)

    def loss(self, seconds: float, law: Law = LIKELY) -> float:
        """Final loss of a training of that length."""
        ratio, cost = law
        steps = math.log(seconds / self.long) / math.log(STEP)
        fall = self.fall * ratio / (1.0 - ratio) * (1.0 - ratio**steps)
        passes = self.passes * (seconds / self.long) ** self.growth
        repeated = cost * (repetition(passes) - repetition(self.passes))
        return self.long_loss * math.exp(repeated - fall)

    def seconds(self, loss: float, law: Law = LIKELY) -> float:
        """Length of the shortest training that ends at a loss; infinite when none does."""
        if loss >= self.long_loss:
            return self.long
        low = high = self.long
        for _ in range(MOST_DOUBLINGS):
            low, high = high, high * 2.0
            if self.loss(high, law) <= loss:
                break
        else:
            return math.inf
        for _ in range(50):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if self.loss(middle, law) <= loss else (middle, high)
        return high

    def floor(self, law: Law = LIKELY) -> float:
        """Lowest loss that a training of any length ends at, with this text and recipe, by the laws."""
        return min(self.loss(self.long * 2.0 ** (step / 4.0), law) for step in range(4 * MOST_DOUBLINGS))

    def seconds_span(self, loss: float) -> Span:
        """Length of the training that ends at a loss, with its interval."""
        return Span(*(self.seconds(loss, law) for law in (LIKELY, FAST, SLOW)))

    def floor_span(self) -> Span:
        """The floor with its interval."""
        return Span(*(self.floor(law) for law in (LIKELY, FAST, SLOW)))


def repetition(passes: float) -> float:
    """Rise of ln L that comes from seeing a text so often instead of as much new text."""
    return PENALTY * math.log(max(passes / FREE_PASSES, 1.0)) ** 2


def joint_loss(first: float, second: float, sharpness: float) -> float:
    """Loss of a mixture of two models from their own: -ln(exp(-k a) + exp(-k b)) / k, a soft minimum.

    k is a property of the text and the pair: how seldom both are good at the same token. Measured at one time of a
    training it holds at others (docs/lab.md).
    """
    low, high = min(first, second), max(first, second)
    return low - math.log1p(math.exp(-sharpness * (high - low))) / sharpness


def joint_sharpness(first: float, second: float, together: float) -> float:
    """The k of `joint_loss` from measured losses; `SHARPEST` where the mixture gains nothing."""
    low, high = SOFTEST, SHARPEST
    if joint_loss(first, second, high) <= together:
        return high
    if joint_loss(first, second, low) >= together:
        return low
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if joint_loss(first, second, middle) < together else (low, middle)
    return math.sqrt(low * high)


def needed_loss(together: float, other: float, sharpness: float) -> float:
    """Loss that one model must have so that its mixture with another has the loss `together`.

    Infinite where the other alone is good enough.
    """
    if together >= other:
        return math.inf
    return together - math.log1p(-math.exp(-sharpness * (other - together))) / sharpness
