"""Documents with the nearest meaning: by the words in common, and by the vectors of the user's own language model."""

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

AXES = 50
EMBEDDING_SHARE = 0.2
"""Weight of the embeddings' cosine beside the words'. Small language models tell what kind of text it is rather than
what it is about; a fifth was better than either alone (see the lab log)."""
Array = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Array]


def latent_vectors(rows: Any, seed: int, dimensions: int = AXES) -> Array:
    """Coordinates of TF-IDF rows on their latent axes (latent semantic analysis, Deerwester et al. 1990).

    Args:
        rows: Sparse (N, V).
        seed: Seed of the randomised singular vectors.
        dimensions: Most axes; there are at most N - 1 and V - 1, and at least 1.

    Returns:
        float32 (N, D), rows of length 1, or zeros.
    """
    from sklearn.utils.extmath import randomized_svd

    size = max(min(dimensions, rows.shape[0] - 1, rows.shape[1] - 1), 1)
    _, _, axes = randomized_svd(rows, size, n_iter=4, random_state=seed)
    return unit(np.asarray(rows @ axes.T, np.float32))


@dataclass(frozen=True)
class Embeddings:
    """Vectors of a language model for the documents, made comparable.

    The part that all documents share says nothing about one of them, and a few large dimensions would decide every
    cosine: the mean is taken off and each dimension is divided by its deviation.

    Attributes:
        centre: Mean over the corpus, float32 (D,).
        scale: Standard deviation over the corpus, float32 (D,).
        vectors: float32 (N, D), rows of length 1.
    """

    centre: Array
    scale: Array
    vectors: Array

    @classmethod
    def of(cls, raw: Array) -> Embeddings:
        """Prepares the vectors (N, D) that a language model gave."""
        centre = raw.mean(0, dtype=np.float64).astype(np.float32)
        scale = np.maximum(raw.std(0, dtype=np.float64), 1e-6).astype(np.float32)
        return cls(centre, scale, unit((raw - centre) / scale))

    def of_new(self, raw: Array) -> Array:
        """Brings vectors of new texts into the same form."""
        return unit((raw - self.centre) / self.scale)


@dataclass(frozen=True)
class Nearest:
    """The documents of a corpus, ready to be compared with.

    Attributes:
        vocabulary: All words of the documents.
        rows: Their TF-IDF, sparse CSR (N, V), float32.
        embeddings: Their embeddings, when there is a language model.
    """

    vocabulary: Vocabulary
    rows: Any
    embeddings: Embeddings | None = None

    @classmethod
    def of(cls, documents: Sequence[Sequence[str]], raw: Array | None = None) -> Nearest:
        """Prepares documents, given as content words, and their embeddings (N, D) where there are any."""
        vocabulary = Vocabulary.of(documents, least=1, largest=200_000)
        embeddings = None if raw is None else Embeddings.of(raw)
        return cls(vocabulary, vocabulary.tfidf(documents).astype(np.float32), embeddings)

    def search(
        self, words: Sequence[Sequence[str]], count: int, raw: Array | None = None
    ) -> list[list[tuple[int, float]]]:
        """Finds the documents most like each text.

        Args:
            words: Content words of each text.
            count: Most documents for each.
            raw: Embeddings of the texts, float32 (M, D), when the documents have them.

        Returns:
            (document, similarity) for each text, the nearest first: the cosine of the words, with
            `EMBEDDING_SHARE` of the embeddings' where there are any. A document with which nothing is shared
            (similarity 0 or below) is left out.
        """
        queries = self.vocabulary.tfidf(words).astype(np.float32)
        vectors = None if self.embeddings is None or raw is None else self.embeddings.of_new(raw)
        found = []
        for i in range(len(words)):
            cosines = np.asarray((self.rows @ queries[i].T).todense(), np.float64).ravel()
            if vectors is not None and self.embeddings is not None:
                near = np.asarray(self.embeddings.vectors @ vectors[i], np.float64)
                cosines = (1 - EMBEDDING_SHARE) * cosines + EMBEDDING_SHARE * near
            order = np.argsort(-cosines, kind="stable")[:count]
            found.append([(int(n), float(cosines[n])) for n in order if cosines[n] > 1e-9])
        return found


def unit(vectors: Array) -> Array:
    """Rows scaled to length 1; rows of zeros stay."""
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
