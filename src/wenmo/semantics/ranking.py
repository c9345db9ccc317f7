"""How likely a phrase is a keyword: a few properties of each candidate, weighed by a logistic model.

The weights were fitted on abstracts with their authors' keywords, Chinese and English apart, none of them part of the
test sets; `bench/keywords.py --fit` repeats it, and the lab log has the numbers. They are few, so that they say
something about keywords and little about those abstracts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from wenmo.semantics.background import Background, specificity
from wenmo.semantics.candidates import Candidate
from wenmo.semantics.function_words import general_nouns
from wenmo.semantics.graph import position_rank
from wenmo.semantics.tokens import Token

FEATURES = (
    "specificity",  # log of the least specific word's lexical specificity
    "burstiness",  # mean over the words, see Background.burstiness
    "graph",  # log of the mean PositionRank of the words
    "first",  # log of the position of the first occurrence, in words
    "edge",  # log of the distance from the nearer end of the text: titles and conclusions stand there
    "spread",  # distance from first to last occurrence, as a share of the text
    "frequency",  # log of the occurrences
    "free",  # share of occurrences in which nothing on either side could belong to the phrase
    "bound",  # log of the share of its rarest word's occurrences that are in this phrase
    "one_word",
    "two_words",
    "long",  # four words or more
    "letters",  # log of the length in characters
    "noun_last",  # Chinese: ends in a noun or a nominal verb
    "verb_first",  # Chinese: begins with a verb
    "general_first",  # begins with a general word
)

UNUSED: Mapping[str, tuple[str, ...]] = {
    "han": ("first", "frequency"),
    "latin": ("edge", "bound", "noun_last", "verb_first"),
}
"""Features whose weight is held at 0: they added nothing, or took a sign against their meaning (see the lab log)."""

GRAPH_WEIGHT = 0.1
"""Weight of the graph rank, set and not fitted: in abstracts, where nearly every word stands once, the fit gives it
none, and this much costs nothing there; in longer text it keeps the words that hold a text together first."""

# fmt: off
WEIGHTS: Mapping[str, tuple[float, ...]] = {
    "han": (-4.847,
            0.471, 0.178, 0.100, 0.0, -0.389, 0.908, 0.0, 1.034, 0.822,
            1.071, 1.201, -1.544, 0.530, 0.375, -0.358, -0.385),
    "latin": (-4.443,
              0.175, 0.507, 0.100, -0.165, 0.0, 0.394, 0.351, 1.789, 0.0,
              -0.791, 0.139, -0.701, 0.768, 0.0, 0.0, -0.710),
}
"""Intercept and the weights of `FEATURES`, for phrases with and without Han characters."""
# fmt: on


def features(
    candidates: Sequence[Candidate], tokens: Sequence[Token], background: Background
) -> npt.NDArray[np.float64]:
    """Describes candidates by `FEATURES`: float64 (N, 16).

    Args:
        candidates: Candidates of one document.
        tokens: The words of that document.
        background: What its words are compared with.
    """
    counts = Counter(token.key for token in tokens)
    kinds = {token.key: token.kind for token in tokens}
    rank = position_rank([token.key for token in tokens if not token.breaks])
    specific = {
        key: specificity(count, len(tokens) * background.probability(key, kinds[key]))
        for key, count in counts.items()
    }
    rows = [_row(candidate, len(tokens), counts, rank, specific, background) for candidate in candidates]
    return np.array(rows, np.float64).reshape(len(rows), len(FEATURES))


def _row(
    candidate: Candidate,
    length: int,
    counts: Counter[str],
    rank: Mapping[str, float],
    specific: Mapping[str, float],
    background: Background,
) -> list[float]:
    key, times = candidate.key, candidate.frequency
    first, last = candidate.starts[0], candidate.starts[-1]
    end = max(length - last - len(key), 0)
    return [
        math.log(min(specific[word] for word in key) + 0.1),
        sum(background.burstiness(word) for word in key) / len(key),
        math.log(sum(rank.get(word, 0.0) for word in key) / len(key) + 1e-3),
        math.log1p(first),
        math.log1p(min(first, end)),
        (last - first) / length,
        math.log(times),
        min(candidate.left_free, candidate.right_free) / times,
        math.log(times / min(counts[word] for word in key)),
        float(len(key) == 1),
        float(len(key) == 2),
        float(len(key) >= 4),
        math.log(len(candidate.text)),
        float(candidate.tags[-1].startswith(("n", "vn"))),
        float(candidate.tags[0].startswith("v") and candidate.tags[0] != "vn"),
        float(key[0] in general_nouns()),
    ]


def probabilities(
    candidates: Sequence[Candidate], tokens: Sequence[Token], background: Background
) -> npt.NDArray[np.float64]:
    """Probability of each candidate that an author would have named it, float64 (N,)."""
    described = np.column_stack([np.ones(len(candidates)), features(candidates, tokens, background)])
    script = ["han" if "han" in candidate.kinds else "latin" for candidate in candidates]
    table = np.array([WEIGHTS[name] for name in script]).reshape(len(candidates), len(FEATURES) + 1)
    return np.asarray(1 / (1 + np.exp(-(described * table).sum(1))))
