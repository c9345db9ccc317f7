"""The different pieces of a text and how often each occurs, which is all that merges are learned from."""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return"

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wenmo.compiled import outermost

from .cutting import cut
from .hashing import equal_bytes, hash_bytes

PARTS = {"compiled": "b0595e14fad8", "hashing": "7209a6f5e9f3"}
"""Files of functions that those that are kept are compiled from -> their digests; see `wenmo.compiled`."""


@dataclass(frozen=True)
class Pieces:
    """The different pieces of a text, in which pairs are looked for.

    Attributes:
        data: UTF-8 of the text, uint8 (N,).
        starts: Where each piece stands first, int32 (P,).
        sizes: Bytes of each, int32 (P,).
        counts: How often each occurs, int64 (P,).
    """

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Cuts texts into pieces and counts them.

        Args:
            texts: Stretches of text; no pair is looked for across their ends. What is no character is left out.
        """
        read, ends, size = [np.empty(0, np.uint8)], [np.empty(0, np.int32)], 0
        for text in texts:
            part = np.frombuffer(text.encode("utf-8", "ignore"), np.uint8)
            read.append(part)
            ends.append(cut(part) + np.int32(size))
            size += len(part)
        data, borders = np.concatenate(read), np.concatenate(ends)
        slots = np.full(1 << int(2 * len(borders)).bit_length(), -1, np.int32)
        starts, sizes = np.empty(len(borders), np.int32), np.empty(len(borders), np.int32)
        counts = np.zeros(len(borders), np.int64)
        unique = _count(data, borders, slots, starts, sizes, counts)
        return cls(data, starts[:unique], sizes[:unique], counts[:unique])


@outermost
def _count(data: Any, ends: Any, slots: Any, starts: Any, sizes: Any, counts: Any) -> int:
    """Counts equal pieces of two bytes and more; returns how many different ones there are.

    Args:
        data: The text, uint8 (N,).
        ends: Of the pieces, int32 (P,).
        slots: Working memory, filled with -1, a power of two and more than P.
        starts: Receives where each first stands, int32 (P,).
        sizes: Receives their bytes, int32 (P,).
        counts: Receives their numbers, int64 (P,).
    """
    start, unique, mask = 0, 0, len(slots) - 1
    for end in ends:
        size = end - start
        if size > 1:
            slot = hash_bytes(data, start, size) & mask
            while slots[slot] != -1:
                known = slots[slot]
                if sizes[known] == size and equal_bytes(data, starts[known], start, size):
                    break
                slot = (slot + 1) & mask
            if slots[slot] == -1:
                slots[slot], starts[unique], sizes[unique] = unique, start, size
                unique += 1
            counts[slots[slot]] += 1
        start = end
    return unique
