"""How varied written texts are, and how much of them is copied: numbers to read beside those of human text.

All of them depend on the amount of text, so that texts are compared at equal length: `cut_alike`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from wenmo.evaluation.metrics import (
    CHUNK,
    longest_copy,
    loop_length,
    prefix_hashes,
    repetition,
    window_hashes,
)
from wenmo.evaluation.overlap import bleu
from wenmo.text import words

COPIED_BYTES = 24
"""Length of the stretches that count as copied: about five English words or eight Chinese characters."""
REPETITIVE = 0.1
"""A share of repeated 4-grams this much above people's is told."""
_SEPARATOR = "\x01"
"""Stands in no cleaned text, nor between the documents of one, so that no copied stretch crosses it."""

ROWS = (
    ("words", "words"),
    ("distinct words", "distinct_1"),
    ("distinct pairs of words", "distinct_2"),
    ("distinct triples of words", "distinct_3"),
    ("self-BLEU", "self_bleu"),
    ("repeated 4-grams", "repeated_4grams"),
    ("texts that end in a loop", "loops"),
    ("longest copied stretch, characters", "longest_copy"),
    ("copied 24-byte stretches", "copied"),
)
"""What a table shows: label, field."""

Units = Sequence[str]


class Diversity(BaseModel):
    """Scores of a set of texts; shares are between 0 and 1."""

    model_config = ConfigDict(frozen=True)

    texts: int
    """Number of texts."""
    words: int
    """Words of all texts (Chinese by segmentation)."""
    distinct_1: float
    """Share of different words among all words."""
    distinct_2: float
    """The same of pairs of words."""
    distinct_3: float
    """The same of triples."""
    self_bleu: float | None
    """Mean BLEU of each text against all the others, 0 to 1: high means that the texts are alike; None for one text."""
    repeated_4grams: float
    """Mean share of 4-grams of words that occurred before in the same text."""
    loops: float
    """Share of texts that end in a loop."""
    longest_copy: int | None = None
    """Characters of the longest stretch that stands in the training text too; None when it was not looked for."""
    copied: float | None = None
    """Share of the 24-byte stretches that stand in the training text too; None when it was not looked for."""


def diversity_rows(model: Diversity, people: Diversity) -> list[tuple[str, float, float]]:
    """Rows of a table: what is measured, of the model's texts, of people's."""
    own, others = model.model_dump(), people.model_dump()
    return [(label, own[name], others[name]) for label, name in ROWS if None not in (own[name], others[name])]


def repetition_warning(model: Diversity, people: Diversity) -> str | None:
    """Says that a model repeats itself and what helps; None when it does so about as little as people do.

    Args:
        model: Of its texts.
        people: Of people's, at equal length.
    """
    if model.repeated_4grams <= people.repeated_4grams + REPETITIVE:
        return None
    return (
        f"It repeats itself: {model.repeated_4grams:.0%} of the groups of four words it writes were in the same text "
        f"before (people: {people.repeated_4grams:.0%}). Write with --temperature 1 or --dry-multiplier 0.8."
    )


def measure_diversity(texts: Sequence[str], sources: Iterable[str] | None = None) -> Diversity:
    """Scores texts.

    Args:
        texts: Written texts.
        sources: Documents of the training text, to look for copies in; read once, a chunk in memory at a time.

    Raises:
        ValueError: When no text holds a word.
    """
    units = [words(text) for text in texts]
    total = sum(map(len, units))
    if not total:
        raise ValueError("there is no word to score")
    known = None if sources is None else list(sources)
    return Diversity(
        texts=len(texts),
        words=total,
        distinct_1=corpus_distinct(units, 1),
        distinct_2=corpus_distinct(units, 2),
        distinct_3=corpus_distinct(units, 3),
        self_bleu=self_bleu(units) if len(units) > 1 else None,
        repeated_4grams=float(np.mean([repetition(each) for each in units if each])),
        loops=sum(loop_length(each) > 0 for each in units) / len(units),
        longest_copy=None if known is None else longest_copy(_SEPARATOR.join(texts), known).length,
        copied=None if known is None else copied_share(texts, known),
    )


def corpus_distinct(texts: Sequence[Units], n: int) -> float:
    """Share of different n-grams among all n-grams of a set of texts (distinct-n, Li et al. 2016).

    Raises:
        ValueError: When n is less than 1.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    counts: Counter[tuple[str, ...]] = Counter()
    for units in texts:
        counts.update(tuple(units[start : start + n]) for start in range(len(units) - n + 1))
    return len(counts) / counts.total() if counts else 1.0


def self_bleu(texts: Sequence[Units]) -> float:
    """Mean BLEU of each text with all the others as references (Zhu et al. 2018, "Texygen").

    Raises:
        ValueError: With fewer than two texts.
    """
    if len(texts) < 2:
        raise ValueError("self-BLEU needs at least two texts")
    scores = [bleu(units, [*texts[:index], *texts[index + 1 :]]) for index, units in enumerate(texts)]
    return sum(scores) / len(scores)


def copied_share(texts: Sequence[str], sources: Iterable[str], length: int = COPIED_BYTES) -> float:
    """Share of the stretches of `length` UTF-8 bytes of the texts that stand in the sources word for word.

    Stretches are compared by a hash modulo 2**64 (a false match in 10**9 bytes has a probability below 10**-6).

    Args:
        texts: Written texts.
        sources: Documents of the training text.
        length: Bytes of a stretch, at least 1.

    Returns:
        0 to 1; 0 when every text is shorter than a stretch.
    """
    wanted = [_byte_hashes(text.encode("utf-8", "replace"), length) for text in texts]
    own = np.concatenate([np.zeros(0, np.uint64), *wanted])
    if not len(own):
        return 0.0
    ordered = np.unique(own)
    found = np.zeros(len(ordered), np.bool_)
    for source in sources:
        data = source.encode("utf-8", "replace")
        for begin in range(0, max(len(data) - length + 1, 0), CHUNK):
            hashes = _byte_hashes(data[begin : begin + CHUNK + length - 1], length)
            places = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
            found[places[ordered[places] == hashes]] = True
    return float(found[np.searchsorted(ordered, own)].mean())


def cut_alike(texts: Sequence[str], others: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cuts pairs of texts to the length of the shorter one, in characters, and leaves out pairs with an empty one."""
    pairs = [
        (a[: len(b)], b[: len(a)]) for a, b in zip(texts, others, strict=True) if a.strip() and b.strip()
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _byte_hashes(data: bytes, length: int) -> npt.NDArray[np.uint64]:
    if len(data) < length:
        return np.zeros(0, np.uint64)
    codes = np.frombuffer(data, np.uint8).astype(np.uint64) + np.uint64(1)
    return window_hashes(prefix_hashes(codes), length)
