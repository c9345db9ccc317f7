"""Documents as rows of a sparse matrix over a vocabulary of our own segmentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST = 20_000
"""Most words of a vocabulary; beyond them words are too rare to say anything about a topic."""
WIDEST = 0.5
"""A word in more than this share of the documents is too general; applied from 20 documents on."""


@dataclass(frozen=True)
class Vocabulary:
    """Words with the number of documents that have them.

    Attributes:
        words: Sorted by document frequency, the most frequent first, then alphabetically.
        frequencies: Documents with each word, int64 (V,).
        documents: Documents counted.
    """

    words: tuple[str, ...]
    frequencies: npt.NDArray[np.int64]
    documents: int

    @cached_property
    def index(self) -> dict[str, int]:
        """Word -> column."""
        return {word: column for column, word in enumerate(self.words)}

    @cached_property
    def idf(self) -> npt.NDArray[np.float64]:
        """Smoothed inverse document frequency, float64 (V,): log((1 + N) / (1 + df)) + 1."""
        return np.asarray(np.log((1 + self.documents) / (1 + self.frequencies)) + 1)

    @classmethod
    def of(cls, documents: Sequence[Sequence[str]], *, least: int = 2, largest: int = LARGEST) -> Vocabulary:
        """Collects the words that stand in enough documents and not in most of them.

        Args:
            documents: Content words of each document.
            least: Documents that a word must stand in; one of fewer than 10 documents.
            largest: Most words.
        """
        counts: Counter[str] = Counter()
        for document in documents:
            counts.update(set(document))
        total = len(documents)
        least = least if total >= 10 else 1
        most = WIDEST * total if total >= 20 else total
        kept = sorted(((-n, word) for word, n in counts.items() if least <= n <= most))[:largest]
        return cls(tuple(word for _, word in kept), np.array([-n for n, _ in kept], np.int64), total)

    def counts(self, documents: Sequence[Sequence[str]]) -> Any:
        """Counts words: scipy CSR matrix, float64 (N, V); words outside the vocabulary are left out."""
        from scipy.sparse import csr_matrix

        starts, columns, values = [0], list[int](), list[int]()
        for document in documents:
            found = Counter(self.index[word] for word in document if word in self.index)
            columns.extend(found)
            values.extend(found.values())
            starts.append(len(columns))
        return csr_matrix(
            (np.array(values, np.float64), np.array(columns, np.int64), np.array(starts, np.int64)),
            shape=(len(documents), len(self.words)),
        )

    def tfidf(self, documents: Sequence[Sequence[str]]) -> Any:
        """Weighs words by (1 + log tf) * idf, rows of length 1: scipy CSR matrix, float64 (N, V).

        A document without a known word is a row of zeros.
        """
        matrix = self.counts(documents)
        matrix.data = (1 + np.log(matrix.data)) * self.idf[matrix.indices]
        lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        matrix.data /= np.maximum(lengths, 1e-300)[rows]
        return matrix
