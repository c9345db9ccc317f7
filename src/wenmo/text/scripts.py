"""Which script a character belongs to: Han, Latin, another one, or none (digits, punctuation, space)."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

SCRIPTS = ("common", "han", "latin", "other")
"""Names of the classes; `script_classes` returns positions in this tuple."""

_HAN = (
    (0x2E80, 0x2FD5),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAD9),
    (0x20000, 0x323AF),
)
_LATIN = (
    (0x41, 0x5A),
    (0x61, 0x7A),
    (0xAA, 0xAA),
    (0xBA, 0xBA),
    (0xC0, 0xD6),
    (0xD8, 0xF6),
    (0xF8, 0x2B8),
    (0x1D00, 0x1D25),
    (0x1E00, 0x1EFF),
    (0x2C60, 0x2C7F),
    (0xA722, 0xA787),
    (0xFB00, 0xFB06),
    (0xFF21, 0xFF3A),
    (0xFF41, 0xFF5A),
)
_COMMON = (
    (0x00, 0xBF),
    (0xD7, 0xD7),
    (0xF7, 0xF7),
    (0x2B9, 0x36F),
    (0x2000, 0x2BFF),
    (0x2E00, 0x2E7F),
    (0x2FF0, 0x3004),
    (0x3008, 0x3020),
    (0x302A, 0x303F),
    (0x3200, 0x33FF),
    (0x4DC0, 0x4DFF),
    (0xE000, 0xF8FF),
    (0xFE00, 0xFE6F),
    (0xFEFF, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF65),
    (0xFFE0, 0xFFFF),
    (0x1F000, 0x1FAFF),
    (0xE0000, 0x10FFFF),
)


@cache
def _table() -> npt.NDArray[np.uint8]:
    table = np.full(0x110000, SCRIPTS.index("other"), np.uint8)
    for name, ranges in (("common", _COMMON), ("han", _HAN), ("latin", _LATIN)):
        for first, last in ranges:
            table[first : last + 1] = SCRIPTS.index(name)
    return table


def script_classes(text: str) -> npt.NDArray[np.uint8]:
    """Returns the class of every character, uint8 (len(text),), as positions in `SCRIPTS`."""
    if text.isascii():
        return _table()[:128][np.frombuffer(text.encode("ascii"), np.uint8)]
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return _table()[codes]


def script_counts(text: str) -> dict[str, int]:
    """Counts the characters of `text` by script."""
    counts = np.bincount(script_classes(text), minlength=len(SCRIPTS))
    return {name: int(count) for name, count in zip(SCRIPTS, counts, strict=True)}


def script(character: str) -> str:
    """Returns the script of one character, a name in `SCRIPTS`."""
    return SCRIPTS[_table()[ord(character)]]


def is_han(character: str) -> bool:
    """Whether one character is a Han character (or an iteration mark or radical of that script)."""
    return script(character) == "han"


def han_share(text: str) -> float:
    """Share of Han characters among the letters of `text` (Han, Latin, other scripts); 0 without letters."""
    counts = script_counts(text)
    letters = counts["han"] + counts["latin"] + counts["other"]
    return counts["han"] / letters if letters else 0.0
