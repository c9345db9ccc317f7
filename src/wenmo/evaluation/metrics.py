"""Numbers about written text: variety, repetition, and what was copied from the training text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

CHUNK = 4_000_000
"""Characters of training text searched at a time."""
_BASE = 0x9E3779B97F4A7C15
"""Odd, so that powers of it can be undone modulo 2**64."""


def distinct(units: Sequence[str], n: int) -> float:
    """Share of different n-grams among all n-grams of `units` (distinct-n, Li et al. 2016).

    Args:
        units: Characters or words.
        n: Length of the n-grams, at least 1.

    Returns:
        A number above 0 and at most 1; 1 when there is no n-gram at all.

    Raises:
        ValueError: When n is less than 1.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    grams = [tuple(units[start : start + n]) for start in range(len(units) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def repetition(units: Sequence[str], n: int = 4) -> float:
    """Share of n-grams that occurred before in the same text: 1 - `distinct` (seq-rep-n, Welleck et al. 2020)."""
    return 1.0 - distinct(units, n)


def loop_length(units: Sequence[str], times: int = 3) -> int:
    """Length of the loop that a text ends in.

    Args:
        units: Characters or words.
        times: How often the looping part must stand at the end, at least 2.

    Returns:
        Number of units at the end that repeat with some period at least `times` times over; 0 without a loop.

    Raises:
        ValueError: When `times` is less than 2.
    """
    if times < 2:
        raise ValueError("times must be at least 2")
    codes = {unit: code for code, unit in enumerate(dict.fromkeys(units))}
    array = np.array([codes[unit] for unit in units], dtype=np.int64)[::-1]
    longest = 0
    for period in range(1, len(array) // times + 1):
        same = array[period:] == array[:-period]
        run = len(same) if same.all() else int(np.argmin(same))
        if run >= period * (times - 1):
            longest = max(longest, run + period)
    return longest


@dataclass(frozen=True)
class Copied:
    """The longest stretch that a text shares with other texts.

    Attributes:
        text: The stretch; empty when not even a character is shared.
        start: Where it begins in the text examined.
    """

    text: str
    start: int

    @property
    def length(self) -> int:
        """Characters of the stretch."""
        return len(self.text)


def longest_copy(text: str, sources: Iterable[str]) -> Copied:
    """Finds the longest stretch of `text` that stands word for word in `sources`.

    Windows are compared by a hash modulo 2**64 and every match is checked on the text itself. The time is about
    that of a few sweeps over the sources, the memory that of `CHUNK` characters of them.

    Args:
        text: Written text.
        sources: Documents of the training text; a stretch lies inside one of them.
    """
    codes = _codes(text)
    best = Copied("", 0)
    for source in sources:
        step = max(CHUNK - len(text), 1)
        for begin in range(0, max(len(source), 1), step):
            piece = source[begin : begin + step + len(text)]
            best = _longer(text, codes, piece, best)
    return best


def _longer(text: str, codes: npt.NDArray[np.uint64], piece: str, best: Copied) -> Copied:
    """The longest common stretch of `text` and `piece` if it is longer than `best`, else `best`."""
    own, others = prefix_hashes(codes), prefix_hashes(_codes(piece))
    low, high = len(best.text), min(len(text), len(piece))
    # A stretch of length L holds one of every smaller length: double the step, then halve the interval.
    step = 1
    while low < high:
        length = min(low + step, high)
        start = _common(text, own, piece, others, length)
        if start is None:
            high = length - 1
            step = max((high - low) // 2, 1)
        else:
            best = Copied(text[start : start + length], start)
            low = length
            step *= 2
    return best


def _common(
    text: str, own: npt.NDArray[np.uint64], piece: str, others: npt.NDArray[np.uint64], length: int
) -> int | None:
    wanted, found = window_hashes(own, length), window_hashes(others, length)
    # Sorting the few and looking up the many is far faster than the other way round.
    ordered = np.sort(wanted)
    places = np.minimum(np.searchsorted(ordered, found), len(ordered) - 1)
    hits = np.flatnonzero(np.isin(wanted, found[ordered[places] == found]))
    for start in hits.tolist():
        if text[start : start + length] in piece:
            return int(start)
    return None


def _codes(text: str) -> npt.NDArray[np.uint64]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64) + np.uint64(
        1
    )


@lru_cache(maxsize=4)
def _powers(count: int, base: int) -> npt.NDArray[np.uint64]:
    powers = np.full(count, base, np.uint64)
    if count:
        powers[0] = 1
    return np.multiply.accumulate(powers, dtype=np.uint64)


def prefix_hashes(codes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Sums of code[i] * base**i over every prefix, modulo 2**64, (N + 1,)."""
    # Mixing the code points first keeps regular texts, such as "aaaa", from colliding.
    mixed = (codes ^ (codes << np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    sums = np.cumsum(mixed * _powers(len(codes), _BASE), dtype=np.uint64)
    return np.concatenate([np.zeros(1, np.uint64), sums])


def window_hashes(prefixes: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
    """Hash of every window of `length` characters, (N - length + 1,)."""
    sums = prefixes[length:] - prefixes[:-length]
    return sums * _powers(len(prefixes), pow(_BASE, -1, 1 << 64))[: len(sums)]
