"""From a question to answers: passages by retrieval, spans by the reader, both scores together."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from wenmo.answering.baselines import best_sentence
from wenmo.answering.confidence import Confidence, Held, fit_confidence
from wenmo.answering.examples import Example
from wenmo.answering.reader import Found, Reader
from wenmo.answering.scores import f1, is_chinese
from wenmo.retrieval.bm25 import Index, Passage
from wenmo.retrieval.ranking import CANDIDATES, best_weight, rerank, similarities

WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Weights of the retrieval that are compared on held-out questions."""


class Combination(BaseModel):
    """How the scores go together; fitted by `fit_combination`."""

    model_config = ConfigDict(frozen=True)

    weight: float
    """Of the logarithm of a passage's BM25 as a share of the best passage's."""
    passages: int
    """Passages that are read."""
    meaning: float = 0.0
    """Weight of the vectors' similarity in the order of the passages; 0 where they did not help."""
    confidence: Confidence | None
    """None when there was nothing to fit it on: then every answer is given, with the reader's own probability."""


@dataclass(frozen=True)
class Candidate:
    """An answer that could be given.

    Attributes:
        text: The answer.
        passage: Where it stands.
        start: First character in the passage.
        end: Character after it.
        score: Reader's log-odds plus weighted retrieval; without a reader, the overlap of a sentence.
        confidence: Probability that it is right.
        span: The reader's numbers; None without a reader.
    """

    text: str
    passage: Passage
    start: int
    end: int
    score: float
    confidence: float
    span: Found | None


def _retrieval(passage: Passage, best: float) -> float:
    return math.log(max(passage.score, 1e-6) / max(best, 1e-6))


def candidates(
    passages: Sequence[Passage], read: Sequence[Sequence[Found]], weight: float
) -> list[tuple[float, Passage, Found]]:
    """All spans of all passages with their combined score, best first; equal ones in order of the passages."""
    best = max((passage.score for passage in passages), default=0.0)
    found = [
        (span.score + weight * _retrieval(passage, best), passage, span)
        for passage, spans in zip(passages, read, strict=True)
        for span in spans
    ]
    return sorted(found, key=lambda item: -item[0])


def numbers(ranked: Sequence[tuple[float, Passage, Found]], fit: float) -> tuple[float, ...]:
    """What says how sure the best candidate is; nothing in it depends on the size of an index.

    Args:
        ranked: Candidates, best first.
        fit: Share of the question that stands in the best candidate's passage (`Reader.coverage`).

    Returns:
        Log-odds against "no answer", lead over the next other answer, log-probability of the span, fit, and how often
        the same answer was found again.
    """
    score, _, span = ranked[0]
    other = next((item[0] for item in ranked[1:] if item[2].text != span.text), score - 10.0)
    again = sum(item[2].text == span.text for item in ranked[1:])
    margin = min(score - other, 10.0)
    return (span.score, margin, math.log(span.probability + 1e-6), fit, float(again))


class Answerer:
    """Answers questions from an index.

    Args:
        reader: None answers with sentences.
        combination: How the scores go together.
    """

    def __init__(self, reader: Reader | None, combination: Combination) -> None:
        self.reader = reader
        self.combination = combination

    def answer(self, question: str, index: Index, count: int = 3) -> list[Candidate]:
        """Returns the best answers, best first, whatever their confidence (see `given`).

        Args:
            question: The question.
            index: Where the answer is looked for.
            count: Most answers.
        """
        return self.answer_from(question, self.search(question, index), index, count)

    def search(self, question: str, index: Index, more: int = 0) -> list[Passage]:
        """Returns the passages that are read, and `more` after them."""
        wanted = self.combination.passages + more
        if self.reader is None or not self.combination.meaning:
            return index.search(question, wanted)
        found = index.search(question, max(CANDIDATES, wanted))
        near = similarities(self.reader.vector, question, found)
        return rerank(found, near, self.combination.meaning)[:wanted]

    def answer_from(
        self, question: str, passages: Sequence[Passage], index: Index | None, count: int = 3
    ) -> list[Candidate]:
        """The same from passages that were found already; `index` gives the rarity of terms."""
        if self.reader is None:
            return self._sentences(question, passages, index)[:count]
        read = self.reader.read([(question, passage.text) for passage in passages], count=3)
        ranked = candidates(passages, [answer.spans for answer in read], self.combination.weight)
        result: list[Candidate] = []
        fitted = self.combination.confidence
        for place, (score, passage, span) in enumerate(ranked):
            if any(span.text == other.text for other in result):
                continue
            if fitted is None:
                sure = span.probability
            else:
                fit = self.reader.coverage(question, passage.text)
                sure = float(fitted.probability(np.array(numbers(ranked[place:], fit))))
            # A lower one is never shown as surer than a higher one.
            sure = min([sure, *(other.confidence for other in result)])
            result.append(Candidate(span.text, passage, span.start, span.end, score, sure, span))
            if len(result) == count:
                break
        return result

    def _sentences(self, question: str, passages: Sequence[Passage], index: Index | None) -> list[Candidate]:
        found: list[Candidate] = []
        best = max((passage.score for passage in passages), default=0.0)
        for passage in passages:
            sentence = best_sentence(question, passage.text, index.idf if index else lambda term: 1.0)
            if sentence is None:
                continue
            score = sentence.overlap + 0.25 * _retrieval(passage, best)
            end = sentence.start + len(sentence.text)
            fitted = self.combination.confidence
            sure = float(fitted.probability(np.array([sentence.overlap]))) if fitted else sentence.overlap
            found.append(Candidate(sentence.text, passage, sentence.start, end, score, sure, None))
        return sorted(found, key=lambda item: -item.score)

    def given(self, answers: Sequence[Candidate]) -> list[Candidate]:
        """The answers that are sure enough; an empty list is "no answer found".

        The best one must reach the fitted threshold; another one must reach it too, and a fifth of the best one's
        confidence, below which it is no alternative.
        """
        fitted = self.combination.confidence
        least = fitted.threshold if fitted else 0.0
        best = max((answer.confidence for answer in answers), default=0.0)
        return [answer for answer in answers if answer.confidence >= max(least, 0.2 * best)]


def fit_combination(
    reader: Reader | None, index: Index, held: Sequence[Example], passages: int = 5, most: int = 400
) -> Combination:
    """Chooses the weight of the retrieval, the confidence and the threshold on held-out questions.

    Every question is asked twice: of the whole index, and of the index without the passages that hold one of its
    answers, where the only right reply is none.

    Args:
        reader: The reader, or None for sentences.
        index: Passages of the held-out questions among others.
        held: Held-out questions with answers.
        passages: Passages that are read.
        most: Questions that are used at most.
    """
    asked = [example for example in held if example.answers]
    asked = random.Random(0).sample(asked, min(len(asked), most))
    meaning = fit_meaning(reader, index, asked) if reader is not None and asked else 0.0
    plain = Combination(weight=0.0, passages=passages, meaning=meaning, confidence=None)
    searcher = Answerer(reader, plain)
    runs: list[tuple[Example, list[Passage], list[tuple[Found, ...]], bool]] = []
    for example in asked:
        found = searcher.search(example.question, index, more=8)
        wrong = [p for p in found if not any(text in p.text for text in example.texts)]
        for chosen, answerable in ((found[:passages], True), (wrong[:passages], False)):
            runs.append((example, chosen, [], answerable))
    if reader is not None:
        pairs = [(example.question, p.text) for example, chosen, _, _ in runs for p in chosen]
        unique = list(dict.fromkeys(pairs))
        read = dict(zip(unique, [answer.spans for answer in reader.read(unique, count=3)], strict=True))
        for example, chosen, spans, _ in runs:
            spans.extend(read[example.question, p.text] for p in chosen)
    weight = _best_weight(runs) if reader is not None else 0.0
    items: list[Held] = []
    for example, chosen, spans, answerable in runs:
        if reader is None:
            best = searcher.answer_from(example.question, chosen, index, 1)
            if best:
                right = any(text in best[0].text for text in example.texts)
                items.append(Held((best[0].confidence,), float(answerable and right), answerable))
            continue
        ranked = candidates(chosen, spans, weight)
        if ranked:
            got = _f1(ranked[0][2].text, example) if answerable else 0.0
            fit = reader.coverage(example.question, ranked[0][1].text)
            items.append(Held(numbers(ranked, fit), got, answerable))
    kinds = {item.answerable for item in items}
    confidence = fit_confidence(items) if len(kinds) == 2 and len(items) >= 20 else None
    return Combination(weight=weight, passages=passages, meaning=meaning, confidence=confidence)


def fit_meaning(reader: Reader, index: Index, held: Sequence[Example]) -> float:
    """Chooses the weight of the vectors in the order of passages; see `wenmo.retrieval.ranking.best_weight`."""
    found = []
    for example in held:
        passages = index.search(example.question, CANDIDATES)
        near = similarities(reader.vector, example.question, passages)
        found.append((passages, near, {p.number for p in passages if p.text == example.context}))
    return best_weight(found)[0]


def _f1(answer: str, example: Example) -> float:
    chinese = is_chinese(example.context)
    return max(f1(answer, text, chinese) for text in example.texts)


def _best_weight(runs: Sequence[tuple[Example, list[Passage], list[tuple[Found, ...]], bool]]) -> float:
    best = (-1.0, 0.0)
    for weight in WEIGHTS:
        total = 0.0
        for example, chosen, spans, answerable in runs:
            if answerable:
                ranked = candidates(chosen, spans, weight)
                total += _f1(ranked[0][2].text, example) if ranked else 0.0
        best = max(best, (total, weight))
    return best[1]
