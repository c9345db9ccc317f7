import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.comparison.testing import holm, judge, seed_noise

BLOCKS = 60
BYTES = np.full(BLOCKS, 100.0)


def losses(rng, means, seeds: int = 3, seed_sd: float = 0.01):
    """Made losses (F, S, B): texts of uneven difficulty, rounds on an uneven machine, seeds, and their interaction."""
    families = len(means)
    bits = np.asarray(means)[:, None, None] + rng.normal(0, 0.3, (1, 1, BLOCKS))
    bits = bits + rng.normal(0, 0.03, (1, seeds, 1)) + rng.normal(0, seed_sd, (families, seeds, 1))
    bits = bits + rng.normal(0, 0.05, (families, 1, BLOCKS)) + rng.normal(0, 0.05, (families, seeds, BLOCKS))
    return bits * np.log(2.0) * BYTES


@pytest.mark.parametrize(("families", "seeds"), [(2, 2), (2, 3), (4, 3)])
def test_equal_families_are_rarely_called_different(families: int, seeds: int) -> None:
    rng = np.random.default_rng(families * 10 + seeds)
    trials = 200
    found = 0
    for number in range(trials):
        verdict = judge(losses(rng, [2.0] * families, seeds), BYTES, resamples=800, seed=number)
        found += any(pair.distinguishable for pair in verdict.differences)
    # Level 0.05 for all pairs together, and three standard errors of the simulation.
    assert found / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_families_that_differ_only_by_luck_of_the_seed_are_not_told_apart_by_many_blocks() -> None:
    rng = np.random.default_rng(5)
    found = [
        judge(losses(rng, [2.0, 2.0], 2, seed_sd=0.2), BYTES, resamples=800, seed=number)
        .differences[0]
        .distinguishable
        for number in range(100)
    ]
    assert np.mean(found) <= 0.12


def test_different_families_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    verdict = judge(losses(rng, [2.0, 2.2, 2.005]), BYTES)
    pairs = {(pair.first, pair.second): pair for pair in verdict.differences}
    assert pairs[0, 1].distinguishable and pairs[1, 2].distinguishable and not pairs[0, 2].distinguishable
    assert pairs[0, 1].low < pairs[0, 1].mean < pairs[0, 1].high < 0
    assert pairs[0, 1].mean == pytest.approx(-0.2, abs=0.05)
    assert all(
        low < mean < high for low, mean, high in zip(verdict.low, verdict.means, verdict.high, strict=True)
    )
    assert "60 blocks" in verdict.statement and "4 degrees of freedom" in verdict.statement


def test_a_slow_round_harms_nobody() -> None:
    scores = np.array([[2.0, 2.5, 2.1], [2.1, 2.6, 2.2]])  # all of a round's trainings suffered alike
    assert seed_noise(scores) == (pytest.approx(0.0, abs=1e-12), 2)


def test_blocks_count_by_their_bytes() -> None:
    nats = np.zeros((2, 2, 2))
    nats[0], nats[1] = [10.0, 10.0], [10.0, 20.0]
    verdict = judge(nats, np.array([10.0, 30.0]))
    assert verdict.means == pytest.approx(np.array([20, 30]) / 40 / np.log(2))


def test_too_little_is_refused() -> None:
    for shape in [(1, 3, 5), (2, 1, 5), (2, 3, 1)]:
        with pytest.raises(ValueError):
            judge(np.ones(shape), np.ones(shape[2]))


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_order_and_is_no_smaller(values: list[float]) -> None:
    corrected = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, corrected, strict=True))
    order = sorted(range(len(values)), key=lambda index: values[index])
    assert [corrected[index] for index in order] == sorted(corrected)
