"""What a question gives back, as data and as text."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """One answer with where it stands."""

    model_config = ConfigDict(frozen=True)

    text: str
    """The answer."""
    confidence: float
    """Probability that it is right, fitted on held-out questions."""
    source: str
    """File it stands in."""
    line: int
    """Line (or row) of the file in which the answer begins, from 1; 0 when not known."""
    start: int
    """First character of the answer in the passage."""
    end: int
    """Character after it."""
    passage: str
    """The passage it was read in; the stored question in a FAQ."""
    start_probability: float | None = None
    """Probability that an answer starts there, among all places of the passage; None without a reader."""
    end_probability: float | None = None
    """Probability that an answer ends there."""


class Asked(BaseModel):
    """A question with its answers."""

    model_config = ConfigDict(frozen=True)

    question: str
    """The question."""
    found: bool
    """Whether the best answer is sure enough to be given."""
    answer: str
    """The best answer; "" when none was found."""
    confidence: float
    """Of the best candidate, also when it is not given."""
    answers: tuple[Answer, ...]
    """Answers that are sure enough, best first."""
    considered: tuple[Answer, ...]
    """The best candidates that are not."""
    note: str = ""
    """What the user should know, such as a question in another language than the documents."""


_AROUND = 90


def _excerpt(answer: Answer) -> str:
    """The passage around the answer, with the answer in brackets."""
    if not 0 <= answer.start < answer.end <= len(answer.passage):
        return " ".join(answer.passage.split())
    before, after = answer.passage[: answer.start], answer.passage[answer.end :]
    left = ("…" if len(before) > _AROUND else "") + before[-_AROUND:]
    right = after[:_AROUND] + ("…" if len(after) > _AROUND else "")
    return " ".join(f"{left}[{answer.passage[answer.start : answer.end]}]{right}".split())


def shown(asked: Asked) -> str:
    """Formats a result for people."""
    lines: list[str] = []
    if not asked.found:
        lines.append("No answer found." + (f" {asked.note}" if asked.note else ""))
        if asked.considered:
            lines.append("Closest, but not sure enough:")
    for number, answer in enumerate(asked.answers or asked.considered[:1], 1):
        mark = f"{number}. " if asked.found and len(asked.answers) > 1 else ""
        lines.append(f"{mark}{answer.text}  (confidence {answer.confidence:.2f})")
        place = f"{answer.source}, line {answer.line}" if answer.line else answer.source
        lines.append(f"   {place}: {_excerpt(answer)}")
    if asked.found and asked.note:
        lines.append(asked.note)
    return "\n".join(lines)
