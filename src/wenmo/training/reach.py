"""How long it takes to reach a loss: the law across trainings of different length, from two short ones.

Each training is made as its own time asks for (size, batch, schedule), so that its final loss is the best that this
time buys. When the time is multiplied by `STEP`, the logarithm of the final loss falls; the next time it falls by
`RATIO` of that. This is a power law with a floor, written so that its one shape parameter can be learned from other
texts: with two measured losses, the floor lies at the sum of a geometric series.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

STEP = 4.0
"""Factor of time between two points of the law."""
RATIO, RATIO_SPREAD = 0.7, 0.12
"""What the fall of ln L keeps from one factor of time to the next: median over texts, and standard deviation
(`bench/laws.py`)."""
NINETY = 1.645
"""Standard deviations to either side that hold nine of ten."""
LEAST_RATIO, LARGEST_RATIO = 0.05, 0.97
SOFTEST, SHARPEST = 0.2, 200.0
"""Range of the sharpness of a mixture, per bit."""


@dataclass(frozen=True)
class Span:
    """A value with the interval that holds it in about nine of ten texts; infinite where it is never reached.

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
    """

    short: float
    short_loss: float
    long: float
    long_loss: float

    def __post_init__(self) -> None:
        if not 0.0 < self.short < self.long or min(self.short_loss, self.long_loss) <= 0.0:
            raise ValueError("the shorter training must be shorter, and losses above zero")

    @property
    def fall(self) -> float:
        """Fall of ln L for a factor of `STEP` in time; 0 when the longer training was no better."""
        steps = math.log(self.long / self.short) / math.log(STEP)
        return max(math.log(self.short_loss / self.long_loss) / steps, 0.0)

    def loss(self, seconds: float, ratio: float = RATIO) -> float:
        """Final loss of a training of that length."""
        steps = math.log(seconds / self.long) / math.log(STEP)
        return self.long_loss * math.exp(-self._rest(ratio) * (1.0 - ratio**steps))

    def seconds(self, loss: float, ratio: float = RATIO) -> float:
        """Length of the training that ends at a loss; infinite when none does."""
        rest = self._rest(ratio)
        wanted = math.log(self.long_loss / loss)
        if wanted <= 0.0 and self.fall <= 0.0:
            return self.long
        if rest <= 0.0 or wanted >= rest:
            return math.inf
        steps = math.log(1.0 - wanted / rest) / math.log(ratio)
        return float(self.long * STEP ** min(steps, 100.0))

    def floor(self, ratio: float = RATIO) -> float:
        """Loss that no length of training gets below with this text and recipe, by the law."""
        return self.long_loss * math.exp(-self._rest(ratio))

    def seconds_span(self, loss: float) -> Span:
        """Length of the training that ends at a loss, with its interval."""
        return Span(*(self.seconds(loss, ratio) for ratio in (RATIO, *reversed(_ratios()))))

    def floor_span(self) -> Span:
        """The floor with its interval."""
        return Span(*(self.floor(ratio) for ratio in (RATIO, *reversed(_ratios()))))

    def _rest(self, ratio: float) -> float:
        """All that ln L still falls after the longer training."""
        return self.fall * ratio / (1.0 - ratio)


def _ratios() -> tuple[float, float]:
    """Ends of the interval of the ratio, the smaller one (slower progress) first."""
    low, high = RATIO - NINETY * RATIO_SPREAD, RATIO + NINETY * RATIO_SPREAD
    return max(low, LEAST_RATIO), min(high, LARGEST_RATIO)


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
    return (low * high) ** 0.5


def needed_loss(together: float, other: float, sharpness: float) -> float:
    """Loss that one model must have so that its mixture with another has the loss `together`.

    Infinite where the other alone is good enough.
    """
    if together >= other:
        return math.inf
    return together - math.log1p(-math.exp(-sharpness * (other - together))) / sharpness
