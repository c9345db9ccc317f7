"""Keywords and key phrases of a document, and of many documents together."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from wenmo.semantics.background import Background
from wenmo.semantics.candidates import Candidate, candidates
from wenmo.semantics.ranking import probabilities
from wenmo.semantics.tokens import Kind, Token, tokens

OVERLAP = 0.5
"""How much a phrase loses that says what an earlier one said: this share of its score times the share in common."""


class Keyword(BaseModel):
    """A key phrase."""

    model_config = ConfigDict(frozen=True)

    text: str
    """The phrase as it is written most often."""
    score: float
    """Probability that an author would have named it (for many documents see `extract_overall`)."""
    count: int
    """Occurrences."""
    documents: int = 1
    """Documents that have it."""


def extract(
    text: str, background: Background | None = None, *, top: int = 10, overlap: float = OVERLAP
) -> list[Keyword]:
    """Finds the key phrases of one document, Chinese, English or both.

    Args:
        text: The document.
        background: What is usual; text at large when not given.
        top: Most phrases returned.
        overlap: How strongly phrases are passed over that repeat words of better ones, 0 to 1.

    Returns:
        The best first; fewer than `top` where the document has no more, none where it has no words.
    """
    read = tokens(text)
    scored = score(text, read, background or Background())
    return [_keyword(candidate, value) for candidate, value in thinned(scored, top, overlap)]


def score(text: str, read: Sequence[Token], background: Background) -> list[tuple[Candidate, float]]:
    """Scores every candidate of a document, the best first; equal scores in order of appearance."""
    found = list(candidates(text, read).values())
    values = probabilities(found, read, background)
    return sorted(zip(found, map(float, values), strict=True), key=lambda pair: -pair[1])


def thinned(
    scored: Sequence[tuple[Candidate, float]], top: int, overlap: float = OVERLAP
) -> list[tuple[Candidate, float]]:
    """Takes the best phrases one by one and passes over those that repeat what was taken.

    It is maximal marginal relevance (Carbonell and Goldstein 1998), multiplicative: a phrase counts as its score times
    (1 - `overlap` * the largest share of its words and characters that a taken phrase has too). Spellings that differ
    only in case, hyphens or spaces are one phrase, and a part of a taken phrase that never stands alone is not taken.

    Args:
        scored: Phrases with their scores, the best first.
        top: Most phrases taken.
        overlap: Strength, 0 to 1.
    """
    pool = list(scored[: max(10 * top, 50)])
    worth = [value for _, value in pool]
    spellings: set[str] = set()
    taken: list[tuple[Candidate, float]] = []
    while pool and len(taken) < top:
        best = max(range(len(pool)), key=lambda i: worth[i])
        chosen, value = pool.pop(best)
        worth.pop(best)
        spelling = _spelling(chosen.key)
        if spelling in spellings or (overlap and any(_only_inside(chosen, longer) for longer, _ in taken)):
            continue
        spellings.add(spelling)
        taken.append((chosen, value))
        if overlap:
            for i, (candidate, own) in enumerate(pool):
                worth[i] = min(worth[i], own * (1 - overlap * likeness(candidate.key, chosen.key)))
    return taken


def _only_inside(part: Candidate, whole: Candidate) -> bool:
    size = len(part.key)
    inside = any(whole.key[i : i + size] == part.key for i in range(len(whole.key) - size))
    return (
        (inside or whole.key[-size:] == part.key)
        and size < len(whole.key)
        and part.frequency <= whole.frequency
    )


def _spelling(key: tuple[str, ...]) -> str:
    return "".join(character for character in "".join(key) if character.isalnum())


def likeness(first: tuple[str, ...], second: tuple[str, ...]) -> float:
    """Overlap of two phrases in [0, 1]: words in common over all words, or pairs of characters where that is more."""
    words = len(set(first) & set(second)) / len(set(first) | set(second))
    a, b = _pairs("".join(first)), _pairs("".join(second))
    return max(words, len(a & b) / max(len(a | b), 1))


def _pairs(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def extract_overall(
    documents: Sequence[str],
    background: Background | None = None,
    *,
    top: int = 10,
    step: Callable[[], None] = lambda: None,
) -> list[Keyword]:
    """Finds the key phrases of documents taken together.

    A phrase counts as the sum of its probabilities in the documents (the number of authors expected to name it) times
    the decimal logarithm of how much more frequent its most usual word is here than in the background: 酒店 outranks
    感觉 in hotel reviews, though both are in most of them.

    Args:
        documents: The texts.
        background: What is usual; text at large when not given.
        top: Most phrases returned.
        step: Called after each document.
    """
    totals: defaultdict[tuple[str, ...], float] = defaultdict(float)
    counts: Counter[tuple[str, ...]] = Counter()
    holders: Counter[tuple[str, ...]] = Counter()
    merged: dict[tuple[str, ...], Candidate] = {}
    usual = background or Background()
    here = Background()
    kinds: dict[str, Kind] = {}
    for text in documents:
        step()
        read = tokens(text)
        here.counts.update(token.key for token in read)
        kinds.update((token.key, token.kind) for token in read)
        for candidate, value in score(text, read, usual):
            key = candidate.key
            totals[key] += value
            counts[key] += candidate.frequency
            holders[key] += 1
            if key in merged:
                merged[key].surfaces.update(candidate.surfaces)
            else:
                merged[key] = candidate
    total = sum(here.counts.values())
    lift = {
        word: max(math.log10(here.counts[word] / total / usual.probability(word, kind)), 0.0)
        for word, kind in kinds.items()
    }
    for key in totals:
        totals[key] *= min(lift[word] for word in key)
    ranked = sorted(merged, key=lambda key: -totals[key])
    chosen = thinned([(merged[key], totals[key]) for key in ranked], top)
    return [
        Keyword(text=c.text, score=round(value, 4), count=counts[c.key], documents=holders[c.key])
        for c, value in chosen
    ]


def _keyword(candidate: Candidate, value: float) -> Keyword:
    return Keyword(text=candidate.text, score=round(value, 4), count=candidate.frequency)
