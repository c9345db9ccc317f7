"""Re-ranking of the passages that BM25 found by vectors of meaning: words that differ may still be near."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from wenmo.retrieval.bm25 import Passage
from wenmo.retrieval.scores import mean_reciprocal_rank

Vector = npt.NDArray[np.float32]
WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Weights that are compared; 0 leaves the order of BM25."""
CANDIDATES = 20
"""Passages that are re-ranked."""


def rerank(passages: Sequence[Passage], similarity: Sequence[float], weight: float) -> list[Passage]:
    """Orders passages by their BM25 as a share of the best one's, plus weighted similarity.

    Args:
        passages: As found, best first.
        similarity: Cosine of each passage's vector with the question's.
        weight: 0 changes nothing.

    Returns:
        The passages in their new order; `score` is still BM25. Equal ones keep theirs.
    """
    if not weight or not passages:
        return list(passages)
    best = max(max(passage.score for passage in passages), 1e-9)
    values = [
        passage.score / best + weight * near for passage, near in zip(passages, similarity, strict=True)
    ]
    return [
        passages[place] for place in sorted(range(len(passages)), key=lambda place: (-values[place], place))
    ]


def similarities(vector: Callable[[str], Vector], question: str, passages: Sequence[Passage]) -> list[float]:
    """Cosine of the question's vector with each passage's; a vector of length 0 is similar to nothing."""

    def unit(text: str) -> Vector:
        found = vector(text)
        return np.asarray(found / max(float(np.linalg.norm(found)), 1e-9), np.float32)

    asked = unit(question)
    return [float(asked @ unit(passage.text)) for passage in passages]


def best_weight(
    found: Sequence[tuple[Sequence[Passage], Sequence[float], set[int]]],
) -> tuple[float, dict[float, float]]:
    """Chooses the weight by mean reciprocal rank on held-out questions; 0 unless another is better.

    Args:
        found: For each question its passages, their similarities, and the numbers of the right ones.

    Returns:
        The weight, and the mean reciprocal rank with each.
    """
    scores: dict[float, float] = {}
    for weight in WEIGHTS:
        ranks = []
        for passages, similarity, wanted in found:
            order = [passage.number for passage in rerank(passages, similarity, weight)]
            ranks.append(next((rank for rank, number in enumerate(order, 1) if number in wanted), None))
        scores[weight] = mean_reciprocal_rank(ranks)
    return max(scores, key=lambda weight: (scores[weight], -weight)), scores
