"""The recent text that an n-gram model remembers, and the contexts that are hashed from it: compiled functions."""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wenmo.compiled import inlined, inner

if TYPE_CHECKING:
    from .array_types import I64, U64
    from .token_tree import Tree

CHARS = 20
"""Characters of context remembered in the vector of recent text."""
WORD, PREVIOUS_WORD, COLUMN, TOKEN, PREVIOUS_TOKEN = CHARS, CHARS + 1, CHARS + 2, CHARS + 3, CHARS + 4
RECENT = CHARS + 5
"""Length of the vector of recent text: characters (newest first), two words, place in the line, two tokens."""
EXTRA = 4
"""Contexts besides the last characters; see `contexts`."""
LAST_COLUMN = 80
"""Places in a line from here on are taken for one."""


@inlined
def hashed(value: np.uint64) -> np.uint64:
    """Spreads what distinguishes a number over all of its bits."""
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@inner
def push(recent: U64, token: int, tree: Tree) -> None:
    """Appends a token to the vector of recent text (RECENT,), in place."""
    recent[PREVIOUS_TOKEN] = recent[TOKEN]
    recent[TOKEN] = np.uint64(token + 1)
    start, end = tree.byte_offsets[token], tree.byte_offsets[token + 1]
    if start == end:  # the end of a document
        recent[:CHARS] = np.uint64(0)
        recent[WORD] = np.uint64(0)
        recent[PREVIOUS_WORD] = np.uint64(0)
        recent[COLUMN] = np.uint64(0)
        return
    for position in range(start, end):
        byte = np.uint64(tree.bytes[position])
        if np.uint64(0x80) <= byte < np.uint64(0xC0):  # goes on with a character
            recent[0] = (recent[0] << np.uint64(8)) | byte
        else:
            for i in range(CHARS - 1, 0, -1):
                recent[i] = recent[i - 1]
            recent[0] = byte
            recent[COLUMN] = np.uint64(0) if byte == np.uint64(10) else recent[COLUMN] + np.uint64(1)
        letter = (
            byte >= np.uint64(0x80)
            or np.uint64(97) <= byte <= np.uint64(122)
            or np.uint64(65) <= byte <= np.uint64(90)
            or np.uint64(48) <= byte <= np.uint64(57)
            or byte == np.uint64(95)
        )
        if letter:
            lower = byte | np.uint64(32) if np.uint64(65) <= byte <= np.uint64(90) else byte
            recent[WORD] = hashed((recent[WORD] + lower + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
        elif recent[WORD] != np.uint64(0):
            recent[PREVIOUS_WORD] = recent[WORD]
            recent[WORD] = np.uint64(0)


@inner
def join(a: np.uint64, b: np.uint64) -> np.uint64:
    """Hash of two numbers in this order."""
    return hashed((a + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)) + b


@inlined
def fold(value: np.uint64, recent: U64, first: int, last: int) -> np.uint64:
    """Hash of what `value` stands for and the last characters from place `first` up to place `last`."""
    for k in range(first, last):
        value = hashed((value + recent[k] + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    return value


@inlined
def hash_endings(recent: U64, lengths: I64 | tuple[int, ...], out: U64) -> None:
    """Hashes the last characters, as many as each of the ascending `lengths` says, into `out`, uint64."""
    value = np.uint64(0)
    done = 0
    for i in range(len(lengths)):
        value = fold(value, recent, done, lengths[i])
        done = lengths[i]
        out[i] = hashed((value + np.uint64(i + 1)) * np.uint64(0x9E3779B97F4A7C15))


@inner
def contexts(recent: U64, orders: I64, out: U64) -> None:
    """Hashes the contexts of the next token into `out` (N,).

    After the last characters come four more. Chinese is written without spaces, so a word in the sense of letters in
    a row would be a whole clause there; after a Chinese character other characters are left out of the context
    instead. With a to d for the last characters, the newest first:

    | | after a Chinese character | elsewhere |
    |---|---|---|
    | 0 | a, c | word so far, a |
    | 1 | b, c, d | word so far, the word before, a |
    | 2 | place in the line, a | the same |
    | 3 | c | the last two tokens |
    """
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    hash_endings(recent, orders, out)
    n = len(orders)
    a, b, c, d = recent[0], recent[1], recent[2], recent[3]
    if a > np.uint64(0xFFFF):  # three bytes or more in UTF-8
        first, second, fourth = join(a, c), join(join(b, c), d), c
    else:
        first = join(recent[WORD], a)
        second = join(join(recent[WORD], recent[PREVIOUS_WORD]), a)
        fourth = join(recent[TOKEN], recent[PREVIOUS_TOKEN])
    third = join(min(recent[COLUMN], np.uint64(LAST_COLUMN)), a)
    out[n] = hashed((first + np.uint64(101)) * multiplier)
    out[n + 1] = hashed((second + np.uint64(102)) * multiplier)
    out[n + 2] = hashed((third + np.uint64(103)) * multiplier)
    out[n + 3] = hashed((fourth + np.uint64(104)) * multiplier)
