"""Forms of a text under which two spellings of the same thing compare equal; no character changes its place."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

_DOUBLED = frozenset("bdfgmnprt")


@cache
def _converter() -> Any:
    """Returns opencc's converter from traditional to simplified characters, or None when it is not installed."""
    try:
        import opencc
    except ImportError:
        return None
    return opencc.OpenCC("t2s")


def can_simplify() -> bool:
    """Whether opencc is installed, so that traditional and simplified characters can be told to be the same."""
    return _converter() is not None


@cache
def _folded(character: str) -> str:
    """One character in lower case and compatibility form, or itself where that would be longer than one."""
    form = unicodedata.normalize("NFKC", character).lower()
    return form if len(form) == 1 else character


@cache
def _simplified(character: str) -> str:
    form = _converter().convert(character)
    return form if len(form) == 1 else character


def fold(text: str, simplify: bool = True) -> str:
    """Folds case, full-width forms and traditional characters; the result has the length of `text`.

    Args:
        text: Any text.
        simplify: Also turn traditional characters into simplified ones, where opencc is installed.
    """
    if text.isascii():
        return text.lower()
    plain = "".join([_folded(character) for character in text])
    if not simplify or _converter() is None:
        return plain
    converted: str = _converter().convert(plain)
    # A phrase of the dictionary may come out shorter or longer; then every character goes alone.
    return converted if len(converted) == len(plain) else "".join([_simplified(c) for c in plain])


def stem(word: str) -> str:
    """Strips the common endings of an English word in lower case (-s, -ed, -ing, -ly, 's), lightly.

    Far less than Porter's algorithm: only inflection goes, so that words of different meaning rarely meet.
    Words of other scripts, short words and numbers stay as they are.
    """
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word.removesuffix("'s").removesuffix("’s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return _undone(word[:-1])
    return _undone(word)


def _undone(word: str) -> str:
    for ending in ("ing", "edly", "ed", "ly"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and any(vowel in base for vowel in "aeiouy"):
            if len(base) > 3 and base[-1] == base[-2] and base[-1] in _DOUBLED:
                return base[:-1]
            return base.removesuffix("e") if len(base) > 4 else base
    return word.removesuffix("e") if len(word) > 4 else word
