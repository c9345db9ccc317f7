"""A hash table of pairs of tokens with open addressing, for compiled loops."""

# mypy: disable-error-code="untyped-decorator,no-any-return,return-value"

from __future__ import annotations

from typing import Any

import numpy as np

from wenmo.compiled import inner


@inner
def find_pair(keys: Any, key: int) -> int:
    """The slot that holds a pair, or the free one where it would stand.

    Args:
        keys: The pairs as numbers, -1 where a slot is free, int64 (S,), S a power of two.
        key: The pair.
    """
    mask = len(keys) - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> np.uint64(32)) & mask
    while keys[slot] != key and keys[slot] != -1:
        slot = (slot + 1) & mask
    return slot
