"""What any reader must beat: the sentence that has most in common with the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wenmo.retrieval.terms import terms
from wenmo.text import sentences


@dataclass(frozen=True)
class Sentence:
    """A sentence of a passage.

    Attributes:
        text: Its characters, without white space around.
        start: First character in the passage.
        overlap: Share of the question's terms, weighted by idf, that stand in it.
    """

    text: str
    start: int
    overlap: float


def best_sentence(question: str, passage: str, idf: Callable[[str], float]) -> Sentence | None:
    """Returns the sentence with the largest share of the question's terms; the first of equal ones.

    Args:
        question: The question.
        passage: The passage.
        idf: Rarity of a term.

    Returns:
        None when the passage holds no sentence.
    """
    asked = {term: idf(term) for term in terms(question)}
    whole = sum(asked.values()) or 1.0
    best: Sentence | None = None
    place = 0
    for sentence in sentences(passage):
        text = sentence.strip()
        if text:
            overlap = sum(asked[term] for term in set(terms(text)) & asked.keys()) / whole
            if best is None or overlap > best.overlap:
                start = place + len(sentence) - len(sentence.lstrip())
                best = Sentence(text, start, overlap)
        place += len(sentence)
    return best


def sentence_answers(questions: Sequence[tuple[str, str]], idf: Callable[[str], float]) -> list[str]:
    """Answers each question with the best sentence of its passage; "" when there is none."""
    found = (best_sentence(question, passage, idf) for question, passage in questions)
    return [sentence.text if sentence else "" for sentence in found]
