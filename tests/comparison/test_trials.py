import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.comparison.experiment import OVERHEAD_SECONDS, design, trial_seconds
from wenmo.comparison.trials import FEWEST_BLOCK_TOKENS, MOST_BLOCKS, Judge, block_edges, mix_two


@given(st.integers(2, 100_000))
def test_blocks_cover_the_text_in_nearly_equal_parts(count: int) -> None:
    edges = block_edges(count)
    lengths = np.diff([*edges, count])
    assert edges[0] == 0 and lengths.min() >= 1 and lengths.max() - lengths.min() <= 1
    assert len(edges) == 2 or (len(edges) <= MOST_BLOCKS and lengths.min() >= FEWEST_BLOCK_TOKENS)


def test_blocks_of_a_judge_add_up() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 5, 1000)
    judge = Judge(ids, np.array([0, 1, 2, 3, 4]), 0, np.ones(1000))
    nats = rng.random(1000)
    assert judge.blocks(nats).sum() == pytest.approx(nats.sum())
    assert judge.block_bytes.sum() == ids.sum()
    assert len(judge.blocks(nats)) == len(judge.block_bytes) == 1000 // FEWEST_BLOCK_TOKENS


def test_a_mixture_of_two_is_no_worse_than_either_and_finds_the_weight() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.exponential(2.0, 5000), rng.exponential(2.0, 5000)
    mixed, weight = mix_two(first, second)
    assert mixed.mean() < min(first.mean(), second.mean())
    grid = np.linspace(0.01, 0.99, 99)
    scores = [-np.log((1 - w) * np.exp(-first) + w * np.exp(-second)).mean() for w in grid]
    assert mixed.mean() == pytest.approx(min(scores), abs=1e-4) and weight == pytest.approx(
        grid[np.argmin(scores)], abs=0.02
    )
    alone, weight = mix_two(first, first + 50.0)  # the second never predicts anything
    assert weight < 0.01 and alone.mean() == pytest.approx(first.mean(), abs=0.01)
    assert np.isfinite(mix_two(first + 5000.0, second + 5000.0)[0]).all()


def test_the_design_gives_every_training_a_seed_of_its_own() -> None:
    rounds = design(3, 7)
    assert [item.share for item in rounds] == [0.25, 0.5, 1.0, 1.0, 1.0]
    assert len({item.seed for item in rounds}) == 5 and [item.seed for item in rounds[2:]] == [7, 8, 9]


@given(st.floats(60, 7200), st.integers(2, 8), st.integers(2, 6))
def test_all_trials_fit_into_the_time(seconds: float, families: int, seeds: int) -> None:
    rounds = design(seeds, 0)
    longest = trial_seconds(seconds, families, rounds)
    training = families * longest * sum(item.share for item in rounds)
    assert training + families * len(rounds) * OVERHEAD_SECONDS <= seconds or longest < 0
    if seconds > 600:
        assert training > 0.6 * seconds
