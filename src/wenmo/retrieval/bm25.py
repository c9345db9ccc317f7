"""The index: passages with their places, and BM25 over their terms (Robertson & Zaragoza 2009), memory-mapped.

| file | content |
|---|---|
| `index.json` | version, settings, and every file: name, SHA-256, number of passages |
| `terms.json` | terms, in the order of their numbers |
| `texts.utf8`, `places.npy` | passages in UTF-8; (P, 6): first byte, byte after, file, line, first character, length |
| `row_starts.npy`, `row_terms.npy`, `row_counts.npy` | terms of each passage |
| `post_starts.npy`, `post_passages.npy`, `post_counts.npy` | passages of each term |
| `lengths.npy` | terms of each passage, repeats included |
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.errors import ModelError
from wenmo.retrieval.terms import terms

FORMAT_VERSION = 1
K1, B = 1.2, 0.75
ARRAYS = (
    *("places", "row_starts", "row_terms", "row_counts"),
    *("post_starts", "post_passages", "post_counts", "lengths"),
)


@dataclass(frozen=True)
class Passage:
    """A passage that was found.

    Attributes:
        number: Its number in the index.
        text: Its characters.
        source: The file, as shown to the user.
        line: Line (or row) of the file in which it begins, from 1.
        start: First character in the file's (or row's) text.
        score: BM25.
    """

    number: int
    text: str
    source: str
    line: int
    start: int
    score: float


class Index:
    """An index that can be searched.

    Args:
        facts: Content of index.json.
        vocabulary: Term -> number.
        arrays: See the module.
        texts: All passages, UTF-8.
    """

    def __init__(
        self,
        facts: dict[str, Any],
        vocabulary: dict[str, int],
        arrays: dict[str, npt.NDArray[Any]],
        texts: npt.NDArray[np.uint8],
    ) -> None:
        self.facts = facts
        self.vocabulary = vocabulary
        self.arrays = arrays
        self.texts = texts
        self._mean = float(arrays["lengths"].mean()) if len(arrays["lengths"]) else 1.0

    def __len__(self) -> int:
        return len(self.arrays["lengths"])

    @cached_property
    def names(self) -> list[str]:
        """Terms by their number."""
        return list(self.vocabulary)

    @property
    def han_share(self) -> float:
        """Share of Han characters among the letters of all passages."""
        return float(self.facts["han_share"])

    def passage(self, number: int, score: float = 0.0) -> Passage:
        """Returns a passage by its number."""
        first, after, file, line, start, _ = self.arrays["places"][number].tolist()
        text = self.texts[first:after].tobytes().decode("utf-8", "surrogatepass")
        return Passage(number, text, self.facts["files"][file]["label"], line, start, score)

    def idf(self, term: str) -> float:
        """Rarity of a term, ln(1 + (P - n + 0.5) / (n + 0.5)); a term that is nowhere is the rarest."""
        number = self.vocabulary.get(term)
        starts = self.arrays["post_starts"]
        holds = 0 if number is None else int(starts[number + 1] - starts[number])
        return math.log1p((len(self) - holds + 0.5) / (holds + 0.5))

    def scores(self, query: Sequence[str]) -> npt.NDArray[np.float32]:
        """BM25 of every passage, float32 (P,).

        Args:
            query: Terms; a repeated one counts as often.
        """
        total = np.zeros(len(self), np.float32)
        starts, lengths = self.arrays["post_starts"], self.arrays["lengths"]
        for term, times in Counter(query).items():
            number = self.vocabulary.get(term)
            if number is None:
                continue
            span = slice(int(starts[number]), int(starts[number + 1]))
            passages = self.arrays["post_passages"][span]
            count = self.arrays["post_counts"][span].astype(np.float32)
            norm = K1 * (1 - B + B * lengths[passages] / self._mean)
            total[passages] += times * self.idf(term) * count * (K1 + 1) / (count + norm)
        return total

    def search(self, question: str, count: int) -> list[Passage]:
        """Returns the passages that share terms with the question, best first.

        Args:
            question: Any text.
            count: Most passages.
        """
        total = self.scores(terms(question))
        count = min(count, len(total))
        if not count:
            return []
        # Equal scores go by number, whatever the order of the partition.
        least = np.partition(total, len(total) - count)[len(total) - count]
        candidates = np.flatnonzero(total >= max(least, np.float32(1e-9)))
        best = candidates[np.lexsort((candidates, -total[candidates]))][:count]
        return [self.passage(int(number), float(total[number])) for number in best]


def open_index(directory: Path) -> Index:
    """Opens an index; the arrays stay on disk until they are used.

    Raises:
        ModelError: When a file is missing, damaged or of another version.
    """
    try:
        facts = json.loads((directory / "index.json").read_text("utf-8"))
        if facts["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {facts['format_version']}")
        names = json.loads((directory / "terms.json").read_text("utf-8"))
        arrays = {
            name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS
        }
        size = (directory / "texts.utf8").stat().st_size
        texts = np.memmap(directory / "texts.utf8", np.uint8, "r") if size else np.zeros(0, np.uint8)
        places = arrays["places"]
        if size != (int(places[-1, 1]) if len(places) else 0) or len(arrays["post_starts"]) != len(names) + 1:
            raise ValueError("a file is cut short")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the index {directory} is damaged ({error}); delete it, and it is made again"
        ) from error
    return Index(facts, {name: number for number, name in enumerate(names)}, arrays, texts)
