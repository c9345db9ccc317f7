"""How good topics are on documents held out, beside what they are to be compared with."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from wenmo.semantics.coherence import diversity, npmi
from wenmo.semantics.factors import Method
from wenmo.semantics.topics import TOP_WORDS, Topics, fit_topics, quality

CHANCE = "the same words at random"
Scores = dict[str, float]


def score(topics: Topics, documents: Sequence[Sequence[str]], held_out: Sequence[Sequence[str]]) -> Scores:
    """Coherence and diversity by all documents, and the share of those held out that belong to a topic.

    Coherence asks how often two words of a topic meet, which a few documents held out cannot tell: most pairs of them
    never do. It is counted over all documents, as is usual.
    """
    scores = quality(topics, documents)
    return {
        "coherence": round(scores["coherence"], 4),
        "diversity": round(scores["diversity"], 4),
        "assigned": round(1 - topics.assign(held_out).unassigned, 4),
    }


def score_other_method(
    topics: Topics,
    learned: Sequence[Sequence[str]],
    documents: Sequence[Sequence[str]],
    held_out: Sequence[Sequence[str]],
    seed: int,
) -> tuple[Method, Scores]:
    """Fits as many topics of the same words by the other method, and scores them on the same documents."""
    other: Method = "lda" if topics.method == "nmf" else "nmf"
    with_words = [document for document in learned if document]
    peer = fit_topics(with_words, topics.number, method=other, seed=seed, vocabulary=topics.vocabulary)
    return other, score(peer, documents, held_out)


def score_chance(topics: Topics, documents: Sequence[Sequence[str]], seed: int) -> Scores:
    """Scores the words of the topics, dealt out at random to as many topics."""
    pool = sorted({column for topic in topics.top() for column in topic})
    random.Random(seed).shuffle(pool)
    size = max(-(-len(pool) // topics.number), 1)
    dealt = [pool[i : i + size] for i in range(0, len(pool), size)]
    values = npmi(dealt, topics.vocabulary.counts(documents), TOP_WORDS)
    return {
        "coherence": round(float(np.mean(values)) if values else 0.0, 4),
        "diversity": round(diversity(dealt), 4),
    }


def verdict(topics: Topics, scores: Scores, chance: Scores, documents: int) -> str:
    """Says how good topics fitted on so many documents are, and what would help."""
    number = topics.number
    if number == 1:
        return (
            f"One topic for all {documents} documents: nothing is told apart; more documents would help most."
        )
    said = (
        f"{number} topics with a coherence of {scores['coherence']:.2f}, where their words dealt "
        f"out at random have {chance['coherence']:.2f}; {scores['assigned']:.0%} of the documents belong to one."
    )
    if documents < 100:
        return f"{said} That is from {documents} documents; more of them would make the topics surer."
    if number > 1 and scores["coherence"] - chance["coherence"] < 0.05:
        return f"{said} They hardly hold together: longer documents, or more of them, would help most."
    return said
