"""The match model: which token followed each long context, and how often in a row. Compiled functions.

A follower is a uint32: 8 check bits, 4 bits of how often in a row (0 means empty), 20 bits of token.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wenmo.compiled import inner

from .recent_text import hash_endings
from .simd import prefetch

if TYPE_CHECKING:
    from .array_types import I8, I64, U32, U64
    from .token_tree import Tree

MATCHES = (4, 7, 12, 20)
"""Characters of the contexts of the match model."""
RUNS = 16
"""How often in a row a token is counted to have followed: 0 to 15."""
MAX_FOLLOWER = 1 << 20
"""Tokens from this one on are not remembered by the match model."""


@inner
def match_keys_of(recent: U64, followers: U32, keys: U64) -> None:
    """Hashes the contexts of MATCHES into `keys`, and begins to bring what followed them near."""
    hash_endings(recent, MATCHES, keys)
    for i in range(len(MATCHES)):
        prefetch(followers, np.int64(keys[i] & np.uint64(len(followers) - 1)))


@inner
def foresee(followers: U32, keys: U64, tree: Tree, expected: I8, match: I64) -> None:
    """Looks up what followed the longest known context, and marks the decisions that lead there.

    Args:
        followers: Table of the match model.
        keys: The hash of every context of MATCHES.
        tree: The tree of tokens.
        expected: Receives, at the nodes on the path, 1 or 2 for the decision 0 or 1; 0 elsewhere.
        match: Receives the token, or -1, and the row of its cells in the table `trust`, (2,).
    """
    match[0] = -1
    for i in range(len(MATCHES)):
        entry = followers[np.int64(keys[i] & np.uint64(len(followers) - 1))]
        if entry != np.uint32(0) and entry >> np.uint32(24) == np.uint32(keys[i] >> np.uint64(56)):
            match[0] = np.int64(entry & np.uint32(MAX_FOLLOWER - 1))
            match[1] = i * RUNS + np.int64((entry >> np.uint32(20)) & np.uint32(15))
    if match[0] >= 0:
        for step in range(tree.path_offsets[match[0]], tree.path_offsets[match[0] + 1]):
            expected[tree.path[step] >> 1] = 1 + (tree.path[step] & 1)


@inner
def forget(tree: Tree, expected: I8, match: I64) -> None:
    """Takes the marks of `foresee` away."""
    if match[0] >= 0:
        for step in range(tree.path_offsets[match[0]], tree.path_offsets[match[0] + 1]):
            expected[tree.path[step] >> 1] = 0


@inner
def remember(token: int, followers: U32, keys: U64) -> None:
    """Learns that `token` followed; a context is remembered once the next shorter one is."""
    if token >= MAX_FOLLOWER:
        return
    for i in range(len(keys)):
        place = np.int64(keys[i] & np.uint64(len(followers) - 1))
        entry = followers[place]
        check = np.uint32(keys[i] >> np.uint64(56))
        known = entry != np.uint32(0) and entry >> np.uint32(24) == check
        count = np.uint32(1)
        if known and np.int64(entry & np.uint32(MAX_FOLLOWER - 1)) == token:
            count = min(((entry >> np.uint32(20)) & np.uint32(15)) + np.uint32(1), np.uint32(RUNS - 1))
        followers[place] = (check << np.uint32(24)) | (count << np.uint32(20)) | np.uint32(token)
        if not known:
            return
