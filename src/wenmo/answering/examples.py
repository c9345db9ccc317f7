"""Questions with passages and answers: the SQuAD format (SQuAD, CMRC 2018, DRCD, XQuAD), and their splits."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wenmo.errors import InputError


@dataclass(frozen=True)
class Example:
    """A question about a passage.

    Attributes:
        question: The question.
        context: The passage that is read.
        answers: First character and character after each accepted answer; empty when the passage has none.
        group: What must not be torn apart by a split: the article, or the passage.
        source: Where it stands, for the user.
        id: Name of the question in its file, or "".
    """

    question: str
    context: str
    answers: tuple[tuple[int, int], ...]
    group: str = ""
    source: str = ""
    id: str = ""

    @property
    def place(self) -> str:
        """Where the passage stands, for the user: the file, and the article where it has a title."""
        return f"{self.source} ({self.group})" if self.group and self.group != self.context else self.source

    @property
    def texts(self) -> list[str]:
        """The accepted answers as text."""
        return [self.context[start:end] for start, end in self.answers]


@dataclass
class Dropped:
    """Questions that were left out, counted by reason, with the first places of each, and answers that were mended."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    mended: int = 0

    def add(self, reason: str, place: str) -> None:
        """Counts one."""
        self.counts[reason] += 1
        found = self.places.setdefault(reason, [])
        if len(found) < 5:
            found.append(place)


def nearest(context: str, text: str, start: int) -> int:
    """Position of `text` in `context` nearest to `start`, or -1."""
    best = -1
    at = context.find(text)
    while at >= 0:
        if best < 0 or abs(at - start) < abs(best - start):
            best = at
        at = context.find(text, at + 1)
    return best


def _spans(context: str, answers: Any, place: str, dropped: Dropped) -> tuple[tuple[int, int], ...]:
    spans: dict[tuple[int, int], None] = {}
    for answer in answers if isinstance(answers, list) else []:
        text = str(answer.get("text", "")).strip() if isinstance(answer, dict) else ""
        if not text:
            continue
        given = answer.get("answer_start", 0)
        start = int(given) if isinstance(given, int | float) else 0
        if context[start : start + len(text)] != text:
            start = nearest(context, text, start)
            if start < 0:
                continue
            dropped.mended += 1
        spans[start, start + len(text)] = None
    if answers and not spans:
        dropped.add("answer not in its passage", place)
    return tuple(spans)


def read_squad(path: Path, data: Any, dropped: Dropped) -> list[Example]:
    """Reads the SQuAD format: data / paragraphs / context, qas / question, answers / text, answer_start.

    A wrong `answer_start` is mended to the nearest place of the answer; a question marked `is_impossible`, or with no
    answers at all, is kept as one without an answer; one whose answers do not stand in its passage is dropped.

    Args:
        path: Where it was read from, for messages.
        data: The parsed JSON.
        dropped: Counts what is left out.

    Raises:
        InputError: When it is not in this format, or has no questions.
    """
    articles = data.get("data") if isinstance(data, dict) else None
    if not isinstance(articles, list):
        raise InputError(f"{path} is JSON but not in SQuAD's format: it has no list 'data'")
    examples: list[Example] = []
    for number, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            raise InputError(f"{path}: data[{number}] has no list 'paragraphs'")
        title = str(article.get("title") or article.get("id") or number)
        for paragraph in paragraphs:
            context = paragraph.get("context") if isinstance(paragraph, dict) else None
            if not isinstance(context, str):
                raise InputError(f"{path}: a paragraph of data[{number}] ({title}) has no text 'context'")
            for qa in paragraph.get("qas") or []:
                place = f"{path}: {qa.get('id', title)}"
                question = str(qa.get("question") or "").strip()
                if not question:
                    dropped.add("empty question", place)
                    continue
                answers = [] if qa.get("is_impossible") else qa.get("answers") or []
                spans = _spans(context, answers, place, dropped)
                if spans or not answers:
                    examples.append(
                        Example(question, context, spans, title, str(path), str(qa.get("id", "")))
                    )
    if not examples:
        raise InputError(f"{path} holds no question with an answer in its passage")
    return examples


def load_squad(path: str | Path, dropped: Dropped | None = None) -> list[Example]:
    """Reads a file in SQuAD's format; see `read_squad`.

    Raises:
        InputError: When it cannot be read, is no JSON, or is not in this format.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); save it again") from error
    return read_squad(path, data, dropped if dropped is not None else Dropped())


def without_answer(
    examples: Sequence[Example], passages: Sequence[str], share: float, seed: int
) -> list[Example]:
    """Pairs a share of the questions with a passage that does not hold their answer.

    Args:
        examples: Questions with answers.
        passages: Where the wrong passage is drawn from.
        share: Number of pairs made, as a share of the examples.
        seed: Which.
    """
    rng = random.Random(seed)
    made: list[Example] = []
    answered = [example for example in examples if example.answers]
    if not answered or len(passages) < 2:
        return made
    for _ in range(round(share * len(answered))):
        example = rng.choice(answered)
        for _ in range(10):
            other = rng.choice(passages)
            if other != example.context and not any(text in other for text in example.texts):
                made.append(replace(example, context=other, answers=()))
                break
    return made
