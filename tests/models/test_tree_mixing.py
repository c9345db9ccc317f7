import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.models import token_tree, tree_mixing


def distributions(rows, size, seed=0):
    logs = np.log(np.random.default_rng(seed).dirichlet(np.full(size, 0.5), rows) + 1e-4)
    return (logs - np.log(np.exp(logs).sum(1, keepdims=True))).astype(np.float32)


def path_odds(logs, ids, tree):
    order = np.argsort(tree.rank)
    ends = np.cumsum(np.diff(tree.path_offsets)[ids])
    places, odds = np.append(0, ends[:-1]), np.zeros(ends[-1], np.float32)
    rest = (np.exp(logs), ids, order, tree.middle, tree.path, tree.path_offsets, places, odds)
    for part, (first, last) in enumerate(((0, len(ids) // 2), (len(ids) // 2, len(ids)))):
        tree_mixing.path_odds(first, last, part, *rest)
    return odds


def bits_of(ids, tree):
    return np.concatenate([tree.path[tree.path_offsets[i] : tree.path_offsets[i + 1]] & 1 for i in ids])


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 99))
def test_ranks_tell_which_side_of_a_node_a_token_is_on(size, seed):
    counts = np.random.default_rng(seed).integers(0, 100, size)
    pieces = [bytes([i]) for i in range(size)]
    tree = token_tree.build(pieces, token_tree.shape(pieces, counts))
    rank, middle = tree.rank, tree.middle
    assert sorted(rank) == list(range(size))
    for token in range(size):
        for step in tree.path[tree.path_offsets[token] : tree.path_offsets[token + 1]]:
            assert (rank[token] >= middle[step >> 1]) == bool(step & 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.integers(0, 99))
def test_the_product_along_the_path_is_the_probability_of_the_token(size, seed):
    tree, logs = token_tree.plain(size), distributions(1, size, seed)
    for token in range(size):
        ids = np.array([token])
        odds = path_odds(logs, ids, tree)
        signed = np.where(bits_of(ids, tree) == 1, odds, -odds).astype(np.float64)
        assert -np.log1p(np.exp(-signed)).sum() == pytest.approx(logs[0, token], abs=1e-4)


def test_bands_tell_sure_predictions_from_unsure_ones():
    sure = np.full((1, 50), np.log(0.001 / 49), np.float32)
    sure[0, 3] = np.log(0.999)
    unsure = np.full((1, 50), -np.log(50), np.float32)
    certain = np.full((1, 50), -np.inf, np.float32)
    certain[0, 3] = 0.0
    logs = np.concatenate([sure, unsure, certain])
    bands = tree_mixing.entropy_bands(logs, np.exp(logs))
    assert bands.tolist() == [0, tree_mixing.ENTROPIES - 1, 0]


def test_last_bytes_of_tokens_in_both_languages():
    pieces = [b"", b"a", "的".encode(), b"the"]
    tree = token_tree.build(pieces, token_tree.shape(pieces, None))
    assert token_tree.last_bytes(tree).tolist() == [0, ord("a"), "的".encode()[-1], ord("e")]


def learned(odds, bits, passes=1):
    """Nats of decisions with a mixer that learns from nothing known but the log-odds."""
    weights = np.full((tree_mixing.ROWS, odds.shape[1] + 1), 1.0 / odds.shape[1])
    sets = np.full((tree_mixing.STANDINGS, tree_mixing.SETS), 1.0 / tree_mixing.SETS)
    rows = np.tile(np.array(tree_mixing.FIRST_ROWS, np.int32), (len(bits), 1))
    for _ in range(passes):
        nats = tree_mixing.mix_paths(odds.astype(np.float32), bits, rows, weights, sets, 0.01, 0.001, 0.0)
    return nats, weights


def test_independent_witnesses_are_worth_more_together_than_any_average_of_them():
    # Two witnesses see the truth through independent noise: their log-odds add up.
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, 40_000).astype(np.int8)
    odds = 1.5 * (2 * bits[:, None] - 1) + np.sqrt(3.0) * random.standard_normal((len(bits), 2))
    nats, weights = learned(odds, bits, passes=3)
    singly = np.log1p(np.exp(np.where(bits[:, None] == 1, -odds, odds)))
    averaged = min(
        -np.log(share * np.exp(-singly[:, 0]) + (1 - share) * np.exp(-singly[:, 1])).mean()
        for share in np.linspace(0, 1, 21)
    )
    ideal = np.log1p(np.exp(np.where(bits == 1, -odds.sum(1), odds.sum(1)))).mean()
    assert ideal <= nats.mean() < averaged - 0.05
    assert nats.mean() == pytest.approx(ideal, abs=0.01)
    assert weights[tree_mixing.FIRST_ROWS[0]][:2] == pytest.approx([1.0, 1.0], abs=0.25)


def test_rates_fall_evenly_within_a_reading():
    odds, bits = np.array([[1.0], [0.5]], np.float32), np.ones(2, np.int8)
    rows = np.tile(np.array(tree_mixing.FIRST_ROWS, np.int32), (2, 1))

    def mixer():
        sets = np.full((tree_mixing.STANDINGS, tree_mixing.SETS), 1.0 / tree_mixing.SETS)
        return np.ones((tree_mixing.ROWS, 2)), sets

    falling, apart = mixer(), mixer()
    tree_mixing.mix_paths(odds, bits, rows, *falling, 0.1, 0.01, 1.0)
    tree_mixing.mix_paths(odds[:1], bits[:1], rows[:1], *apart, 0.1, 0.01, 0.0)
    tree_mixing.mix_paths(odds[1:], bits[1:], rows[1:], *apart, 0.05, 0.005, 0.0)
    for found, expected in zip(falling, apart, strict=True):
        assert found == pytest.approx(expected)
    assert (falling[0] != mixer()[0]).any()


def test_a_rate_of_zero_leaves_the_weights_as_they_are():
    odds, bits = np.ones((10, 1), np.float32), np.ones(10, np.int8)
    weights, sets = np.ones((tree_mixing.ROWS, 2)), np.ones((tree_mixing.STANDINGS, tree_mixing.SETS))
    rows = np.tile(np.array(tree_mixing.FIRST_ROWS, np.int32), (10, 1))
    nats = tree_mixing.mix_paths(odds, bits, rows, weights, sets, 0.0, 0.0, 0.0)
    assert (weights == 1).all() and (sets == 1).all()
    expected = np.log1p(np.exp(-tree_mixing.SETS * (1 + tree_mixing.BIAS)))
    assert nats == pytest.approx(np.full(10, expected))
