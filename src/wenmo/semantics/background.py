"""How frequent words are in text at large or in the user's corpus, and how surprising they are in a document."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wenmo.semantics.function_words import function_words, stop_words
from wenmo.semantics.tokens import Kind, Token

PRIOR_WORDS = 20_000.0
"""Weight of the general frequencies beside a corpus, in words: a corpus of this size counts as much as they do."""
_DICTIONARY_WORDS = 60.1e6
"""Words counted for the frequencies of jieba's dictionary, whose sum this is."""
_UNKNOWN = 3e-6
"""Share of text at large given to a word of a spaced script that is in none of our lists: once in 330,000 words."""


@lru_cache(maxsize=1 << 16)
def general_frequency(key: str, kind: Kind) -> float:
    """Share of running text at large that is this word.

    Han words have the frequency of jieba's dictionary. For English there is no such list at hand: function words, the
    general words of our lists and all others get three levels.
    """
    if kind == "han":
        import rjieba

        known = rjieba.has_word(key)
        return (max(rjieba.suggest_freq(key), 1) if known else 0.5) / _DICTIONARY_WORDS
    if key in function_words():
        return 2e-3
    return 1e-4 if key in stop_words() else _UNKNOWN


def specificity(count: int, expected: float) -> float:
    """Lexical specificity: -log10 of the probability of at least `count` occurrences where `expected` are due.

    It is the upper tail of the Poisson distribution, the limit of the hypergeometric one (Lafon 1980; for keywords
    Ushio et al. 2021) for a background much larger than the document, and takes fractional expectations.

    Args:
        count: Occurrences in the document, at least 1.
        expected: Occurrences due by the background, above 0.

    Returns:
        0 for a word that is due anyway; it has no upper limit (computed in logarithms).
    """
    log_first = count * math.log(expected) - expected - math.lgamma(count + 1)
    if count <= expected:  # the tail is nearly everything: sum the short side instead
        below, term = 0.0, math.exp(-expected)
        for k in range(count):
            below += term
            term *= expected / (k + 1)
        return max(-math.log10(max(1.0 - below, 1e-300)), 0.0)
    total, term, k = 1.0, 1.0, count
    while term > 1e-12 * total:
        k += 1
        term *= expected / k
        total += term
    return max(-(log_first + math.log(total)) / math.log(10), 0.0)


class Background:
    """Frequencies of words in a corpus, smoothed by those of text at large; empty, it is text at large alone.

    Attributes:
        counts: Occurrences of each word key.
        frequencies: Documents with it.
        words: Occurrences in all.
        documents: Documents counted.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.frequencies: Counter[str] = Counter()
        self.words = 0
        self.documents = 0

    @classmethod
    def of(cls, documents: Iterable[Sequence[Token]]) -> Background:
        """Counts the words of documents."""
        background = cls()
        for tokens in documents:
            keys = [token.key for token in tokens]
            background.counts.update(keys)
            background.frequencies.update(set(keys))
            background.words += len(keys)
            background.documents += 1
        return background

    def probability(self, key: str, kind: Kind) -> float:
        """Share of text that is this word: the corpus, with `PRIOR_WORDS` words of text at large added."""
        return (self.counts[key] + PRIOR_WORDS * general_frequency(key, kind)) / (self.words + PRIOR_WORDS)

    def burstiness(self, key: str) -> float:
        """Logarithm of the occurrences for each document that has the word, 0 for one that the corpus lacks.

        Words of a subject come back in the documents that have them; frame words stand once in many (the idea behind
        residual inverse document frequency, Church and Gale 1995).
        """
        documents = self.frequencies.get(key, 0)
        return math.log(self.counts[key] / documents) if documents else 0.0

    def save(self, path: Path) -> None:
        """Writes an npz without pickle: words that stand in one document only are left out, their number kept."""
        kept = sorted(key for key, n in self.frequencies.items() if n > 1)
        np.savez_compressed(
            path,
            words=np.frombuffer("\n".join(kept).encode("utf-8"), np.uint8),
            counts=np.array([self.counts[key] for key in kept], np.int64),
            frequencies=np.array([self.frequencies[key] for key in kept], np.int64),
            totals=np.array([self.words, self.documents], np.int64),
        )

    @classmethod
    def load(cls, arrays: Any) -> Background:
        """Reads what `save` wrote.

        Args:
            arrays: The mapping of names to arrays that `numpy.load` gives.

        Raises:
            KeyError: When an array is missing.
            ValueError: When the arrays do not fit each other.
        """
        background = cls()
        text = arrays["words"].tobytes().decode("utf-8")
        keys = text.split("\n") if text else []
        counts, frequencies = arrays["counts"].tolist(), arrays["frequencies"].tolist()
        background.counts.update(dict(zip(keys, counts, strict=True)))
        background.frequencies.update(dict(zip(keys, frequencies, strict=True)))
        background.words, background.documents = arrays["totals"].tolist()
        return background

    def without_single(self) -> Background:
        """A copy as it is after saving and loading: without the words of one document only."""
        kept = Background()
        kept.counts.update({key: n for key, n in self.counts.items() if self.frequencies[key] > 1})
        kept.frequencies.update({key: n for key, n in self.frequencies.items() if n > 1})
        kept.words, kept.documents = self.words, self.documents
        return kept
