"""Where a learning curve ends, from its beginning.

After a share s of the time, with the local slope b = -d ln L / d ln t of the held-out loss L, the loss ends at
L(s) * exp(-a(s) * b). With a power law and a constant learning rate a(s) would be about ln(1/s); what is measured holds
what the decay of the learning rate gives, too (compare Hägele et al. 2024 and Tissue et al. 2024, who model it by the
area under the schedule). The law was fitted on this project's own trainings (`bench/laws.py`); their points stand in
`bench/results/laws.json`, and a test fits them again and compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SHARES = (0.33, 0.42, 0.5, 0.58, 0.67, 0.75, 0.83, 0.92)
"""Shares of the training for which the law is fitted; others lie between."""
GAINS = (1.6, 1.35, 1.1, 0.9, 0.7, 0.5, 0.35, 0.15)
"""a(s): how far the logarithm of the loss still falls, in units of its slope at that point."""
SPREADS = (0.02, 0.018, 0.015, 0.012, 0.01, 0.008, 0.006, 0.004)
"""Standard deviation of ln(predicted / measured), each text predicted by a law fitted on the others."""
WINDOW = 2.6
"""The slope at a time t is taken from t / WINDOW to t."""
EARLIEST = 0.3
"""Before this share of the time nothing is predicted."""
FEWEST_POINTS = 3


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


def slope(shares: Sequence[float], losses: Sequence[float]) -> float | None:
    """-d ln L / d ln t at the last point, by least squares over the last points; None where there are too few.

    Args:
        shares: Time of every evaluation, ascending, in any unit.
        losses: Held-out loss of each.
    """
    points = [
        (math.log(share), math.log(loss))
        for share, loss in zip(shares, losses, strict=True)
        if share >= shares[-1] / WINDOW and loss > 0.0 and math.isfinite(loss)
    ]
    if len(points) < FEWEST_POINTS:
        return None
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return -sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread > 0.0 else None


def predict_ending(shares: Sequence[float], losses: Sequence[float]) -> Ending | None:
    """Predicts the lowest held-out loss of a training from its beginning.

    It holds for the default schedule (warm-up of 2 %, linear decay over the last 60 %).

    Args:
        shares: Share of the training that was done at each evaluation, ascending, 0 to 1.
        losses: Held-out loss of each.

    Returns:
        The prediction; None before `EARLIEST`, at the end, or with too few evaluations.
    """
    if not shares or not EARLIEST <= shares[-1] < 1.0:
        return None
    fall = slope(shares, losses)
    if fall is None:
        return None
    gain, spread = between(shares[-1], GAINS), between(shares[-1], SPREADS)
    loss = losses[-1] * math.exp(-gain * max(fall, 0.0))
    best = min(losses)
    return Ending(
        min(loss, best),
        loss * math.exp(-1.645 * spread),
        min(loss * math.exp(1.645 * spread), best),
        shares[-1],
    )


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
