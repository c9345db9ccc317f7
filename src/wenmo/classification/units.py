r"""Text as units with their places: words, numbers, punctuation marks; and its characters, folded.

Punctuation counts here, unlike in `wenmo.text.words`: "!" and "..." say much about an opinion. Folding (lower case,
full-width letters and digits to half-width) keeps the length of the text, so every unit knows where it stands.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9\U00020000-\U000323af"
_UNIT = re.compile(
    rf"(?P<han>[{_HAN}]+)"
    rf"|[^\W\d_{_HAN}]+(?:['’][^\W\d_{_HAN}]+)*"
    r"|\d+"
    r"|(?P<mark>[^\w\s])(?P=mark)*"
    r"|_+"
)
LONGEST_RUN = 3
"""A mark repeated more often than this counts as this many: "!!!!!!" and "!!!" are one unit."""


@cache
def _half_width() -> dict[int, int]:
    table = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
    table[0x3000] = 0x20
    table[ord("’")] = ord("'")
    return table


def fold(text: str) -> str:
    """Lower-cases `text` and makes full-width letters, digits and marks half-width; the length stays."""
    half = text.translate(_half_width())
    lower = half.lower()
    if len(lower) == len(half):
        return lower
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in half)


def units(text: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Splits `text` into words, numbers and marks; a Han run by dictionary (jieba).

    Returns:
        The units, folded, and their places [begin, end) in `text`, int64 (N, 2).
    """
    import rjieba

    folded = fold(text)
    found: list[str] = []
    places: list[tuple[int, int]] = []
    for match in _UNIT.finditer(folded):
        begin, end = match.span()
        if match.lastgroup == "han":
            for word in rjieba.cut(match.group()):
                found.append(word)
                places.append((begin, begin + len(word)))
                begin += len(word)
        else:
            found.append(match.group()[:LONGEST_RUN] if match.lastgroup == "mark" else match.group())
            places.append((begin, end))
    return found, np.array(places, np.int64).reshape(-1, 2)


def characters(text: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Returns the folded characters of `text` without white space, as code points, and their places (both (N,))."""
    codes = np.frombuffer(fold(text).encode("utf-32-le", "surrogatepass"), np.uint32)
    kept = np.flatnonzero(~np.isin(codes, _SPACES))
    return codes[kept], kept


_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)
