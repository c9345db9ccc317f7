"""Topics of a corpus: found, labelled, shown by their documents, and recognised in new ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.semantics import factors
from wenmo.semantics.coherence import diversity, npmi
from wenmo.semantics.factors import Method
from wenmo.semantics.vectors import Vocabulary

TOP_WORDS = 10
NEXT_TO_NOTHING = 1e-9
"""Weight in a topic, as a share of its heaviest word's, that makes no word of it: rounding leaves 1e-30 on some
processors where others have zero."""
NULL_DOCUMENTS = 100
NULL_LEVEL = 0.5
"""A document belongs to none of the topics unless it fits better than this share of random word bags."""


@dataclass(frozen=True)
class Topics:
    """A fitted set of topics.

    Attributes:
        method: `nmf` or `lda`.
        vocabulary: The words and their document frequencies.
        components: Weights of words, float64 (K, V), see `factors.fit`.
        lengths: Numbers of different known words in a document, ascending, float64 (L,).
        thresholds: Least fit (see `fits`) of a document of that length that belongs to a topic, float64 (L,).
        labels: A few specific phrases for each topic.
    """

    method: Method
    vocabulary: Vocabulary
    components: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]
    thresholds: npt.NDArray[np.float64]
    labels: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Number of topics."""
        return len(self.components)

    def matrix(self, documents: Sequence[Sequence[str]]) -> Any:
        """The rows that the method factorises: TF-IDF for nmf, counts for lda."""
        vocabulary = self.vocabulary
        return vocabulary.tfidf(documents) if self.method == "nmf" else vocabulary.counts(documents)

    def top(self, count: int = TOP_WORDS) -> list[list[int]]:
        """Columns of the heaviest words of each topic, heaviest first; words of next to no weight are left out."""
        order = np.argsort(-self.components, axis=1, kind="stable")[:, :count]
        least = NEXT_TO_NOTHING * self.components.max(1, initial=0.0)
        return [[int(c) for c in row if self.components[k, c] > least[k]] for k, row in enumerate(order)]

    def words(self, count: int = TOP_WORDS) -> list[list[str]]:
        """The heaviest words of each topic."""
        return [[self.vocabulary.words[column] for column in columns] for columns in self.top(count)]

    def assign(self, documents: Sequence[Sequence[str]]) -> Assignment:
        """Finds the topics of documents, given as content words; each document is treated alone."""
        matrix = self.matrix(documents)
        found = factors.weights(self.method, matrix, self.components)
        fit = fits(matrix, found, self.components)
        mass = found * np.maximum(self.components.sum(1), 1e-12) if self.method == "nmf" else found
        total = mass.sum(1, keepdims=True)
        shares = np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)
        least = np.interp(
            np.log(np.maximum(np.diff(matrix.indptr), 1)), np.log(self.lengths), self.thresholds
        )
        topic = np.where((fit >= least) & (total.ravel() > 0), shares.argmax(1), -1)
        return Assignment(shares, fit, topic.astype(np.int64))


@dataclass(frozen=True)
class Assignment:
    """Topics of documents.

    Attributes:
        shares: float64 (N, K), rows that sum to 1, or zeros for a document without known words.
        fit: float64 (N,), cosine between a document and what its topics make of it.
        topic: int64 (N,), the topic with the largest share; -1 for "none of these".
    """

    shares: npt.NDArray[np.float64]
    fit: npt.NDArray[np.float64]
    topic: npt.NDArray[np.int64]

    @property
    def unassigned(self) -> float:
        """Share of documents that belong to none of the topics."""
        return float((self.topic < 0).mean()) if len(self.topic) else 0.0

    def representatives(self, topic: int, count: int) -> list[int]:
        """Documents that show a topic best: the highest product of share and fit, among those assigned to it."""
        score = np.where(self.topic == topic, self.shares[:, topic] * self.fit, -1.0)
        return [int(i) for i in np.argsort(-score, kind="stable")[:count] if score[i] >= 0]


def fits(
    matrix: Any, weights: npt.NDArray[np.float64], components: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Cosine between each row of `matrix` (N, V) and its reconstruction `weights @ components`; 0 for empty rows."""
    dots = (np.asarray(matrix @ components.T) * weights).sum(1)
    gram = components @ components.T
    made = np.sqrt(np.maximum(np.einsum("nk,kl,nl->n", weights, gram, weights), 0.0))
    own = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    return np.asarray(np.divide(dots, made * own, out=np.zeros(len(dots)), where=(made * own) > 0))


def fit_topics(
    documents: Sequence[Sequence[str]],
    number: int,
    *,
    method: Method = "nmf",
    seed: int = 0,
    vocabulary: Vocabulary | None = None,
) -> Topics:
    """Fits topics and the level below which a document belongs to none.

    That level is the fit which half of the word bags of that length do not reach whose words are drawn at random by
    their frequency: text of the same words about nothing. A short text fits less well than a long one, so that the
    level goes with the length.

    Args:
        documents: Content words of each document.
        number: Number of topics; at most the documents and the words that there are.
        method: `nmf` or `lda`.
        seed: Seed of the method and of the random word bags.
        vocabulary: Words to use; those of the documents when not given.

    Raises:
        ValueError: When there are fewer documents or words than topics.
    """
    vocabulary = vocabulary or Vocabulary.of(documents)
    if number < 1 or number > min(len(documents), len(vocabulary.words)):
        raise ValueError("more topics than documents or words")
    nothing = np.ones(1)
    empty = Topics(method, vocabulary, np.zeros((number, len(vocabulary.words))), nothing, nothing)
    unlimited = replace(empty, components=factors.fit(method, empty.matrix(documents), number, seed))
    lengths, levels = _null_levels(unlimited, documents, seed)
    return replace(unlimited, lengths=lengths, thresholds=levels)


def _null_levels(
    topics: Topics, documents: Sequence[Sequence[str]], seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Median fit of random word bags of 1, 2, 4, ... words, up to the length of the longest document."""
    chance = random.Random(seed)
    index = topics.vocabulary.index
    pool = [word for document in documents for word in document if word in index]
    if not pool or topics.number < 2:
        return np.ones(1), np.full(1, 1e-9)
    longest = max(sum(word in index for word in document) for document in documents)
    lengths, levels = [], []
    for power in range(longest.bit_length()):
        bags = [chance.choices(pool, k=2**power) for _ in range(NULL_DOCUMENTS)]
        lengths.append(float(np.mean([len(set(bag)) for bag in bags])))
        levels.append(float(np.quantile(topics.assign(bags).fit, NULL_LEVEL)))
    return np.array(lengths), np.array(levels)


def class_tfidf(
    phrases: Sequence[Counter[str]], topic: npt.NDArray[np.int64], topics: int
) -> list[list[tuple[str, float]]]:
    """Weighs phrases by how specific they are to the documents of a topic (class-based TF-IDF, Grootendorst 2022).

    The weight of phrase t in topic c is tf(t, c) * log(1 + A / tf(t)), with tf(t, c) relative to the topic's phrases
    and A the mean number of phrases of a topic.

    Args:
        phrases: Phrases of each document with their counts.
        topic: Topic of each document; -1 counts for none.
        topics: Number of topics.

    Returns:
        Phrases of each topic, the most specific first.
    """
    by_topic: list[Counter[str]] = [Counter() for _ in range(topics)]
    for counts, number in zip(phrases, topic, strict=True):
        if number >= 0:
            by_topic[number].update(counts)
    overall: Counter[str] = Counter()
    for counts in by_topic:
        overall.update(counts)
    mean = sum(overall.values()) / max(topics, 1)
    ranked = []
    for counts in by_topic:
        total = max(sum(counts.values()), 1)
        scored = [
            (phrase, n / total * float(np.log(1 + mean / overall[phrase]))) for phrase, n in counts.items()
        ]
        ranked.append(sorted(scored, key=lambda item: (-item[1], item[0])))
    return ranked


def quality(topics: Topics, documents: Sequence[Sequence[str]], count: int = TOP_WORDS) -> dict[str, float]:
    """Scores topics on documents: mean coherence (see `coherence.npmi`), diversity, share of documents unassigned."""
    top = topics.top(count)
    return {
        "coherence": float(np.mean(npmi(top, topics.vocabulary.counts(documents), count))) if top else 0.0,
        "diversity": diversity(top),
        "unassigned": topics.assign(documents).unassigned,
    }
