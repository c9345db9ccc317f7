"""How many topics: the number whose topics hold together, come back when documents are left out, and cover the rest.

Coherence and stability alone favour the fewest topics (two broad ones hold together best); the share of the documents
that belong to a topic grows with their number, and balances them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wenmo.semantics.coherence import agreement
from wenmo.semantics.factors import Method
from wenmo.semantics.topics import Topics, fit_topics, quality
from wenmo.semantics.vectors import Vocabulary

SAMPLES = 3
SHARE = 0.8
"""Documents in each sample that stability is measured on."""
LARGEST = 40
TIE = 0.02
"""Numbers this close to the best count as equal, and the larger is taken: it says more."""


@dataclass(frozen=True)
class Trial:
    """One number of topics that was tried.

    Attributes:
        number: Number of topics.
        coherence: Mean NPMI of the topics' words, in [-1, 1].
        stability: Mean agreement with the topics of samples of the documents, in [0, 1].
        coverage: Share of the documents that belong to a topic, in [0, 1].
        score: coherence * stability * coverage, coherence counted from 0 up.
    """

    number: int
    coherence: float
    stability: float
    coverage: float

    @property
    def score(self) -> float:
        """The product that is compared; 0 for topics whose words avoid each other."""
        return max(self.coherence, 0.0) * self.stability * self.coverage


def numbers_to_try(documents: int, words: int) -> list[int]:
    """About nine numbers from 2 to sqrt(documents), evenly on a logarithmic scale.

    With fewer than 12 documents there is nothing to choose: one topic for each three, at least one.
    """
    largest = min(LARGEST, words, max(int(math.sqrt(documents)), 2))
    if documents < 12 or largest < 2:
        return [max(min(documents // 3, words), 1)]
    steps = np.geomspace(2, largest, 9)
    return sorted({round(step) for step in steps})


def choose_number(
    documents: Sequence[Sequence[str]],
    *,
    method: Method = "nmf",
    seed: int = 0,
    step: Callable[[int], None] = lambda number: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Topics, list[Trial]]:
    """Tries several numbers of topics and fits the one with the best product of coherence, stability and coverage.

    Args:
        documents: Content words of each document.
        method: `nmf` or `lda`.
        seed: Seed of the samples and the method.
        step: Called with each number when it has been tried.
        stop: Asked before each further number; True ends the search with what was tried.

    Returns:
        The topics of the chosen number, and all trials in ascending order; one trial has no stability (NaN) when there
        was nothing to choose.
    """
    vocabulary = Vocabulary.of(documents)
    tried = numbers_to_try(len(documents), len(vocabulary.words))
    if len(tried) == 1:
        topics = fit_topics(documents, tried[0], method=method, seed=seed, vocabulary=vocabulary)
        return topics, [_trial(topics, documents, float("nan"))]
    chance = random.Random(seed)
    size = max(round(SHARE * len(documents)), 2)
    samples = [sorted(chance.sample(range(len(documents)), size)) for _ in range(SAMPLES)]
    trials: list[tuple[Trial, Topics]] = []
    for number in tried:
        if trials and stop():
            break
        topics = fit_topics(documents, number, method=method, seed=seed, vocabulary=vocabulary)
        again = [
            fit_topics(
                [documents[i] for i in part], number, method=method, seed=seed + k + 1, vocabulary=vocabulary
            ).top()
            for k, part in enumerate(samples)
        ]
        stability = float(np.mean([agreement(topics.top(), other) for other in again]))
        trials.append((_trial(topics, documents, stability), topics))
        step(number)
    best = max(trial.score for trial, _ in trials)
    chosen = max(
        (pair for pair in trials if pair[0].score >= best * (1 - TIE)), key=lambda pair: pair[0].number
    )
    return chosen[1], [trial for trial, _ in trials]


def _trial(topics: Topics, documents: Sequence[Sequence[str]], stability: float) -> Trial:
    scores = quality(topics, documents)
    return Trial(topics.number, scores["coherence"], stability, 1 - scores["unassigned"])


def justification(chosen: int, trials: Sequence[Trial]) -> str:
    """Says in a sentence why this number of topics."""
    if len(trials) == 1:
        return f"{chosen} topic{'s' * (chosen != 1)}: there are too few documents to compare numbers."
    best = next(trial for trial in trials if trial.number == chosen)
    tried = ", ".join(str(trial.number) for trial in trials)
    return (
        f"{chosen} topics, of {tried} tried: their words stand together (coherence {best.coherence:.2f}), "
        f"{best.stability:.0%} of them come back when a fifth of the documents is left out, and {best.coverage:.0%} "
        "of the documents belong to one; the product of the three is highest there."
    )
