"""What the neighbours of tokens say of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_trainers import NEURAL, make_trainer

from wenmo.training.embedding_init import (
    CONTEXT_POWER,
    DISTANCES,
    LENGTH,
    SURE_COUNT,
    initialise_embedding,
    positive_pmi,
    token_vectors,
)

WORDS = {"cat": 1, "dog": 2, "red": 3, "blue": 4, "the": 5, "runs": 6, "is": 7}


def sentences(count: int, seed: int = 0) -> np.ndarray:
    """Token ids: "the cat runs", "the red dog is blue" and so on; 0 ends each, 8 and 9 never occur."""
    random = np.random.default_rng(seed)
    ids: list[int] = []
    for _ in range(count):
        animal, first, second = random.choice([1, 2]), random.choice([3, 4]), random.choice([3, 4])
        ids += random.choice([0, 1]) * [5, first, animal, 6, 0] or [5, animal, 7, second, 0]
    return np.array(ids, np.int64)


def pmi_by_loops(ids: np.ndarray, size: int, distances: tuple[int, ...]) -> np.ndarray:
    counts = np.zeros((size, size))
    for distance in distances:
        for a, b in zip(ids, ids[distance:], strict=False):
            counts[a, b] += 1
    neighbours = counts.sum(0) ** CONTEXT_POWER
    chance = counts.sum(1)[:, None] * neighbours / neighbours.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(counts > 0, np.maximum(np.log(counts / chance), 0.0), 0.0)
    return found * np.minimum(counts / SURE_COUNT, 1.0)


@pytest.mark.parametrize("distances", DISTANCES)
def test_information_is_that_of_its_formula(distances: tuple[int, ...]) -> None:
    ids = sentences(60)
    found = positive_pmi(ids, 10, distances).to_dense()
    np.testing.assert_allclose(found.numpy(), pmi_by_loops(ids, 10, distances), rtol=1e-5, atol=1e-6)


def test_vectors_are_the_best_approximation_of_their_rank() -> None:
    ids = np.random.default_rng(1).zipf(1.5, 4000).clip(max=40).astype(np.int64)
    blocks = [pmi_by_loops(ids, 41, distances) for distances in DISTANCES]
    whole = np.concatenate([*blocks, *(block.T for block in blocks)], axis=1)
    left, values, _ = np.linalg.svd(whole, full_matrices=False)
    wanted = left[:, :30] * values[:30] ** 0.5
    found = token_vectors(ids, 41, 30, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=2e-3)


def test_tokens_with_the_same_neighbours_are_alike() -> None:
    vectors = token_vectors(sentences(400), 10, 4, torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize(vectors, dim=1)
    likeness = unit @ unit.T
    for one, other in (("cat", "dog"), ("red", "blue")):
        alike = likeness[WORDS[one], WORDS[other]]
        others = [likeness[WORDS[one], place] for word, place in WORDS.items() if word not in (one, other)]
        assert alike > 0.9 and alike > max(others) + 0.2
    assert not vectors[8:].any()  # they never occur


@pytest.mark.parametrize("architecture", NEURAL)
def test_every_network_begins_with_them(architecture: str, tmp_path) -> None:
    model = make_trainer(tmp_path, architecture).model
    size, width = model.embedding.weight.shape
    ids = np.random.default_rng(0).integers(0, size - 2, 6000).astype(np.uint16)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    initialise_embedding(model, ids, 3, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    initialise_embedding(model, ids, 3, 5000)
    table = model.embedding.weight
    assert torch.allclose(table.norm(dim=1), torch.tensor(LENGTH), atol=1e-4)
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(changed) == 1
    old = next(a for a, b in zip(before, model.parameters(), strict=True) if b is table)
    for token in (size - 2, size - 1):  # they never occur, and keep their direction
        assert torch.cosine_similarity(old[token], table[token], dim=0) > 0.9999
    once = table.detach().clone()
    initialise_embedding(model, ids, 3, 5000)
    assert torch.equal(once[: size - 2], table[: size - 2])
    initialise_embedding(model, ids, 4, 5000)
    assert not torch.allclose(once, table, atol=0.1)
    gram = once[: size - 2] @ once[: size - 2].T
    turned = table[: size - 2] @ table[: size - 2].T
    assert width < size and (gram - turned).abs().mean() < 0.5  # the same likenesses, turned
