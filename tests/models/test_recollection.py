import numpy as np
import pytest
import torch

from wenmo.models import recollection, token_tree, tree_mixing
from wenmo.models.recollection import SHARPNESSES, Recollection, likeness, stream_odds

V, D = 12, 6


def stream(tokens, seed=0):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.standard_normal((tokens, D))).float(), random.integers(0, V, tokens)


def reference(hidden, ids, tree, reach):
    """The sums as their definition says, place by place."""
    vectors = torch.nn.functional.normalize(hidden, dim=-1).double().numpy()
    found = []
    for token in range(len(ids)):
        for step in tree.path[tree.path_offsets[ids[token]] : tree.path_offsets[ids[token] + 1]]:
            sums = np.zeros((2, len(SHARPNESSES)))
            for place in range(max(0, token - reach), token):
                own = tree.path[tree.path_offsets[ids[place]] : tree.path_offsets[ids[place] + 1]]
                bit = [other & 1 for other in own if other >> 1 == step >> 1]
                if bit:
                    cosine = vectors[token] @ vectors[place]
                    sums[bit[0]] += [np.exp(sharpness * (cosine - 1)) for sharpness in SHARPNESSES]
            found.append(sums)
    return np.array(found)


@pytest.mark.parametrize(("queries", "reach"), [(256, 4096), (7, 10)])
def test_sums_are_those_of_the_definition(monkeypatch, queries, reach):
    monkeypatch.setattr(recollection, "QUERIES", queries)
    monkeypatch.setattr(recollection, "REACH", reach)
    hidden, ids = stream(40)
    tree = token_tree.plain(V)
    odds, support = stream_odds(hidden, ids, tree)
    sums = reference(hidden, ids, tree, reach)
    least = tree_mixing.LEAST_EVIDENCE
    np.testing.assert_allclose(odds, np.log((sums[:, 1] + least) / (sums[:, 0] + least)), atol=1e-3)
    np.testing.assert_allclose(support, sums[:, :, 0].sum(1), atol=1e-5)


def test_a_place_like_an_earlier_one_expects_what_followed_it():
    hidden, ids = stream(30)
    hidden[29], ids[29] = hidden[10], ids[10]
    odds, _ = stream_odds(hidden, ids, token_tree.plain(V))
    depth = np.diff(token_tree.plain(V).path_offsets)[ids[29]]
    bits = token_tree.plain(V).path[token_tree.plain(V).path_offsets[ids[29]] :][:depth] & 1
    assert ((odds[-depth:, 1] > 1) == (bits == 1)).all() and (np.abs(odds[-depth:, 1]) > 1).all()


@pytest.mark.parametrize(("tokens", "share"), [(0, 1.0), (4096, 0.5), (8192, 0.0), (10**6, 0.0)])
def test_what_a_full_cache_takes_more_than_that_of_a_short_stream(monkeypatch, tokens, share):
    now = iter([10.0, 10.0 + recollection.QUERIES])
    monkeypatch.setattr(recollection.time, "monotonic", lambda: next(now))
    read = []
    real = tree_mixing.add_evidence
    monkeypatch.setattr(
        tree_mixing, "add_evidence", lambda kernels, *rest: (read.append(kernels), real(kernels, *rest))
    )
    tree = token_tree.plain(V)
    found = recollection.filling_seconds(D, tree, torch.device("cpu"), tokens)
    assert found == pytest.approx(share / torch.get_num_threads())
    assert read[0].shape[1:] == (recollection.QUERIES, recollection.REACH + recollection.QUERIES)


def test_likeness_is_one_for_the_same_and_less_for_others():
    vectors = torch.eye(3)
    found = likeness(vectors, vectors)
    assert found.shape == (len(SHARPNESSES), 3, 3)
    assert torch.allclose(found.diagonal(dim1=1, dim2=2), torch.ones(len(SHARPNESSES), 3))
    assert found[0, 0, 1] > found[1, 0, 1] > 0


def test_rows_grow_by_what_each_has_read():
    hidden, ids = torch.randn(2, 3, D), torch.tensor([[1, 2, 3], [4, 5, 6]])
    state = Recollection.empty(2, D, torch.device("cpu")).extended(hidden, ids, torch.tensor([3, 1]), False)
    assert state.lengths.tolist() == [3, 1]
    more = state.extended(hidden, ids, torch.tensor([0, 2]), True)
    assert more.lengths.tolist() == [3, 3]
    assert more.tokens[0, :3].tolist() == [1, 2, 3] and more.tokens[1, :3].tolist() == [4, 4, 5]
    assert more.given[:, :3].tolist() == [[True, True, True], [True, False, False]]
    assert torch.allclose(more.vectors[:, :3].norm(dim=-1), torch.ones(2, 3))
    back = more.select(torch.tensor([1])).truncate(torch.tensor([2]))
    assert back.tokens.tolist() == [[4, 4]] and back.lengths.tolist() == [2]
    assert back.given.tolist() == [[True, False]]
    assert more.extended(hidden, ids, None, False).given[1].tolist() == [True, False, False, True, True, True]
    assert state.tokens[1, 0] == 4 and state.lengths.tolist() == [3, 1]
