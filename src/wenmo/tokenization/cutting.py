"""The pieces of a text between which no token is cut, found in a compiled loop.

The `tokenizers` library cuts by a regular expression, and keeps for every byte where it came from, at one or two
megabytes a second of a core. Here one loop over the UTF-8 bytes finds the same pieces: `pretokenization.PATTERN`,
alternative by alternative.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value"

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.compiled import inner, outermost

PARTS = {"compiled": "b0595e14fad8"}
"""Files of functions that those that are kept are compiled from -> their digests; see `wenmo.compiled`."""

HAN, LETTER, MARK, NUMBER, SPACE, LINE_END = 1, 2, 4, 8, 16, 32
"""Flags of a character: script Han; categories L, M, N; `\\s`; carriage return and line feed."""
WORD = LETTER | MARK
SOLID = SPACE | WORD | NUMBER
"""What punctuation and symbols are not."""
CHARACTERS = "characters.json"
"""The flags of all characters in the Unicode of the `tokenizers` library: [first code point, flags] of every run."""


@cache
def character_flags() -> npt.NDArray[np.uint8]:
    """The flags of every code point, uint8 (0x110000,)."""
    runs = json.loads(resources.files(__package__).joinpath(CHARACTERS).read_text("ascii"))
    starts = [start for start, _ in runs] + [0x110000]
    flags: npt.NDArray[np.uint8] = np.repeat(np.array([f for _, f in runs], np.uint8), np.diff(starts))
    return flags


def cut(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Returns where each piece of a text ends, int32 (P,).

    Args:
        data: The text in UTF-8 (N,).
    """
    ends = np.empty(len(data), np.int32)
    return ends[: _cut(data, character_flags(), ends)]


@outermost
def _cut(data: Any, flags: Any, ends: Any) -> int:
    place, count = 0, 0
    while place < len(data):
        place = _piece_end(data, flags, place)
        ends[count] = place
        count += 1
    return count


@inner
def _at(data: Any, flags: Any, place: int) -> tuple[int, int]:
    """Flags of the character that begins at a place, and the place after it; no flags and -1 at the end."""
    if place >= len(data):
        return 0, -1
    lead = np.int64(data[place])
    if lead < 0x80:
        return np.int64(flags[lead]), place + 1
    if lead < 0xE0:
        return np.int64(flags[(lead & 0x1F) << 6 | data[place + 1] & 0x3F]), place + 2
    point = (lead & 0x0F) << 12 | (data[place + 1] & 0x3F) << 6 | data[place + 2] & 0x3F
    if lead < 0xF0:
        return np.int64(flags[point]), place + 3
    return np.int64(flags[(point & 0x7FFF) << 6 | data[place + 3] & 0x3F]), place + 4


@inner
def _contraction(data: Any, place: int) -> int:
    """Where 's, 't, 're, 've, 'm, 'll or 'd that begins at a place ends, in capitals or not; -1 for none.

    To the library, which ignores case as Unicode does, a long s is an s.
    """
    size = len(data)
    if data[place] == 0x27:
        start = place + 1
    elif data[place] == 0xE2 and data[place + 1] == 0x80 and data[place + 2] == 0x99:
        start = place + 3
    else:
        return -1
    if start >= size:
        return -1
    one = data[start] | 0x20
    if one == 0x73 or one == 0x74 or one == 0x6D or one == 0x64:
        return start + 1
    if data[start] == 0xC5 and data[start + 1] == 0xBF:
        return start + 2
    if start + 1 < size:
        two = data[start + 1] | 0x20
        if ((one == 0x72 or one == 0x76) and two == 0x65) or (one == 0x6C and two == 0x6C):
            return start + 2
    return -1


@inner
def _joins(flags: int, after: int) -> bool:
    """Whether a character takes the space before it into its piece: neither blank, Han nor number."""
    return after != -1 and not flags & (SPACE | HAN | NUMBER)


@inner
def _piece_end(data: Any, flags: Any, place: int) -> int:
    """Where the piece that begins at a place ends; the alternatives of `PATTERN` in order."""
    kind, after = _at(data, flags, place)
    end = _contraction(data, place)
    if end != -1 and not _at(data, flags, end)[0] & LETTER:
        return end
    space = data[place] == 0x20
    follower, beyond = _at(data, flags, after) if space else (kind, after)
    if beyond != -1 and follower & WORD and not follower & HAN:
        while beyond != -1 and follower & WORD and not follower & HAN:
            end = beyond
            follower, beyond = _at(data, flags, end)
        return end
    if kind & HAN:
        while after != -1 and kind & HAN:
            end = after
            kind, after = _at(data, flags, end)
        return end
    if kind & NUMBER:
        for _ in range(3):
            if after != -1 and kind & NUMBER:
                end = after
                kind, after = _at(data, flags, end)
        return end
    if kind & SPACE:
        blank, line, last = (
            place,
            -1,
            place,
        )  # after the run; after its last line end; before its last character
        run, next_place = kind, after
        while next_place != -1 and run & SPACE:
            last, blank = blank, next_place
            if run & LINE_END:
                line = blank
            run, next_place = _at(data, flags, blank)
        spared = last > place and data[last] == 0x20 and _joins(run, next_place)
        if line != -1:
            return last if spared and last >= line else blank
        if space and blank == place + 1 and next_place != -1 and not run & SOLID:
            pass  # a single space belongs to the punctuation after it
        else:
            return last if spared else blank
    follower, beyond = _at(data, flags, after) if space else (kind, after)
    while beyond != -1 and not follower & SOLID:
        end = beyond
        follower, beyond = _at(data, flags, end)
    return end
