"""A whole question-answering model: reader, FAQ, the way they go together, and the passages it was made with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from wenmo.answering.contextual import LanguageVectors
from wenmo.answering.faq import Faq
from wenmo.answering.reader import Reader
from wenmo.answering.results import Answer, Asked
from wenmo.answering.scores import is_chinese
from wenmo.answering.searching import Answerer, Candidate, Combination
from wenmo.errors import ModelError
from wenmo.files import write_text
from wenmo.retrieval.bm25 import Index, Passage, open_index
from wenmo.retrieval.building import write_index
from wenmo.retrieval.terms import terms
from wenmo.text import script_counts

_OTHER_LANGUAGE = {True: 0.02, False: 0.5}
"""Share of Han letters (for a Chinese question) or of others below which documents are in another language."""


class QuestionAnswering:
    """Answers questions from documents, from given passages, or from stored pairs.

    Args:
        reader: Extracts answers; None answers with sentences.
        combination: How retrieval and reader go together.
        index: Passages that are searched when no documents are given.
        faq: Stored pairs that are searched when no documents are given.
    """

    def __init__(
        self,
        reader: Reader | None,
        combination: Combination,
        index: Index | None = None,
        faq: Faq | None = None,
    ) -> None:
        self.answerer = Answerer(reader, combination)
        self.index = index
        self.faq = faq

    @property
    def reader(self) -> Reader | None:
        """The reader, if there is one."""
        return self.answerer.reader

    def ask(self, question: str, index: Index | None = None, count: int = 3) -> Asked:
        """Answers a question from an index, or from what the model itself holds.

        Args:
            question: The question.
            index: Documents; None takes the stored pairs, else the stored passages.
            count: Most answers.
        """
        if index is None and self.faq is not None:
            return self._from_faq(question, count)
        index = index if index is not None else self.index
        if index is None:
            return _asked(question, [], [], "There are no documents; name some.")
        note = language_note(question, index)
        found = [] if note else self.answerer.answer(question, index, count)
        return self._asked(question, found, note)

    def ask_of(self, question: str, context: str, count: int = 3) -> Asked:
        """Answers a question from one given passage."""
        passage = Passage(0, context, "the given text", 1, 0, 1.0)
        return self._asked(question, self.answerer.answer_from(question, [passage], None, count), "")

    def _asked(self, question: str, found: Sequence[Candidate], note: str) -> Asked:
        given = self.answerer.given(found)
        rest = [answer for answer in found if answer not in given]
        return _asked(question, list(map(_answer, given)), list(map(_answer, rest)), note)

    def _from_faq(self, question: str, count: int) -> Asked:
        assert self.faq is not None
        found = self.faq.search(question, count)
        given = len(self.faq.given(found))
        answers = [
            Answer(
                text=item.stored.answer,
                confidence=item.confidence,
                source=item.stored.source,
                line=item.stored.line,
                start=0,
                end=0,
                passage=item.stored.question,
            )
            for item in found
        ]
        return _asked(question, answers[:given], answers[given:], "")

    def save(self, directory: Path) -> None:
        """Writes everything into an empty folder."""
        write_text(directory / "combination.json", self.answerer.combination.model_dump_json(indent=1) + "\n")
        parts = [
            name for name in ("reader", "faq", "passages", "language_model") if self._part(name) is not None
        ]
        write_text(directory / "parts.json", json.dumps(parts) + "\n")
        if self.reader is not None:
            self.reader.save(directory)
            if isinstance(self.reader.encoder.outside, LanguageVectors):
                self.reader.encoder.outside.save(directory / "language_model")
        if self.faq is not None:
            self.faq.save(directory)
        if self.index is not None:
            write_index(self.index, directory / "passages")

    def _part(self, name: str) -> object:
        outside = self.reader.encoder.outside if self.reader else None
        return {"reader": self.reader, "faq": self.faq, "passages": self.index, "language_model": outside}[
            name
        ]

    @classmethod
    def load(cls, directory: Path) -> QuestionAnswering:
        """Reads what `save` wrote.

        Raises:
            ModelError: When a file is missing or damaged.
        """
        try:
            parts = json.loads((directory / "parts.json").read_text("utf-8"))
            combination = Combination.model_validate_json((directory / "combination.json").read_text("utf-8"))
        except (OSError, ValueError, ValidationError) as error:
            raise ModelError(
                f"{directory} is damaged ({str(error).splitlines()[0]}); copy the model again"
            ) from error
        outside = LanguageVectors.load(directory / "language_model") if "language_model" in parts else None
        return cls(
            Reader.load(directory, outside) if "reader" in parts else None,
            combination,
            open_index(directory / "passages") if "passages" in parts else None,
            Faq.load(directory) if "faq" in parts else None,
        )


def language_note(question: str, index: Index) -> str:
    """A sentence when the question is in another language than all the documents; "" otherwise.

    A question of letters other than the documents' may still name something in them ("GDP", "iPhone"): it is only
    refused when fewer than half of its terms stand in them.
    """
    counts = script_counts(question)
    if not counts["han"] + counts["latin"]:
        return ""
    chinese = is_chinese(question)
    if (index.han_share if chinese else 1 - index.han_share) > _OTHER_LANGUAGE[chinese]:
        return ""
    asked = set(terms(question))
    known = sum(term in index.vocabulary for term in asked)
    if asked and known * 2 >= len(asked):
        return ""
    names = ("Chinese", "English") if chinese else ("English", "Chinese")
    return f"The question is in {names[0]} and the documents are in {names[1]}; ask in {names[1]}."


def _answer(candidate: Candidate) -> Answer:
    passage = candidate.passage
    return Answer(
        text=candidate.text,
        confidence=candidate.confidence,
        source=passage.source,
        line=passage.line + passage.text.count("\n", 0, candidate.start),
        start=candidate.start,
        end=candidate.end,
        passage=passage.text,
        start_probability=candidate.span.start_probability if candidate.span else None,
        end_probability=candidate.span.end_probability if candidate.span else None,
    )


def _asked(question: str, given: list[Answer], rest: list[Answer], note: str) -> Asked:
    best = (given or rest)[:1]
    return Asked(
        question=question,
        found=bool(given),
        answer=given[0].text if given else "",
        confidence=best[0].confidence if best else 0.0,
        answers=tuple(given),
        considered=tuple(rest),
        note=note,
    )
