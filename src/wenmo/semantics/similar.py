"""Documents with the nearest meaning: by the vectors of the user's own language model, or by latent semantics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.errors import ResourceError
from wenmo.progress import duration, track
from wenmo.semantics.vectors import Vocabulary

DIMENSIONS = 100
Array = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Array]


def latent_axes(matrix: Any, seed: int, dimensions: int = DIMENSIONS) -> Array:
    """Latent semantic analysis (Deerwester et al. 1990): the right singular vectors of TF-IDF rows, float32 (D, V).

    D is the least of `dimensions`, N - 1 and V - 1, and at least 1.
    """
    from sklearn.utils.extmath import randomized_svd

    size = max(min(dimensions, matrix.shape[0] - 1, matrix.shape[1] - 1), 1)
    _, _, axes = randomized_svd(matrix, size, n_iter=4, random_state=seed)
    return np.asarray(axes, np.float32)


@dataclass(frozen=True)
class Nearest:
    """Vectors of the corpus, ready to be compared with.

    Attributes:
        centre: What is taken off every vector, float32 (D,): the corpus mean for embeddings, whose common part says
            nothing about a single text; zeros for latent semantics.
        vectors: float32 (N, D), rows of length 1, or zeros for a document that has no vector.
        axes: Latent axes, float32 (D, V); None when the vectors are a language model's.
    """

    centre: Array
    vectors: Array
    axes: Array | None = None

    @classmethod
    def by_latent_axes(
        cls, vocabulary: Vocabulary, documents: Sequence[Sequence[str]], seed: int = 0
    ) -> Nearest:
        """Prepares latent semantics of documents, given as content words."""
        matrix = vocabulary.tfidf(documents)
        axes = latent_axes(matrix, seed)
        return cls(np.zeros(len(axes), np.float32), _unit(np.asarray(matrix @ axes.T, np.float32)), axes)

    @classmethod
    def by_embedding(cls, vectors: Array) -> Nearest:
        """Prepares the vectors (N, D) that a language model gave the documents."""
        centre = vectors.mean(0, dtype=np.float64).astype(np.float32)
        return cls(centre, _unit(vectors - centre))

    def vectors_of(self, vocabulary: Vocabulary, words: Sequence[Sequence[str]], raw: Array | None) -> Array:
        """Vectors of new texts: from their content words, or from `raw` embeddings (N, D) where a model gives them."""
        if self.axes is not None:
            return _unit(np.asarray(vocabulary.tfidf(words) @ self.axes.T, np.float32))
        assert raw is not None
        return _unit(raw - self.centre)

    def search(self, vectors: Array, count: int) -> list[list[tuple[int, float]]]:
        """Finds the documents with the highest cosine for each vector: (document, cosine), the nearest first.

        Documents without a vector, and everything for a query without one, are left out.
        """
        usable = np.flatnonzero(np.abs(self.vectors).sum(1) > 0)
        found = []
        for vector in vectors:
            cosines = self.vectors[usable] @ vector
            order = np.argsort(-cosines, kind="stable")[:count] if np.abs(vector).sum() > 0 else []
            found.append([(int(usable[i]), float(cosines[i])) for i in order])
        return found


def _unit(vectors: Array) -> Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(
        np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-9), np.float32
    )


def read_all(
    embed: Embed, texts: Sequence[str], *, seconds: float, say: Callable[[str], None], progress: bool = True
) -> Array:
    """Embeds all documents, tells beforehand how long that takes, and shows how far it is.

    Args:
        embed: Embeddings of a language model.
        texts: The documents.
        seconds: Time that there is.
        say: Tells the user a sentence.
        progress: Whether progress is shown.

    Returns:
        float32 (N, D).

    Raises:
        ResourceError: When it takes longer than there is time.
    """
    embed(texts[:1])
    sample = texts[:: max(len(texts) // 8, 1)][:8]
    started = time.monotonic()
    embed(sample)
    needed = (time.monotonic() - started) / max(sum(map(len, sample)), 1) * sum(map(len, texts))
    if needed > seconds:
        raise ResourceError(
            f"reading {len(texts):,} documents with the language model takes about {duration(needed)}, and the "
            f"budget leaves {duration(seconds)}; give a longer --budget, or leave --from out"
        )
    if needed > 5:
        say(f"the language model reads the documents in about {duration(needed)}")
    parts = []
    with track("embeddings", len(texts), "documents", progress) as shown:
        for start in range(0, len(texts), 16):
            parts.append(np.asarray(embed(texts[start : start + 16]), np.float32))
            shown.advance(len(parts[-1]))
    return np.concatenate(parts)
