"""A text as tokens that know where they stand, what they are and whether they go on from the one before."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from wenmo.semantics.function_words import frame_words, function_words, stop_words
from wenmo.text import is_han, words

_JOINING = re.compile(r"[ \t\u3000\u00a0]*|[-‐‑·•]|[ \t\u00a0]*\r?\n[ \t\u00a0]*")
_NOUNLIKE = ("n", "v", "a", "b", "j", "l", "i", "s", "t", "x", "z", "eng", "k", "h", "g", "f", "q", "m")
_BROKEN_TAGS = ("r", "p", "c", "u", "d", "y", "e", "o", "w")
"""Tags of jieba that end a phrase: pronouns, prepositions, conjunctions, particles, adverbs, interjections."""

Kind = Literal["han", "latin", "number"]


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a text.

    Attributes:
        text: As it stands in the text.
        key: What it is counted as: lower case, English plurals folded into the singular.
        kind: Han characters, letters of another script, or a number.
        tag: Part of speech as jieba names it for Han words ("n", "vn", ...), "eng" or "m" for the others.
        start: Position of its first character in the text.
        end: Position after its last character.
        joined: Whether only space (or a hyphen) stands between it and the token before.
        breaks: Whether it can stand in no key phrase: function words, frame words, lone numbers.
        soft: Whether a document may show that it does not break after all, by repeating it beside the same word: many
            terms have a character in them that is also a word of grammar (小波, 低渗透, 上拱).
    """

    text: str
    key: str
    kind: Kind
    tag: str
    start: int
    end: int
    joined: bool
    breaks: bool
    soft: bool = False


_HARD = frozenset(
    "的了着过之和与及或在是对由从以而其为被把将使让不没有各每这那此该本我你他她它们并且也都就还又很则若如因"
)
_ENDING_IE = frozenset(
    (
        "movie",
        "cookie",
        "zombie",
        "calorie",
        "selfie",
        "rookie",
        "prairie",
        "hippie",
        "brownie",
        "hoodie",
        "genie",
        "bookie",
    )
)
_KEPT_S = (
    "ss",
    "us",
    "is",
    "ous",
    "ics",
    "news",
    "series",
    "species",
    "lens",
    "gas",
    "bias",
    "atlas",
    "canvas",
)


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """Lower-cases a word and turns a regular English plural into its singular (the S-stemmer of Harman 1991).

    Only words of four and more ASCII letters are changed: "networks" -> "network", "theories" -> "theory".
    """
    word = word.lower().replace("’", "'")
    if word.endswith("'s"):
        word = word[:-2]
    if len(word) < 4 or not word.isascii() or not word.endswith("s") or word.endswith(_KEPT_S):
        return word
    if word[:-1] in _ENDING_IE:
        return word[:-1]
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if word.endswith(("ches", "shes", "xes", "sses", "zzes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=1 << 16)
def _tag(word: str) -> str:
    import rjieba

    tags = rjieba.tag(word)
    return str(tags[-1][1]) if tags else "x"


@lru_cache(maxsize=1 << 16)
def _description(word: str) -> tuple[str, Kind, str, bool]:
    """Key, kind, tag and whether it breaks; of the word alone, so that it is worked out once."""
    key = fold(word)
    if word[0].isdigit():
        return key, "number", "m", True
    breaks = key in function_words() or key in frame_words() or word.lower() in frame_words()
    if is_han(word[0]):
        tag = _tag(word)
        return key, "han", tag, breaks or tag.startswith(_BROKEN_TAGS)
    adverb = word.isascii() and len(word) > 5 and word.endswith("ly")
    return key, "latin", "eng", breaks or adverb or word.lower() in function_words()


def _joins(gap: str, following: str) -> bool:
    """Whether a phrase may go on over `gap`; a line break goes on only into a lower-case word of a spaced script."""
    if not _JOINING.fullmatch(gap):
        return False
    return "\n" not in gap or (following[0].islower() and not is_han(following[0]))


def tokens(text: str) -> list[Token]:
    """Splits `text` into `Token`s by wenmo's segmentation.

    Punctuation, symbols and blank lines are left out but end a phrase: the token after them is not `joined`.
    """
    found: list[Token] = []
    end = 0
    for word in words(text):
        start = text.index(word, end)
        joined = bool(found) and _joins(text[end:start], word)
        end = start + len(word)
        key, kind, tag, breaks = _description(word)
        soft = breaks and kind == "han" and len(word) == 1 and word not in _HARD
        found.append(Token(word, key, kind, tag, start, end, joined, breaks, soft))
    return found


def content_words(text: str) -> list[str]:
    """The keys of the words of `text` that tell its subject: nothing of the three stop lists, numbers, single letters.

    A single Han character is left out too: most are parts of words that the segmentation did not know.
    """
    return [key for word in words(text) if (key := _subject(word)) is not None]


def spellings(texts: Iterable[str], keys: Collection[str]) -> dict[str, str]:
    """How words are written most often in texts; of equally frequent spellings the one with the fewest capitals.

    Args:
        texts: Where to look.
        keys: Keys of content words (see `content_words`).

    Returns:
        Key -> spelling, for the keys that occur.
    """
    found: dict[str, Counter[str]] = {}
    for text in texts:
        for word in words(text):
            key = _subject(word)
            if key in keys and key is not None:
                found.setdefault(key, Counter())[word] += 1
    return {
        key: min(counts, key=lambda word: (-counts[word], sum(c.isupper() for c in word), word))
        for key, counts in found.items()
    }


@lru_cache(maxsize=1 << 16)
def _subject(word: str) -> str | None:
    key, kind, _, breaks = _description(word)
    if breaks or kind == "number" or key in stop_words() or word.lower() in stop_words():
        return None
    return key if len(key) > (2 if kind == "latin" and key.isascii() else 1) else None
