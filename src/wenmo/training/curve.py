"""Where a learning curve ends, from its beginning.

After a share s of the time, let d = ln L(s / 2) - ln L(s) be what the logarithm of the held-out loss fell while the
time doubled, and B(s) the lowest loss so far. The loss then ends at B(s) * exp(-g(s) * d - c(s)). With a power law and
a constant learning rate g(s) would be about log2(1 / s), and c(s) nothing; what is measured holds what the decay of the
learning rate gives, too, part of it however slowly the loss fell before (compare Hägele et al. 2024, and Tissue et al.
2024, who model it by the area under the schedule). The law was fitted on this project's own trainings
(`bench/laws.py`); their points stand in `bench/results/laws.points.jsonl`, and a test fits them again and compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SHARES = (1 / 3, 5 / 12, 1 / 2, 7 / 12, 2 / 3, 3 / 4, 5 / 6, 11 / 12)
"""Shares of the training for which the law is fitted; others lie between."""
GAINS = (0.842, 0.774, 0.602, 0.516, 0.34, 0.163, 0.075, 0.026)
"""g(s)."""
COOLINGS = (0.0303, 0.0227, 0.0177, 0.0084, 0.0073, 0.0077, 0.0045, 0.0019)
"""c(s)."""
SPREADS = (0.0227, 0.0173, 0.0132, 0.0091, 0.0063, 0.0053, 0.0039, 0.0024)
"""Standard deviation of ln(predicted / measured), each text predicted by a law fitted on the others."""
NINETY = 1.645
"""Standard deviations to either side that hold nine of ten."""
EARLIEST, SURE = 0.4, 0.55
"""Before the first share of the time nothing is predicted: at a third of it one in five is off by more than 3 %, at
five twelfths one in twelve. From the second on all of 72 recorded trainings were within 3 %."""

STEEPEST = 0.15
"""Fall of ln L in the last doubling above which nothing is predicted: the law was fitted on falls up to 0.141."""


@dataclass(frozen=True)
class Ending:
    """Where a training will end.

    Attributes:
        loss: Lowest held-out loss expected at its end, in the unit of the curve.
        low: Lower end of the interval that holds it in about nine of ten trainings.
        high: Its upper end.
        share: Share of the training that was seen.
    """

    loss: float
    low: float
    high: float
    share: float


def last_fall(shares: Sequence[float], losses: Sequence[float]) -> float | None:
    """Fall of ln L from half of the time of the last evaluation to it; None where the first evaluation came later.

    Args:
        shares: Time of every evaluation, ascending, in any unit.
        losses: Held-out loss of each; between evaluations ln L is taken to be linear in ln t.
    """
    half = shares[-1] / 2.0
    for index in range(len(shares) - 1):
        (low, high), (before, after) = shares[index : index + 2], losses[index : index + 2]
        if 0.0 < low <= half <= high and min(before, after, losses[-1]) > 0.0:
            part = math.log(half / low) / math.log(high / low) if high > low else 0.0
            middle = (1.0 - part) * math.log(before) + part * math.log(after)
            return middle - math.log(losses[-1])
    return None


def predict_ending(shares: Sequence[float], losses: Sequence[float]) -> Ending | None:
    """Predicts the lowest held-out loss of a training from its beginning.

    It holds for the default schedule (warm-up of 2 %, linear decay over the last 60 %).

    Args:
        shares: Share of the training that was done at each evaluation, ascending, 0 to 1.
        losses: Held-out loss of each.

    Returns:
        The prediction; None before `EARLIEST`, at the end, with too few evaluations, or while the loss falls faster
        than any that the law was fitted on.
    """
    if not shares or not EARLIEST <= shares[-1] < 1.0:
        return None
    best = min(losses)
    fall = last_fall(shares, losses)
    if fall is None or not math.isfinite(fall) or fall > STEEPEST:
        return None
    gain, cooling, spread = (between(shares[-1], law) for law in (GAINS, COOLINGS, SPREADS))
    # A loss that rises already ends at its best: the best weights are kept.
    loss = best * math.exp(-max(gain * fall + cooling, 0.0))
    width = math.exp(NINETY * spread)
    return Ending(loss, loss / width, min(loss * width, best), shares[-1])


def between(share: float, values: Sequence[float]) -> float:
    """Value of a law at a share of the training: linear between `SHARES`, 0 at the end."""
    places, heights = (*SHARES, 1.0), (*values, 0.0)
    if share <= places[0]:
        return heights[0]
    for index in range(1, len(places)):
        if share <= places[index]:
            low, high = places[index - 1], places[index]
            part = (share - low) / (high - low)
            return heights[index - 1] + part * (heights[index] - heights[index - 1])
    return 0.0
