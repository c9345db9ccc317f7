"""Stored questions with their answers: a new question gets the answer of the most similar stored one."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from wenmo.answering.confidence import Confidence, Held, fit_confidence
from wenmo.errors import ModelError
from wenmo.files import write_text
from wenmo.retrieval.terms import terms


@dataclass(frozen=True)
class Stored:
    """A question with its answer, and where it stands in the user's files."""

    question: str
    answer: str
    source: str = ""
    line: int = 0


@dataclass(frozen=True)
class Similar:
    """A stored pair that was found.

    Attributes:
        stored: The pair.
        similarity: Cosine of the idf-weighted terms, 0 to 1.
        confidence: Probability that it is what was asked.
    """

    stored: Stored
    similarity: float
    confidence: float


def asked_terms(text: str) -> list[str]:
    """Terms of a question; of one that has none but stop words, its characters."""
    return terms(text) or [character for character in text.lower() if not character.isspace()]


class Faq:
    """Stored pairs that can be searched.

    Args:
        pairs: The pairs.
        confidence: How sure an answer is, and from when on it is given; None gives every one.
    """

    def __init__(self, pairs: Sequence[Stored], confidence: Confidence | None = None) -> None:
        self.pairs = list(pairs)
        self.confidence = confidence
        rows = [Counter(asked_terms(pair.question)) for pair in self.pairs]
        holds = Counter(term for row in rows for term in row)
        self._idf = {term: math.log1p((len(rows) - n + 0.5) / (n + 0.5)) for term, n in holds.items()}
        self._rarest = math.log1p((len(rows) + 0.5) / 0.5)
        self._postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, row in enumerate(rows):
            for term, weight in self._vector(row).items():
                self._postings[term].append((number, weight))

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        """Idf-weighted terms of length 1; terms that no stored question has make it longer, so less similar."""
        weights = {t: (1 + math.log(n)) * self._idf.get(t, self._rarest) for t, n in counts.items()}
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {term: weight / norm for term, weight in weights.items()}

    def search(self, question: str, count: int, without: frozenset[int] = frozenset()) -> list[Similar]:
        """Returns the most similar stored pairs, best first; equal ones in stored order.

        Args:
            question: The question.
            count: Most pairs.
            without: Numbers of pairs that are passed over.
        """
        total: defaultdict[int, float] = defaultdict(float)
        for term, weight in self._vector(Counter(asked_terms(question))).items():
            for number, stored in self._postings.get(term, ()):
                total[number] += weight * stored
        ranked = sorted((-value, number) for number, value in total.items() if number not in without)
        found = [(number, min(-value, 1.0)) for value, number in ranked[: count + 1]]
        result = []
        for place, (number, similarity) in enumerate(found[:count]):
            following = next(
                (s for n, s in found[place + 1 :] if self.pairs[n].answer != self.pairs[number].answer), 0.0
            )
            sure = similarity if self.confidence is None else self._sure((similarity, similarity - following))
            result.append(Similar(self.pairs[number], similarity, sure))
        return result

    def _sure(self, numbers: tuple[float, ...]) -> float:
        import numpy as np

        assert self.confidence is not None
        return float(self.confidence.probability(np.array(numbers)))

    def given(self, found: Sequence[Similar]) -> list[Similar]:
        """The pairs that are sure enough; an empty list is "no answer found"."""
        least = self.confidence.threshold if self.confidence else 0.0
        return [item for item in found if item.confidence >= least]

    def save(self, directory: Path) -> None:
        """Writes faq.json."""
        data = {
            "pairs": [vars(pair) for pair in self.pairs],
            "confidence": self.confidence.model_dump() if self.confidence else None,
        }
        write_text(directory / "faq.json", json.dumps(data, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Faq:
        """Reads what `save` wrote.

        Raises:
            ModelError: When it is missing or damaged.
        """
        path = directory / "faq.json"
        try:
            data = json.loads(path.read_text("utf-8"))
            confidence = Confidence(**data["confidence"]) if data["confidence"] else None
            return cls([Stored(**pair) for pair in data["pairs"]], confidence)
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise ModelError(f"{path} is missing or damaged ({error}); copy the model again") from error


def reworded(question: str, rng: random.Random) -> str:
    """A question said less fully: a part of its terms is dropped and the rest moved.

    Stands in for the ways people ask the same thing when there is only one wording of each question.
    """
    from wenmo.text import words

    pieces = words(question)
    kept = [piece for piece in pieces if rng.random() > 0.35] or pieces[:1]
    if rng.random() < 0.5:
        cut = rng.randrange(len(kept)) if kept else 0
        kept = kept[cut:] + kept[:cut]
    spaced = any(piece.isascii() for piece in kept)
    return (" " if spaced else "").join(kept)


def fit_faq(pairs: Sequence[Stored], held: Sequence[Stored], seed: int = 0, most: int = 500) -> Faq:
    """Builds a FAQ and fits its confidence.

    Questions with an answer are the held-out ones whose answer is stored under another wording, and stored questions
    reworded by chance; questions without one are the stored questions with their own answer taken away.

    Args:
        pairs: What is stored.
        held: Questions that are not stored; they count where their answer is stored.
        seed: The rewording.
        most: Questions of each kind at most.
    """
    faq = Faq(pairs)
    rng = random.Random(seed)
    numbers = list(range(len(faq.pairs)))
    rng.shuffle(numbers)
    by_answer: defaultdict[str, set[int]] = defaultdict(set)
    for number, pair in enumerate(faq.pairs):
        by_answer[pair.answer].add(number)
    items: list[Held] = []

    def add(question: str, answer: str, without: frozenset[int]) -> None:
        found = faq.search(question, 2, without)
        if found:
            lead = found[0].similarity - (found[1].similarity if len(found) > 1 else 0.0)
            if len(found) > 1 and found[1].stored.answer == found[0].stored.answer:
                lead = found[0].similarity
            right = found[0].stored.answer == answer and not without
            items.append(Held((found[0].similarity, lead), float(right), not without))
        elif not without:
            items.append(Held((0.0, 0.0), 0.0, True))

    for pair in held[:most]:
        if pair.answer in by_answer:
            add(pair.question, pair.answer, frozenset())
    for number in numbers[:most]:
        pair = faq.pairs[number]
        add(reworded(pair.question, rng), pair.answer, frozenset())
        add(pair.question, pair.answer, frozenset(by_answer[pair.answer]))
    if len({item.answerable for item in items}) == 2 and len(items) >= 20:
        faq.confidence = fit_confidence(items)
    return faq


def score_faq(
    faq: Faq, held: Sequence[Stored], seed: int = 0
) -> tuple[dict[str, float], dict[str, float], int]:
    """Scores a FAQ on held-out questions, or on reworded stored ones where there are none.

    Args:
        faq: The FAQ.
        held: Questions that are not stored, with their answers.
        seed: The rewording; another one than that of `fit_faq` is made of it.

    Returns:
        Scores in percent (`accuracy`: the right answer is given; `always_answered`: it is the most similar one;
        `refused`: of questions whose answer is not stored), the same for the stored question with the most words in
        common, and the number of questions.
    """
    rng = random.Random(seed + 1_000_003)
    asked = list(held) or [
        Stored(reworded(pair.question, rng), pair.answer)
        for pair in rng.sample(faq.pairs, min(len(faq.pairs), 500))
    ]
    stored = [set(asked_terms(pair.question)) for pair in faq.pairs]
    answers: defaultdict[str, set[int]] = defaultdict(set)
    for number, pair in enumerate(faq.pairs):
        answers[pair.answer].add(number)
    given = best = plain = refused = 0
    for pair in asked:
        found = faq.search(pair.question, 1)
        right = bool(found) and found[0].stored.answer == pair.answer
        best += right
        given += right and bool(faq.given(found))
        refused += not faq.given(faq.search(pair.question, 1, frozenset(answers[pair.answer])))
        own = set(asked_terms(pair.question))
        closest = max(range(len(stored)), key=lambda number: len(stored[number] & own))
        plain += faq.pairs[closest].answer == pair.answer
    share = 100 / len(asked)
    scores = {"accuracy": given * share, "always_answered": best * share, "refused": refused * share}
    return scores, {"accuracy": plain * share, "always_answered": plain * share, "refused": 0.0}, len(asked)
