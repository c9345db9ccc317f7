"""Key phrase candidates of one document: adjacent words that no punctuation or function word interrupts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from wenmo.semantics.function_words import stop_words
from wenmo.semantics.tokens import Token

MAX_WORDS = 5
MAX_HAN = 12
"""Longest phrase in Han characters."""
LONG = 20_000
"""From this many words on, only phrases whose neighbouring words stand together at least twice are considered."""

_ENDS = ("n", "v", "j", "l", "i", "x", "eng", "s", "t", "z", "g", "k", "q", "b", "a")
"""Parts of speech a Chinese phrase may end with; jieba tags many nominalised adjectives as "a"."""


@dataclass(slots=True)
class Candidate:
    """A phrase and where it stands.

    Attributes:
        key: The keys of its words.
        surfaces: How it is written, with counts.
        starts: Index of its first word in the document's tokens, one per occurrence, ascending.
        left_free: Occurrences before which no phrase could go on (punctuation, a function word, the beginning).
        right_free: The same after it.
        tags: Parts of speech of its words, at its first occurrence.
        kinds: Kinds of its words.
    """

    key: tuple[str, ...]
    tags: tuple[str, ...]
    kinds: tuple[str, ...]
    surfaces: Counter[str] = field(default_factory=Counter)
    starts: list[int] = field(default_factory=list)
    left_free: int = 0
    right_free: int = 0

    @property
    def frequency(self) -> int:
        """How often it stands in the document."""
        return len(self.starts)

    @property
    def text(self) -> str:
        """Its most frequent spelling; of equally frequent ones the one with the fewest capitals."""
        return min(
            self.surfaces.items(), key=lambda item: (-item[1], sum(c.isupper() for c in item[0]), item[0])
        )[0]


def runs(tokens: Sequence[Token]) -> list[range]:
    """Stretches of tokens that could be one phrase: joined, and none of them breaks.

    A soft token (see `Token`) does not break where it stands beside a word that it stands beside at least twice.
    """
    pairs = Counter((a.key, b.key) for a, b in pairwise(tokens) if b.joined and (a.soft or b.soft))
    breaks = [token.breaks for token in tokens]
    for i, (first, second) in enumerate(pairwise(tokens)):
        if second.joined and pairs[first.key, second.key] > 1:
            if first.soft and not second.breaks:
                breaks[i] = False
            if second.soft and not first.breaks:
                breaks[i + 1] = False
    found: list[range] = []
    start: int | None = None
    for i, token in enumerate(tokens):
        if start is not None and (breaks[i] or not token.joined):
            found.append(range(start, i))
            start = None
        if start is None and not breaks[i]:
            start = i
    if start is not None:
        found.append(range(start, len(tokens)))
    return found


def candidates(text: str, tokens: Sequence[Token]) -> dict[tuple[str, ...], Candidate]:
    """Finds every phrase of up to `MAX_WORDS` words inside a run that begins and ends as a term does.

    Args:
        text: The document.
        tokens: Its tokens, of `tokens.tokens`.

    Returns:
        The candidates by key, in the order of their first occurrence.
    """
    found: dict[tuple[str, ...], Candidate] = {}
    stretches = runs(tokens)
    pairs = _pairs(tokens, stretches) if len(tokens) > LONG else None
    for run in stretches:
        for first in run:
            for last in range(first, min(first + MAX_WORDS, run.stop)):
                if pairs and last > first and pairs[tokens[last - 1].key, tokens[last].key] < 2:
                    break
                words = tokens[first : last + 1]
                if not _is_term(words):
                    continue
                key = tuple(word.key for word in words)
                if key not in found:
                    found[key] = Candidate(key, tuple(w.tag for w in words), tuple(w.kind for w in words))
                candidate = found[key]
                candidate.surfaces[_surface(text, words)] += 1
                candidate.starts.append(first)
                candidate.left_free += first == run.start
                candidate.right_free += last == run.stop - 1
    return found


def _pairs(tokens: Sequence[Token], stretches: Sequence[range]) -> Counter[tuple[str, str]]:
    return Counter((tokens[i].key, tokens[i + 1].key) for run in stretches for i in run[:-1])


def _surface(text: str, words: Sequence[Token]) -> str:
    return " ".join(text[words[0].start : words[-1].end].split())


def _is_term(words: Sequence[Token]) -> bool:
    if len(words) == 1:
        (word,) = words
        if word.kind == "latin" and word.key.isascii() and len(word.key) < 3 and not word.text.isupper():
            return False
        return len(word.key) > 1 and word.key not in stop_words() and word.text.lower() not in stop_words()
    last = words[-1]
    if last.kind == "han" and not last.tag.startswith(_ENDS):
        return False
    return sum(len(word.text) for word in words if word.kind == "han") <= MAX_HAN
