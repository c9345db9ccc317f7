"""Embeddings that begin with what the text says of its tokens, instead of noise.

A small network that trains for minutes sees most tokens a few dozen times and spends much of its time on finding out
which are alike. How often tokens stand beside each other says so at once: the positive pointwise mutual information of
a token with its neighbours (Bullinaria and Levy 2007), whose best approximation of a given rank are vectors like those
that word2vec learns (Levy and Goldberg 2014). Here the neighbours one place before and after, two places, and three to
five places away are told apart, six tables beside each other, and a randomised singular value decomposition (Halko,
Martinsson and Tropp 2011, https://arxiv.org/abs/0909.4061) finds the vectors in about a second.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.models.base import NeuralLanguageModel
from wenmo.tokenization.stream import spread

DISTANCES = ((1,), (2,), (3, 4, 5))
"""Places between two tokens; those of a group are counted together."""
CONTEXT_POWER = 0.75
"""Frequencies of neighbours are raised to this power, which makes rare ones less surprising (Levy et al. 2015)."""
SURE_COUNT = 3.0
"""Pairs that occur less often count in proportion."""
LENGTH = 2.0
"""Length of every vector: normed hidden vectors of D numbers then give logits of a spread of two."""
OVERSAMPLING, ITERATIONS = 16, 4
"""Of the randomised decomposition."""


def initialise_embedding(
    model: NeuralLanguageModel, ids: npt.NDArray[np.unsignedinteger[Any]], seed: int, count: int
) -> None:
    """Sets the embedding of a new model, and of its output layer where they are one, by the neighbours of its tokens.

    Args:
        model: A model with random weights.
        ids: The training text (N,).
        seed: Seed of the decomposition and of the rotation in which the vectors are given: members of a mixture that
            have seeds of their own begin apart.
        count: Tokens to look at, from all over the text; with 0 the model stays as it is.
    """
    if not count:
        return
    sample = np.asarray(spread(ids, count), np.int64)
    table = model.embedding.weight
    generator, threads = torch.Generator().manual_seed(seed), torch.get_num_threads()
    torch.set_num_threads(1)  # the same vectors, bit by bit, whatever the number of threads
    try:
        vectors = token_vectors(sample, len(table), table.shape[1], generator)
    finally:
        torch.set_num_threads(threads)
    with torch.no_grad():
        known = vectors.norm(dim=1, keepdim=True) > 0
        # A token that never occurs keeps its direction.
        chosen = torch.where(known.to(table.device), vectors.to(table), table)
        table.copy_(chosen * (LENGTH / chosen.norm(dim=1, keepdim=True).clamp(min=1e-12)))


def token_vectors(
    ids: npt.NDArray[np.int64], vocab_size: int, width: int, generator: torch.Generator
) -> Tensor:
    """Vectors of tokens by their neighbours, in a random rotation.

    Args:
        ids: The text (N,).
        vocab_size: Number of tokens V.
        width: Numbers of a vector D; with D >= V the rest is zero.
        generator: Of the random projection and the rotation.

    Returns:
        float32 (V, D); U S^1/2 of the leading singular values, zero where a token has no neighbour.
    """
    tables = [positive_pmi(ids, vocab_size, distances) for distances in DISTANCES]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        pairs = [(table.to_sparse_csr(), table.t().to_sparse_csr()) for table in tables]
    rank = min(width, vocab_size)

    def twice(vectors: Tensor) -> Tensor:
        """Product with all tables beside each other, times their transpose; each stands for both directions."""
        return torch.stack(
            [one @ (other @ vectors) for pair in pairs for one, other in (pair, pair[::-1])]
        ).sum(0)

    columns = min(rank + OVERSAMPLING, vocab_size)
    basis = torch.randn(vocab_size, columns, generator=generator)
    for _ in range(ITERATIONS):
        basis = torch.linalg.qr(twice(basis)).Q
    squares, turn = torch.linalg.eigh(basis.T @ twice(basis))  # ascending
    vectors = basis @ turn[:, -rank:] * squares[-rank:].clamp(min=0.0) ** 0.25
    rotation = torch.linalg.qr(torch.randn(rank, rank, generator=generator)).Q
    padded = torch.zeros(vocab_size, width)
    padded[:, :rank] = vectors @ rotation
    return padded


def positive_pmi(ids: npt.NDArray[np.int64], vocab_size: int, distances: tuple[int, ...]) -> Tensor:
    """Positive pointwise mutual information of tokens with those that stand some places behind them.

    max(0, ln(p(a, b) / (p(a) q(b)))), q the frequencies of neighbours to the power `CONTEXT_POWER`, times the share of
    `SURE_COUNT` that the pair has been seen.

    Args:
        ids: The text (N,).
        vocab_size: Number of tokens V.
        distances: Places between the two, counted together.

    Returns:
        Sparse float32 (V, V): row a, column b.
    """
    keys = np.concatenate([ids[:-distance] * vocab_size + ids[distance:] for distance in distances])
    pairs, counts = np.unique(keys, return_counts=True)
    first, second, number = pairs // vocab_size, pairs % vocab_size, counts.astype(np.float64)
    total = number.sum()
    before = np.bincount(first, number, vocab_size)
    behind = np.bincount(second, number, vocab_size) ** CONTEXT_POWER
    behind *= total / behind.sum()
    values = np.log(number * total / (before[first] * behind[second])).clip(min=0.0)
    values *= (number / SURE_COUNT).clip(max=1.0)
    return torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([first, second])),
        torch.from_numpy(values).float(),
        (vocab_size, vocab_size),
        check_invariants=True,
    )
