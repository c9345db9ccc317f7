"""What stands in both question and passage: numbers for every unit that need not be learned.

With a few thousand questions these carry most of a reader's skill; exact matches were worth more than any other
feature already in Chen et al. 2017 ("Reading Wikipedia to Answer Open-Domain Questions", table 6).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wenmo.answering.units import HAN, LATIN, MARK, NUMBER, Units

Floats = npt.NDArray[np.float32]

NAMES = (
    *("match", "run2", "run3", "run4", "word", "weight"),
    *("near8", "near20", "near50"),
    *("sentence", "sentence_rank", "sentence_best", "sentence_before", "sentence_after"),
    *("left5", "left25", "right5", "right25"),
    *("idf", "begins", "closes", "han", "latin", "number", "mark"),
    *("place", "repeats"),
)
"""One column of `pair_features` each."""
_SINGLE = 0.3  # a single Han character in common says little
_MIX = np.uint64(0x9E3779B97F4A7C15)


def _grams(keys: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.uint64]:
    """A number for each sequence of n units, uint64 (L - n + 1,)."""
    size = max(len(keys) - n + 1, 0)
    total = np.zeros(size, np.uint64)
    for offset in range(n):
        total = (total ^ keys[offset : offset + size]) * _MIX
        total ^= total >> np.uint64(29)
    return total


def _runs(keys: npt.NDArray[np.uint64], other: npt.NDArray[np.uint64]) -> npt.NDArray[np.int8]:
    """Length (up to 4) of the longest sequence through each unit that stands in `other` too, int8 (L,)."""
    runs = np.zeros(len(keys), np.int8)
    for n in range(1, 5):
        found = np.isin(_grams(keys, n), _grams(other, n))
        if not found.any():
            break
        for offset in range(n):
            covered = runs[offset : offset + len(found)]
            covered[found] = n
    return runs


def _window(values: Floats, reach: int) -> Floats:
    """Sum over the units at most `reach` away, float32 (L,)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    high = np.minimum(places + reach + 1, len(values))
    return np.asarray(total[high] - total[np.maximum(places - reach, 0)], np.float32)


def _distances(marks: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Units to the nearest mark on the left and on the right (the unit itself excluded); 1,000 without one."""
    size = len(marks)
    places = np.arange(size)
    last = np.maximum.accumulate(np.where(marks, places, -1000))
    left = places - np.concatenate([[-1000], last[:-1]])
    backwards = np.maximum.accumulate(np.where(marks[::-1], places, -1000))
    right = (places - np.concatenate([[-1000], backwards[:-1]]))[::-1]
    return left.astype(np.float32), right.astype(np.float32)


def _coverage(passage: Units, question: Units, idf: Floats, weights: Floats) -> Floats:
    """Share of the question's distinct units and pairs, weighted by idf, that each sentence holds, float32 (S,)."""
    count = int(passage.sentence[-1]) + 1
    covered = np.zeros(count, np.float32)
    whole = 1e-6
    for n in (1, 2):
        asked, first = np.unique(_grams(question.keys, n), return_index=True)
        if not len(asked):
            continue
        value = weights[first] if n == 1 else (idf[first] + idf[first + 1]) / 2
        grams = _grams(passage.keys, n)
        place = np.minimum(np.searchsorted(asked, grams), len(asked) - 1)
        hit = asked[place] == grams
        pairs = np.unique(passage.sentence[: len(grams)][hit].astype(np.int64) * len(asked) + place[hit])
        covered += np.bincount(pairs // len(asked), value[pairs % len(asked)], count).astype(np.float32)
        whole += float(value.sum())
    return covered / whole


def pair_features(passage: Units, question: Units, idf: Floats, question_idf: Floats) -> Floats:
    """Compares a passage with a question; the other way round gives the question's features.

    Args:
        passage: The text that is described, L units.
        question: What it is compared with.
        idf: Rarity of the passage's units (natural logarithm), float32 (L,).
        question_idf: The same of the question's units.

    Returns:
        One row for each unit of the passage, float32 (L, len(NAMES)); the columns are about 0 to 1.
    """
    size = len(passage)
    if not size:
        return np.zeros((0, len(NAMES)), np.float32)
    runs = _runs(passage.keys, question.keys)
    mark, han = passage.kinds == MARK, passage.kinds == HAN
    match = (runs > 0) & ~mark
    weight = np.where(match, idf, 0) * np.where((runs == 1) & han, _SINGLE, 1.0)
    asked = question_idf * np.where(question.kinds == HAN, _SINGLE, 1.0) * (question.kinds != MARK)
    scale = float((question_idf * (question.kinds != MARK)).sum()) + 1e-6
    known = {word for word, kind in zip(question.words, question.kinds, strict=True) if kind != MARK}
    same_word = np.array([word in known for word in passage.words]) & ~mark
    coverage = _coverage(passage, question, question_idf, asked.astype(np.float32))
    best = float(coverage.max()) + 1e-6
    around = np.concatenate([[0.0], coverage, [0.0]]) / best
    sentence = passage.sentence
    left, right = _distances(match & (idf > 1.0) & ((runs > 1) | ~han))
    _, inverse, counts = np.unique(passage.keys, return_inverse=True, return_counts=True)
    columns = (
        *(match, (runs > 1) & ~mark, runs > 2, runs > 3, same_word, weight / 8),
        *(_window(weight.astype(np.float32), reach) / scale for reach in (8, 20, 50)),
        *(coverage[sentence], coverage[sentence] / best, coverage[sentence] >= best - 2e-6),
        *(around[sentence], around[sentence + 2]),
        *(np.exp(-left / 5), np.exp(-left / 25), np.exp(-right / 5), np.exp(-right / 25)),
        *(idf / 8, passage.begins, passage.closes),
        *(passage.kinds == kind for kind in (HAN, LATIN, NUMBER, MARK)),
        *(np.arange(size) / size, np.log(counts[inverse]) / 3),
    )
    return np.stack(columns, 1).astype(np.float32)
