"""The two factorisations behind topics, and the weights of a new document under each.

Fitting is scikit-learn's; finding a document's weights is done here, with a number of steps that depends on that
document alone, so that a result depends neither on the other documents of a batch nor on having been saved.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Method = Literal["nmf", "lda"]
Array = npt.NDArray[np.float64]
SWEEPS = 60
CHANGE = 1e-5
"""Mean change of a document's weights at which lda stops."""


def fit(method: Method, matrix: Any, topics: int, seed: int) -> Array:
    """Fits topics to documents.

    Args:
        method: `nmf` factorises TF-IDF rows (Lee and Seung 1999), begun from the singular vectors (Boutsidis and
            Gallopoulos 2008), so that no chance is in it; `lda` is online variational Bayes (Hoffman et al. 2010)
            on counts, with symmetric Dirichlet priors of 1 / K.
        matrix: Sparse (N, V): TF-IDF for nmf, counts for lda.
        topics: Number of topics K, at most min(N, V).
        seed: Seed of lda, and of the randomised singular vectors.

    Returns:
        Weights of words, float64 (K, V): for nmf rows of length 1 (Euclidean), for lda rows that sum to 1.
    """
    from sklearn.decomposition import NMF, LatentDirichletAllocation
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if method == "nmf":
            model = NMF(topics, init="nndsvd", max_iter=300, tol=1e-4, random_state=seed)
            rows = np.asarray(model.fit(matrix).components_, np.float64)
            return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
        model = LatentDirichletAllocation(
            topics,
            doc_topic_prior=1 / topics,
            learning_method="batch" if matrix.shape[0] <= 5_000 else "online",
            max_iter=30 if matrix.shape[0] <= 5_000 else 10,
            batch_size=512,
            random_state=seed,
        )
        rows = np.asarray(model.fit(matrix).components_, np.float64)
        return np.asarray(rows / rows.sum(1, keepdims=True))


def weights(method: Method, matrix: Any, components: Array) -> Array:
    """Weights of topics in documents, float64 (N, K), not negative; zeros for a document without known words.

    For nmf the least-squares weights by coordinate descent; for lda the mean of the variational Dirichlet, prior
    taken off.
    """
    return _least_squares(matrix, components) if method == "nmf" else _variational(matrix, components)


def _least_squares(matrix: Any, components: Array) -> Array:
    gram = components @ components.T
    target = np.asarray(matrix @ components.T)
    found = np.zeros_like(target)
    for _ in range(SWEEPS):
        for k in range(len(gram)):
            if gram[k, k] > 0:
                rest = found @ gram[:, k] - found[:, k] * gram[k, k]
                found[:, k] = np.maximum((target[:, k] - rest) / gram[k, k], 0.0)
    return found


def _variational(matrix: Any, components: Array) -> Array:
    from scipy.special import psi

    prior = 1 / len(components)
    found = np.zeros((matrix.shape[0], len(components)))
    for row in range(matrix.shape[0]):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        columns, counts = matrix.indices[part], matrix.data[part]
        if not len(columns):
            continue
        words = components[:, columns]
        gamma = np.full(len(components), prior + counts.sum() / len(components))
        for _ in range(SWEEPS):
            expected = np.exp(psi(gamma) - psi(gamma.sum()))
            before = gamma
            gamma = prior + expected * (words @ (counts / (expected @ words + 1e-100)))
            if np.abs(gamma - before).mean() < CHANGE:
                break
        found[row] = gamma - prior
    return found
