"""How good topics are: whether their words stand together in documents, differ between topics, and come back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np


def npmi(topics: Sequence[Sequence[int]], presence: Any, count: int = 0) -> list[float]:
    """Coherence of each topic: the mean normalised pointwise mutual information of all pairs of its words.

    NPMI(a, b) = log(p(a,b) / (p(a) p(b))) / -log p(a,b), where p counts documents (Bouma 2009; as a measure of
    topics: Aletras and Stevenson 2013, Lau et al. 2014). It is 1 for words that only stand together, 0 for
    independent ones, -1 for a pair that never meets.

    Args:
        topics: Columns of the words of each topic.
        presence: Sparse matrix (N, V); whatever is not zero counts as present.
        count: Words that a topic should have. The pairs that one with fewer lacks count as 0, or else topics would hold
            together best when they are cut into a few words each.

    Returns:
        A value in [-1, 1] for each topic; pairs with a word that stands in no document count as -1. NaN for a
        topic without a pair of words, where none is wanted.
    """
    total = presence.shape[0]
    used = sorted({column for topic in topics for column in topic})
    place = {column: position for position, column in enumerate(used)}
    part = (presence[:, used] != 0).astype(np.float64)
    together = np.asarray((part.T @ part).todense()) / max(total, 1)
    alone = together.diagonal()
    results = []
    for topic in topics:
        pairs = [(place[a], place[b]) for a, b in combinations(topic, 2)]
        total_npmi = sum(_pair(together[a, b], alone[a], alone[b]) for a, b in pairs)
        wanted = max(len(pairs), math.comb(count, 2))
        results.append(total_npmi / wanted if wanted else float("nan"))
    return results


def _pair(both: float, first: float, second: float) -> float:
    if both <= 0:
        return -1.0
    if both >= 1:
        return 0.0  # two words of every document say nothing about each other
    return float(np.log(both / (first * second)) / -np.log(both))


def diversity(topics: Sequence[Sequence[int]]) -> float:
    """Share of different words among the words of all topics (Dieng et al. 2020); 1 when no topic repeats another."""
    words = [word for topic in topics for word in topic]
    return len(set(words)) / len(words) if words else 0.0


def agreement(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]) -> float:
    """How alike two sets of topics are: the mean Jaccard overlap of words under the best one-to-one matching.

    With topics of two fits on samples of the same documents this is their stability (Greene et al. 2014).
    """
    from scipy.optimize import linear_sum_assignment

    if not first or not second:
        return 0.0
    overlap = np.array([[len(set(a) & set(b)) / max(len(set(a) | set(b)), 1) for b in second] for a in first])
    rows, columns = linear_sum_assignment(-overlap)
    return float(overlap[rows, columns].sum() / max(len(first), len(second)))
