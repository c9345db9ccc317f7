"""The test of a comparison: text noise by a paired bootstrap, seed noise by its spread, Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""Probability of calling any two equal families different."""
RESAMPLES = 20_000

STATEMENT = (
    "Two families differ if the two-sided p-value of their mean difference in bits per byte, corrected by Holm over "
    "all pairs of families, is below {level:g}. The distribution of the difference has two independent parts: the "
    "text, by {resamples:,} paired bootstrap resamples of {blocks} blocks of the held-out text (the same blocks for "
    "all families and seeds), and the seeds, by Student's t with {freedom} degrees of freedom, scaled by the spread "
    "that is left between trainings after the means of families and of rounds are taken off (randomised block "
    "design), pooled over families."
)


@dataclass(frozen=True)
class Difference:
    """A pair of families.

    Attributes:
        first: Index of one family.
        second: Index of the other.
        mean: Score of the first less that of the second, bits per byte; below 0 the first is better.
        low: Lower end of its central 95 % interval.
        high: Upper end of it.
        p: Two-sided p-value for the difference alone.
        p_holm: The same, corrected for all pairs.
        distinguishable: Whether `p_holm` is below `LEVEL`.
    """

    first: int
    second: int
    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    distinguishable: bool


@dataclass(frozen=True)
class Verdict:
    """What the test says.

    Attributes:
        means: Score of each family (F,), bits per byte.
        low: Lower ends of the central 95 % intervals of the means (F,).
        high: Upper ends of them.
        differences: All pairs.
        seed_noise: Standard deviation of one training, bits per byte.
        freedom: Degrees of freedom behind it.
        statement: The test in words, with its numbers.
    """

    means: Floats
    low: Floats
    high: Floats
    differences: list[Difference]
    seed_noise: float
    freedom: int
    statement: str


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for several comparisons (Holm 1979); the chance of any false finding stays below the level."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def seed_noise(scores: Floats) -> tuple[float, int]:
    """Spread of one training, free of what a whole round had in common (a busy machine).

    Args:
        scores: Bits per byte (F, S) of F families in S rounds.

    Returns:
        Standard deviation and its degrees of freedom, (F - 1)(S - 1).
    """
    families, rounds = scores.shape
    freedom = (families - 1) * (rounds - 1)
    rest = scores - scores.mean(0, keepdims=True) - scores.mean(1, keepdims=True) + scores.mean()
    return float(np.sqrt((rest**2).sum() / freedom)), freedom


def judge(nats: Floats, num_bytes: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Verdict:
    """Tests all pairs of families.

    Args:
        nats: Natural-log losses (F, S, B) of F families, S seeds (rounds) and B blocks of held-out text.
        num_bytes: UTF-8 bytes of each block (B,).
        resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Raises:
        ValueError: With fewer than two families, seeds or blocks.
    """
    families, rounds, blocks = nats.shape
    if min(families, rounds, blocks) < 2:
        raise ValueError("the test needs two families, two seeds and two blocks at least")
    rng = np.random.default_rng(seed)
    bits = nats / np.log(2.0)
    scores = bits.sum(2) / num_bytes.sum()
    noise, freedom = seed_noise(scores)
    means = scores.mean(1)
    counts = rng.multinomial(blocks, np.full(blocks, 1.0 / blocks), resamples).astype(np.float64)
    drawn = counts @ bits.mean(1).T / (counts @ num_bytes)[:, None]
    # Resampling B blocks shows the spread of a mean too small by (B - 1) / B.
    text = (drawn - means) * (blocks / (blocks - 1)) ** 0.5
    pairs = list(combinations(range(families), 2))
    found = []
    for first, second in pairs:
        seeds = noise * (2.0 / rounds) ** 0.5 * rng.standard_t(freedom, resamples)
        mean = float(means[first] - means[second])
        draws = mean + text[:, first] - text[:, second] + seeds
        low, high = np.quantile(draws, [0.025, 0.975])
        side = min((draws <= 0).sum(), (draws >= 0).sum())
        found.append((mean, float(low), float(high), min(1.0, 2.0 * (float(side) + 1.0) / (resamples + 1.0))))
    corrected = holm([p for *_, p in found])
    own = means + text + noise / rounds**0.5 * rng.standard_t(freedom, (resamples, families))
    low_ends, high_ends = np.quantile(own, [0.025, 0.975], axis=0)
    differences = [
        Difference(first, second, *values, p_holm=p, distinguishable=p < LEVEL)
        for (first, second), values, p in zip(pairs, found, corrected, strict=True)
    ]
    statement = STATEMENT.format(level=LEVEL, resamples=resamples, blocks=blocks, freedom=freedom)
    return Verdict(means, low_ends, high_ends, differences, noise, freedom, statement)
