"""Learning curves of finished trainings, extrapolated to a longer one with error bars.

A family's curve is y(t) = a + b (t / t_max)^-c: bits per byte y of trainings that were given t seconds each and
finished their schedule, an offset a that no time removes, and a power law above it (Hestness et al. 2017; Hoffmann et
al. 2022 use the same form). With three lengths the exponent is hardly determined, so nothing is read off a single best
fit: for each exponent of a grid a and b are fitted by least squares, and all exponents count by how well they explain
the points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXPONENTS = np.geomspace(0.05, 2.0, 48)
"""Exponents c that are tried, for time relative to the longest trial."""
TYPICAL_EXPONENT, EXPONENT_SPREAD = 0.25, 0.8
"""Prior of c: log-normal around this, with this standard deviation of the logarithm."""
LOWEST_OFFSET = 0.3
"""No time brings a model below this share of the lowest measured score: text has an entropy."""
LEAST_NOISE = 0.002
"""Smallest relative standard deviation of a score: clocks and batches are never repeated exactly."""
MISFIT = 0.02
"""Relative standard deviation that each doubling beyond the longest trial adds, since a curve is no exact power law."""
CANDIDATES, DRAWS = 48_000, 4_000
"""Curves drawn from the fit, and the most that are kept of those within the bounds."""
FEWEST = 100
"""With fewer curves than this within the bounds, the points do not fall, and a level curve is taken."""


@dataclass(frozen=True)
class Curve:
    """A learning curve and what is not known about it, as draws from its distribution.

    Attributes:
        offset: a of each draw (D,), bits per byte.
        excess: b of each draw (D,), bits per byte above the offset at the longest trial.
        exponent: c of each draw (D,).
        longest: Seconds t_max of the longest trial.
        seed: Seed of the draws for the misfit.
    """

    offset: Floats
    excess: Floats
    exponent: Floats
    longest: float
    seed: int

    def draws(self, seconds: float) -> Floats:
        """Bits per byte of each draw (D,) after a training of so many seconds."""
        ratio = max(seconds, 1e-9) / self.longest
        values = self.offset + self.excess * ratio**-self.exponent
        doublings = max(float(np.log2(ratio)), 0.0)
        shifts = np.random.default_rng(self.seed).standard_normal(len(values))
        return np.asarray(values * (1.0 + MISFIT * doublings**0.5 * shifts))

    def at(self, seconds: float, level: float = 0.95) -> tuple[float, float, float]:
        """Median and the ends of the central interval at a level, bits per byte."""
        tail = (1.0 - level) / 2.0
        middle, low, high = np.quantile(self.draws(seconds), [0.5, tail, 1.0 - tail])
        return float(middle), float(low), float(high)


def fit_curve(
    seconds: Floats, scores: Floats, *, noise: float = 0.0, freedom: float = 0.0, seed: int = 0
) -> Curve:
    """Fits a curve to the scores of finished trainings of several lengths.

    For an exponent c of `EXPONENTS`, (a, b) are those of least squares; with a flat prior on them and a scaled inverse
    chi-squared one on the variance, the exponent's weight is its prior times |X'X|^-1/2 S^(-(n - 2 + v) / 2), where S
    is the residual sum of squares plus v times the known variance (Gelman et al., Bayesian Data Analysis, 14.2).
    Curves are drawn exactly: c by weight, the variance, then (a, b) from their normal distribution; those with
    b < 0 (more time hurts; the best weights are kept, so it does not) or an offset out of bounds are thrown away.

    Args:
        seconds: Length of each training (n,), above 0; at least two different ones.
        scores: Bits per byte of each (n,).
        noise: Standard deviation of a score that is known from elsewhere, such as the spread over seeds.
        freedom: Degrees of freedom behind `noise`; 0 when nothing is known.
        seed: Seed of the draws.

    Raises:
        ValueError: When there are not two lengths, or a number is not finite.
    """
    times, values = np.asarray(seconds, np.float64), np.asarray(scores, np.float64)
    if not (np.isfinite(times).all() and np.isfinite(values).all() and (times > 0).all()):
        raise ValueError("lengths must be above 0, and scores finite")
    if len(np.unique(times)) < 2:
        raise ValueError("a curve needs trainings of at least two lengths")
    rng = np.random.default_rng(seed)
    longest, lowest = float(times.max()), float(values.min())
    known = freedom + 1.0
    variance = (freedom * max(noise, LEAST_NOISE * lowest) ** 2 + (LEAST_NOISE * lowest) ** 2) / known
    shape = known + len(values) - 2
    weights, centres, roots, squares = [], [], [], []
    for exponent in EXPONENTS:
        design = np.stack([np.ones_like(times), (times / longest) ** -exponent], 1)
        inverse = np.linalg.inv(design.T @ design)
        best = inverse @ design.T @ values
        total = float(((values - design @ best) ** 2).sum()) + known * variance
        prior = -0.5 * (np.log(exponent / TYPICAL_EXPONENT) / EXPONENT_SPREAD) ** 2
        weights.append(prior + 0.5 * np.linalg.slogdet(inverse)[1] - 0.5 * shape * np.log(total))
        centres.append(best)
        roots.append(np.linalg.cholesky(inverse))
        squares.append(total)
    share = np.exp(np.array(weights) - max(weights))
    chosen = rng.choice(len(EXPONENTS), CANDIDATES, p=share / share.sum())
    spread = np.sqrt(np.array(squares)[chosen] / rng.chisquare(shape, CANDIDATES))
    steps = np.einsum("dij,dj->di", np.stack(roots)[chosen], rng.standard_normal((CANDIDATES, 2)))
    offset, excess = (np.stack(centres)[chosen] + spread[:, None] * steps).T
    kept = np.flatnonzero((excess >= 0) & (offset >= LOWEST_OFFSET * lowest))[:DRAWS]
    if len(kept) >= FEWEST:
        return Curve(offset[kept], excess[kept], EXPONENTS[chosen][kept], longest, seed)
    last = values[times == longest]
    level = last.mean() + np.sqrt(variance / len(last)) * rng.standard_t(known, DRAWS)
    return Curve(level, np.zeros(DRAWS), np.ones(DRAWS), longest, seed)
