"""The slots in which the contexts of an n-gram model are counted: compiled functions.

A slot is a uint32: 10 check bits, 6 bits of count n (0 means empty), 16 bits of probability that the bit is 1. The
slots of a context for a group of nodes share a cache line.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wenmo.compiled import inlined, inner

from .recent_text import hashed
from .simd import LINE, line_masks, lowest_bit, prefetch

if TYPE_CHECKING:
    from .array_types import I32, I64, U32, U64

PROBES = 6
"""Slots of a line tried before one is replaced."""


@inlined
def own_hash(key: np.uint64, node: np.uint64) -> np.uint64:
    """Bits 0 to 3: first place in the line; 8 to 17: check bits. The key is a good hash: its best bits will do."""
    return ((key + node) * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(40)


@inlined
def _line(context: np.uint64, group: int, lines: np.uint64) -> tuple[np.uint64, int]:
    """Key of a context for a group of nodes, and the first slot of its cache line."""
    key = hashed((context + np.uint64(group)) * np.uint64(0x9E3779B97F4A7C15))
    return key, np.int64(key & lines) * LINE


@inlined
def prefetch_lines(group: int, hashes: U64, slots: U32) -> None:
    """Begins to bring the cache lines of all contexts for a group of nodes near."""
    lines = np.uint64(len(slots) // LINE - 1)
    for i in range(len(hashes)):
        prefetch(slots, _line(hashes[i], group, lines)[1])


@inner
def prefetch_path(token: int, group: I32, path: I32, offsets: I64, hashes: U64, slots: U32) -> None:
    """The same for all groups on the path of a token that will be scored next."""
    before = -1
    for step in range(offsets[token], offsets[token + 1]):
        here = np.int64(group[path[step] >> 1])
        if here != before:
            prefetch_lines(here, hashes, slots)
            before = here


@inlined
def open_lines(group: int, hashes: U64, keys: U64, bases: I64, slots: U32) -> None:
    """Finds the cache line of every context for a group of nodes; asks for all at once, to wait only once."""
    lines = np.uint64(len(slots) // LINE - 1)
    for i in range(len(hashes)):
        key, base = _line(hashes[i], group, lines)
        prefetch(slots, base)
        keys[i], bases[i] = key, base


@inlined
def find(slots: U32, base: int, own: np.uint64) -> int:
    """Index of the slot, or -1 - index of the one to replace.

    PROBES slots from the first place on, round the line, are looked at up to the first that is empty.
    """
    start = np.int64(own & np.uint64(LINE - 1))
    masks = line_masks(slots, base, np.uint32(own >> np.uint64(8)) & np.uint32(1023))
    same, empty = masks & 0xFFFF, masks >> LINE
    probed = (1 << PROBES) - 1
    same = ((same | same << LINE) >> start) & probed
    empty = ((empty | empty << LINE) >> start) & probed
    same &= (empty & -empty) - 1
    if same:
        return base + ((start + lowest_bit(same)) & (LINE - 1))
    if empty:
        return -1 - (base + ((start + lowest_bit(empty)) & (LINE - 1)))
    worst, least = base, np.uint32(1 << 30)
    for j in range(PROBES):
        index = base + ((start + j) & (LINE - 1))
        count = (slots[index] >> np.uint32(16)) & np.uint32(63)
        if count < least:
            worst, least = index, count
    return -1 - worst
