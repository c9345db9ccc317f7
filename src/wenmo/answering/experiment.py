"""Scores of a question-answering model beside its baselines: on the right passage, and end to end."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenmo.answering.baselines import sentence_answers
from wenmo.answering.examples import Example
from wenmo.answering.reader import Reader
from wenmo.answering.scores import is_chinese, score_answers
from wenmo.answering.searching import Answerer, Combination
from wenmo.retrieval.bm25 import Index
from wenmo.retrieval.scores import first_rank, mean_reciprocal_rank, recall_at

_SAMPLE = 32
"""Questions by which the speed is measured, and the fewest that are scored."""


@dataclass(frozen=True)
class Scored:
    """Scores in percent.

    Attributes:
        scores: Of the model.
        sentence: Of the sentence with the most overlap: of the right passage, and of the best retrieved one.
        questions: Questions scored on their right passage.
        searched: Questions asked of the whole index.
        shown: Some of these: question, answer given ("" for none), an accepted answer, confidence.
    """

    scores: dict[str, float]
    sentence: dict[str, float]
    questions: int
    searched: int
    shown: tuple[tuple[str, str, str, float], ...] = ()


def mostly_chinese(examples: Sequence[Example]) -> bool:
    """Whether answers are scored by characters: most passages are Chinese."""
    return sum(is_chinese(example.context) for example in examples) * 2 > len(examples)


def score_all(
    reader: Reader | None,
    combination: Combination,
    index: Index,
    examples: Sequence[Example],
    seconds: float = float("inf"),
) -> Scored:
    """Scores on held-out questions with answers.

    `f1` and `exact` read the right passage and always answer; `recall_5` is of the right passage among the first
    five; `end_to_end_f1` and `end_to_end_exact` find the passage too, and count a refusal as 0; `refused` is the
    share that was refused when the right passages were taken out of the index.

    Args:
        reader: The reader; None answers with sentences.
        combination: How retrieval and reader go together.
        index: Holds every example's passage, among others.
        examples: The questions.
        seconds: Time for all of it; where it is short, fewer questions are scored, taken evenly from all.
    """
    asked = [example for example in examples if example.answers]
    if reader is not None and seconds < 1e6:
        asked = evenly(asked, max(_SAMPLE, round(0.3 * seconds * reading_rate(reader, asked))))
    random.Random(0).shuffle(asked)  # so that the first ones, where time is short, come from everywhere
    chinese = mostly_chinese(asked)
    references = [example.texts for example in asked]
    pairs = [(example.question, example.context) for example in asked]
    sentences = sentence_answers(pairs, index.idf)
    base = score_answers(sentences, references, chinese)
    scores: dict[str, float] = {}
    if reader is not None:
        read = reader.read(pairs, count=1)
        right = score_answers([a.spans[0].text if a.spans else "" for a in read], references, chinese)
        scores |= {"f1": right.f1, "exact": right.exact}
    else:
        scores |= {"f1": base.f1, "exact": base.exact}
    sentence = {"f1": base.f1, "exact": base.exact}
    where = {text: number for number, text in enumerate(passage_texts(index))}
    answerer, plain = (
        Answerer(reader, combination),
        Answerer(None, combination.model_copy(update={"confidence": None})),
    )
    ranks: list[int | None] = []
    answers: list[str] = []
    always: list[str] = []
    first: list[str] = []
    shown: list[tuple[str, str, str, float]] = []
    refused = 0
    start = time.monotonic()
    for example in asked:
        found = answerer.search(example.question, index, more=20 - combination.passages)
        wanted = {where[example.context]} if example.context in where else set()
        ranks.append(first_rank([passage.number for passage in found], wanted))
        if time.monotonic() - start > 0.6 * seconds and answers:
            continue
        best = answerer.answer_from(example.question, found[: combination.passages], index, 1)
        always.append(best[0].text if best else "")
        answers.append(best[0].text if answerer.given(best) else "")
        sure = best[0].confidence if best else 0.0
        shown.append((example.question, answers[-1], example.texts[0], round(sure, 3)))
        retrieved = plain.answer_from(example.question, found[:1], index, 1)
        first.append(retrieved[0].text if retrieved else "")
        wrong = [p for p in found if not any(text in p.text for text in example.texts)][
            : combination.passages
        ]
        refused += not answerer.given(answerer.answer_from(example.question, wrong, index, 1))
    count = len(answers)
    for name, given in (("end_to_end", answers), ("always_answered", always)):
        found_scores = score_answers(given, references[:count], chinese)
        scores |= {f"{name}_f1": found_scores.f1, f"{name}_exact": found_scores.exact}
    alone = score_answers(first, references[:count], chinese)
    sentence |= {"end_to_end_f1": alone.f1, "end_to_end_exact": alone.exact}
    recall = {f"recall_{k}": 100 * recall_at(k, ranks) for k in (1, 5, 20)}
    recall["mean_reciprocal_rank"] = 100 * mean_reciprocal_rank(ranks)
    scores |= recall | {"refused": 100 * refused / count}
    return Scored(scores, sentence | recall, len(asked), count, tuple(shown[:: max(1, count // 20)][:20]))


def evenly(examples: Sequence[Example], count: int) -> list[Example]:
    """At most `count` examples, from all over the list."""
    places = np.unique(np.linspace(0, len(examples) - 1, min(count, len(examples))).round().astype(int))
    return [examples[place] for place in places.tolist()]


def reading_rate(reader: Reader, examples: Sequence[Example]) -> float:
    """Passages that are read in a second, measured on a few."""
    few = evenly(examples, _SAMPLE)
    start = time.monotonic()
    reader.read([(example.question, example.context) for example in few], count=1)
    return len(few) / max(time.monotonic() - start, 1e-6)


def passage_texts(index: Index) -> list[str]:
    """Every passage of an index, in order."""
    return [index.passage(number).text for number in range(len(index))]
