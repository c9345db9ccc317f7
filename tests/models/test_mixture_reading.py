"""Distributions from logits, and decisions on the paths of tokens, by one thread and by several."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from wenmo.models import token_tree, tree_mixing
from wenmo.models.mixture_reading import Paths, _distributions
from wenmo.models.recollection import stream_odds

V = 1500


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def logits(rows: int, sharpness: float, seed: int = 0) -> torch.Tensor:
    return sharpness * torch.randn(rows, V, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sharpness", [0.01, 1.0, 3.0, 30.0])
def test_compiled_distributions_are_those_of_pytorch(threads: int, sharpness: float) -> None:
    given = logits(70, sharpness)
    found, bands = _distributions(given)
    logs = given.double().log_softmax(-1)
    assert np.allclose(found, logs.exp().numpy(), atol=1e-6)
    entropies = -(logs.exp() * logs).sum(-1).numpy()
    edges = np.array(tree_mixing.ENTROPY_BANDS)
    clear = np.abs(entropies[:, None] - edges).min(1) > 1e-4
    assert clear.sum() > 60
    assert (bands == np.searchsorted(edges, entropies, side="right"))[clear].all()
    apart, apart_bands = _distributions(given.t().contiguous().t())  # not contiguous: by PyTorch itself
    assert np.allclose(found, apart, atol=1e-6) and (bands == apart_bands)[clear].all()


def test_paths_do_not_depend_on_the_pieces_or_the_threads(threads: int) -> None:
    tree = token_tree.plain(V)
    ids = np.random.default_rng(0).integers(0, V, 100)
    count = int(np.diff(tree.path_offsets)[ids].sum())
    given, hidden = logits(100, 2.0), torch.randn(100, 8, generator=torch.Generator().manual_seed(1))
    found = []
    for sizes in ([100], [1, 60, 39]):
        paths = Paths(ids, tree, count, keep_hidden=True)
        for vectors, part in zip(hidden.split(sizes), given.split(sizes), strict=True):
            paths(vectors, part)
        found.append(paths)
    assert np.array_equal(found[0].odds, found[1].odds) and np.array_equal(found[0].bands, found[1].bands)
    signed = np.where(np.concatenate([_bits(tree, token) for token in ids]) == 1, 1.0, -1.0) * found[0].odds
    nats = np.add.reduceat(
        np.log1p(np.exp(-signed)), np.append(0, np.cumsum(np.diff(tree.path_offsets)[ids])[:-1])
    )
    wanted = torch.nn.functional.cross_entropy(given, torch.from_numpy(ids), reduction="none").numpy()
    assert np.allclose(nats, wanted, atol=1e-3)
    assert torch.equal(torch.cat(found[1].hidden), hidden)


def test_a_cache_says_the_same_by_any_number_of_threads(threads: int) -> None:
    tree = token_tree.plain(V)
    ids = np.random.default_rng(0).integers(0, V, 900)
    hidden = torch.randn(900, 8, generator=torch.Generator().manual_seed(1))
    odds, support = stream_odds(hidden, ids, tree)
    torch.set_num_threads(1)
    alone = stream_odds(hidden, ids, tree)
    assert np.array_equal(odds, alone[0]) and np.array_equal(support, alone[1])


def _bits(tree: token_tree.Tree, token: int) -> np.ndarray:
    return tree.path[tree.path_offsets[token] : tree.path_offsets[token + 1]] & 1
