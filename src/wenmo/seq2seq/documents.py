"""Translating whole documents sentence by sentence, with their layout kept."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wenmo.corpus.inputs import find_inputs
from wenmo.errors import InputError
from wenmo.seq2seq.pairs import text_lines
from wenmo.text.scripts import han_share, is_han
from wenmo.text.segmentation import sentences

_MARK = re.compile(
    r"[ \t\u3000]*(?:(?:[-*+•·]|\d{1,3}[.)、]|[(（]\d{1,3}[)）]|#{1,6}|>+)[ \t\u3000]+|\d{1,3}、)*[ \t\u3000]*"
)
"""Indentation and the mark of a list item, a heading or a quotation."""
_CLAUSE = re.compile(r"(?<=[,;:，；：、])\s*")


@dataclass(frozen=True)
class Piece:
    """A part of a document.

    Attributes:
        text: What stands there.
        translatable: False for layout, which stays as it is.
    """

    text: str
    translatable: bool


def split_document(text: str) -> list[Piece]:
    """Splits a document into sentences and what stands between them; joined, the pieces are the document."""
    pieces: list[Piece] = []
    for line in text.splitlines(keepends=True):
        body = line.rstrip()
        ending = line[len(body) :]
        mark = _MARK.match(body)
        start = mark.end() if mark else 0
        if start:
            pieces.append(Piece(body[:start], False))
        for sentence in sentences(body[start:]):
            core = sentence.strip()
            before = sentence[: len(sentence) - len(sentence.lstrip())]
            after = sentence[len(sentence.rstrip()) :] if core else ""
            pieces += [
                Piece(part, part == core and any(c.isalpha() for c in part))
                for part in (before, core, after)
                if part
            ]
        if ending:
            pieces.append(Piece(ending, False))
    return pieces


def split_long(sentence: str, size: Callable[[str], int], longest: int) -> list[str]:
    """Cuts a sentence at commas and the like into parts of at most `longest`, as far as it has such places.

    Args:
        sentence: The sentence.
        size: Length of a text, such as its number of tokens.
        longest: Largest size wanted.
    """
    if size(sentence) <= longest:
        return [sentence]
    parts: list[str] = []
    for clause in _CLAUSE.split(sentence):
        joint = "" if not parts or is_han(clause[:1] or " ") else " "
        if parts and size(parts[-1] + joint + clause) <= longest:
            parts[-1] += joint + clause
        elif clause:
            parts.append(clause)
    return parts


def translate_document(
    text: str,
    translate: Callable[[Sequence[str]], Sequence[str]],
    *,
    size: Callable[[str], int],
    longest: int,
) -> str:
    """Translates a document.

    Blank lines, indentation, list marks and headings stay. Between two sentences on a line stands a space where the
    language of the translation writes one.

    Args:
        text: The document.
        translate: Translates a list of sentences.
        size: Length of a sentence.
        longest: Longest sentence that is translated in one piece.
    """
    pieces = split_document(text)
    parts = [split_long(p.text, size, longest) if p.translatable else [] for p in pieces]
    found = iter(translate([part for group in parts for part in group]))
    translated = [[next(found) for _ in group] for group in parts]
    chinese = han_share("".join(t for group in translated for t in group)) > 0.3
    joint = "" if chinese else " "
    result: list[str] = []
    for number, (piece, group) in enumerate(zip(pieces, translated, strict=True)):
        if group:
            if result and number and pieces[number - 1].translatable:
                result.append(joint)
            result.append(joint.join(group))
        elif (
            0 < number < len(pieces) - 1
            and pieces[number - 1].translatable
            and pieces[number + 1].translatable
        ):
            result.append(joint if not piece.text.strip() and "\n" not in piece.text else piece.text)
        else:
            result.append(piece.text)
    return "".join(result)


def read_document(path: Path, encoding: str | None = None) -> str:
    """Reads a plain text file whole.

    Raises:
        InputError: When it does not exist or is no text.
    """
    with tempfile.TemporaryDirectory(prefix="wenmo.") as folder:
        found = find_inputs([path], Path(folder) / "stdin.txt")
        if len(found.sources) != 1:
            raise InputError(f"{path} is not one file; name a text file")
        return "\n".join([*text_lines(found.sources[0], encoding), ""])
