"""Documents cut into passages that keep their place: file, line, and characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wenmo.corpus.reading import Plan, blocks
from wenmo.corpus.records import json_text
from wenmo.corpus.working import html_text
from wenmo.text import han_share, sentences

MOST_HAN = 500
"""Characters of a passage of Chinese text at most; the reader reads as much at once."""
MOST_LATIN = 1500
"""The same for other text: a word is about five characters."""
_ENOUGH = 0.4
_PARAGRAPH = re.compile(r"\n\s*\n|\n")


@dataclass(frozen=True)
class Piece:
    """A passage of a document.

    Attributes:
        text: Its characters, without white space around.
        line: Line of the file (or row) that it begins in, from 1.
        start: First character: in the file for plain text, in the row's text for rows, in the page's text for HTML.
    """

    text: str
    line: int
    start: int


def cut_passages(text: str, most: int | None = None) -> list[tuple[int, int]]:
    """Cuts a text into passages: by paragraph, long ones by sentence, short neighbours joined.

    Args:
        text: The text.
        most: Longest passage in characters; by the text's script when None.

    Returns:
        First character and character after each passage, in order. They hold every character that is not white space.
    """
    if most is None:
        most = MOST_HAN if han_share(text[:20_000]) > 0.2 else MOST_LATIN
    pieces: list[tuple[int, int]] = []
    place = 0
    for match in [*_PARAGRAPH.finditer(text), None]:
        end = match.start() if match else len(text)
        pieces.extend(_split(text, place, end, most))
        place = match.end() if match else end
    joined: list[tuple[int, int]] = []
    for start, end in pieces:
        if joined and joined[-1][1] - joined[-1][0] < _ENOUGH * most and end - joined[-1][0] <= most:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _split(text: str, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """Cuts one paragraph: whole sentences up to the bound; a longer sentence wherever the bound falls."""
    start, end = _stripped(text, start, end)
    if start >= end:
        return
    if end - start <= most:
        yield start, end
        return
    first = place = start
    for sentence in sentences(text[start:end]):
        after = place + len(sentence)
        if after - first > most and place > first:
            yield _stripped(text, first, place)
            first = place
        while after - first > most:
            yield _stripped(text, first, first + most)
            first += most
        place = after
    if first < end:
        yield _stripped(text, first, end)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def read_passages(plan: Plan, most: int | None = None) -> Iterator[Piece]:
    """Yields the passages of one file.

    Args:
        plan: How the file is read (`wenmo.corpus.planning.plan_source`); it must have an encoding.
        most: See `cut_passages`.

    Raises:
        OSError: When the file is damaged or was changed since it was planned.
    """
    offset = 0
    for block in blocks(plan, 0):
        line = block.line
        for text in block.texts:
            if text is None:
                line += 1
                continue
            if block.kind == "jsonl":
                text = json_text(text, plan.field)[0] or ""
            elif block.kind == "html":
                text = html_text(text)
            rows = block.kind in ("jsonl", "rows")
            counted, at = 0, 0
            for start, end in cut_passages(text, most):
                if not rows:
                    counted, at = counted + text.count("\n", at, start), start
                if start < end:
                    yield Piece(text[start:end], line + counted, start + offset)
            if rows:
                line += 1
            elif block.kind == "text":
                offset += len(text)
