import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.semantics.graph import DAMPING, STEPS, position_rank


def reference(keys, window):
    """The same walk with a dense matrix."""
    index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    matrix = np.zeros((len(index), len(index)))
    for i, a in enumerate(keys):
        for b in keys[i + 1 : i + window]:
            if a != b:
                matrix[index[a], index[b]] += 1
                matrix[index[b], index[a]] += 1
    restart = np.zeros(len(index))
    for i, key in enumerate(keys):
        restart[index[key]] += 1 / (i + 1)
    restart /= restart.sum()
    step = matrix / np.maximum(matrix.sum(0), 1)
    rank = restart
    for _ in range(STEPS):
        rank = (1 - DAMPING) * restart + DAMPING * step @ rank
        rank = rank / rank.sum()
    return {key: rank[i] * len(index) for key, i in index.items()}


@given(st.lists(st.sampled_from("abcdefg图像"), min_size=1, max_size=40), st.integers(2, 6))
def test_it_is_the_walk_on_the_dense_matrix(keys, window):
    assert position_rank(keys, window=window) == pytest.approx(reference(keys, window))


def test_early_and_well_connected_words_come_first():
    rank = position_rank(["图像", "a", "b", "图像", "c", "d", "图像", "e", "f"])
    assert max(rank, key=rank.get) == "图像"
    assert np.mean(list(rank.values())) == pytest.approx(1)
    assert position_rank([]) == {} and position_rank(["one"]) == {"one": pytest.approx(1.0)}
