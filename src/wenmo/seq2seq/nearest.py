"""The simple baseline: the translation of the most similar training source."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wenmo.text.segmentation import shingles


class NearestPair:
    """Finds the training source that shares the rarest words and characters, by cosine of tf-idf.

    Args:
        sources: Training sources.
        targets: Their translations.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        self._targets = list(targets)
        counts = [_features(source) for source in sources]
        frequency: Counter[str] = Counter()
        for row in counts:
            frequency.update(row.keys())
        self._weight = {name: math.log(1 + len(counts) / count) for name, count in frequency.items()}
        postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, row in enumerate(counts):
            values = {name: count * self._weight[name] for name, count in row.items()}
            norm = math.sqrt(sum(value * value for value in values.values())) or 1.0
            for name, value in values.items():
                postings[name].append((index, value / norm))
        self._postings: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = {
            name: (np.array([i for i, _ in rows]), np.array([v for _, v in rows]))
            for name, rows in postings.items()
        }

    def translate(self, text: str) -> str:
        """Returns the translation of the nearest training source; "" when nothing is shared."""
        similarity = np.zeros(len(self._targets))
        for name, count in _features(text).items():
            if name in self._postings:
                rows, values = self._postings[name]
                similarity[rows] += count * self._weight[name] * values
        best = int(similarity.argmax())
        return self._targets[best] if similarity[best] > 0 else ""


def _features(text: str) -> Counter[str]:
    """Words or Han characters, and pairs of them."""
    return Counter([*shingles(text, 1), *shingles(text, 2)])
