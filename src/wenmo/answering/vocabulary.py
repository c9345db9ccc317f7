"""From units to numbers: known units, hashed words and endings, and how rare each unit is."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.answering.units import LATIN, Units

WORD_BUCKETS = 16384
ENDING_BUCKETS = 2048
PADDING, UNKNOWN = 0, 1


def bucket(text: str, buckets: int) -> int:
    """A number from 1 to buckets - 1; 0 is padding."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) % (buckets - 1) + 1


class UnitVocabulary:
    """The units of the training text that occur at least twice, and in how many passages each stands.

    Args:
        units: Known folded units in order; they get the numbers 2, 3, ...
        passages: In how many passages each stands.
        total: Number of passages counted.
    """

    def __init__(self, units: list[str], passages: list[int], total: int) -> None:
        self.units = units
        self.passages = passages
        self.total = total
        self._ids = {unit: number for number, unit in enumerate(units, 2)}
        counts = np.array([total, 0, *passages], np.float64)
        # The idf of BM25; a unit that was never seen is the rarest.
        self._idf = np.log1p((total - counts + 0.5) / (counts + 0.5)).astype(np.float32)

    def __len__(self) -> int:
        return len(self.units) + 2

    @classmethod
    def count(cls, texts: Iterable[Units], at_least: int = 2, limit: int = 30_000) -> UnitVocabulary:
        """Counts the units of passages and questions."""
        tokens: Counter[str] = Counter()
        passages: Counter[str] = Counter()
        total = 0
        for text in texts:
            tokens.update(text.folded)
            passages.update(set(text.folded))
            total += 1
        kept = [unit for unit, number in tokens.most_common(limit) if number >= at_least]
        return cls(kept, [passages[unit] for unit in kept], total)

    def ids(self, units: Units) -> npt.NDArray[np.int64]:
        """Numbers of each unit: itself, its word, its ending; int64 (L, 3)."""
        table = np.empty((len(units), 3), np.int64)
        for place, (unit, word, kind) in enumerate(zip(units.folded, units.words, units.kinds, strict=True)):
            ending = unit[-3:] if kind == LATIN else word[-1:] + str(min(len(word), 4))
            table[place] = (
                self._ids.get(unit, UNKNOWN),
                bucket(word, WORD_BUCKETS),
                bucket(ending, ENDING_BUCKETS),
            )
        return table

    def idf(self, units: Units) -> npt.NDArray[np.float32]:
        """Rarity of each unit, float32 (L,)."""
        return self._idf[[self._ids.get(unit, UNKNOWN) for unit in units.folded]]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs."""
        return {"units": self.units, "passages": self.passages, "total": self.total}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> UnitVocabulary:
        """Reads what `to_json` wrote; raises KeyError, TypeError or ValueError for anything else."""
        units, passages = list(data["units"]), [int(number) for number in data["passages"]]
        if len(units) != len(passages):
            raise ValueError("as many units as counts are needed")
        return cls(units, passages, int(data["total"]))
