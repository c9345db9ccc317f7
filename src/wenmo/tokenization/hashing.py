"""Stretches of bytes as keys of a hash table, in compiled loops."""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value"

from __future__ import annotations

from typing import Any

import numpy as np

from wenmo.compiled import inner


@inner
def hash_bytes(data: Any, start: int, size: int) -> int:
    """FNV-1a of some bytes, its upper half folded in."""
    value = np.uint64(0xCBF29CE484222325)
    for place in range(start, start + size):
        value = (value ^ np.uint64(data[place])) * np.uint64(0x100000001B3)
    return np.int64((value ^ value >> np.uint64(29)) & np.uint64(0x7FFFFFFFFFFFFFFF))


@inner
def equal_bytes(data: Any, one: int, other: int, size: int) -> bool:
    """Whether as many bytes are alike at two places of an array."""
    place = 0
    while place < size and data[one + place] == data[other + place]:
        place += 1
    return place == size
