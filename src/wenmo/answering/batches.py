"""From examples to padded batches of similar length."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.answering.examples import Example
from wenmo.answering.features import Floats, pair_features
from wenmo.answering.network import Batch
from wenmo.answering.units import Units, cut_units
from wenmo.answering.vocabulary import UnitVocabulary

LONGEST_QUESTION = 80
_KEPT = 8_000
"""Texts that are remembered; one takes about 60 kB."""


class Outside(Protocol):
    """What a language model says of a text: a vector for each unit."""

    size: int

    def vectors(self, units: Units) -> npt.NDArray[np.float32]:
        """float32 (L, size)."""


@dataclass(frozen=True)
class Text:
    """A text ready for the network: units, ids int64 (L, 3), idf float32 (L,), and vectors from outside or None."""

    units: Units
    ids: npt.NDArray[np.int64]
    idf: Floats
    outside: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Pair:
    """A question with a stretch of a passage, as numbers.

    Attributes:
        passage: The passage's text.
        question: The question's text.
        first: First unit of the stretch that is read.
        last: Unit after it.
        passage_features: float32 (last - first, features).
        question_features: float32 (M, features).
        spans: Accepted answers as first and last unit, counted from `first`; empty for none.
    """

    passage: Text
    question: Text
    first: int
    last: int
    passage_features: Floats
    question_features: Floats
    spans: tuple[tuple[int, int], ...] = ()


def part(units: Units, first: int, last: int) -> Units:
    """The units first to last - 1 of a text (the text itself stays whole)."""
    if first == 0 and last == len(units):
        return units
    cut = slice(first, last)
    return Units(
        units.text,
        units.starts[cut],
        units.ends[cut],
        units.folded[cut],
        units.words[cut],
        units.keys[cut],
        units.kinds[cut],
        units.begins[cut],
        units.closes[cut],
        units.sentence[cut] - (units.sentence[first] if last > first else 0),
    )


class Encoder:
    """Turns questions and passages into numbers; remembers the texts it has seen.

    Args:
        vocabulary: Known units.
        outside: A language model's vectors, or None.
    """

    def __init__(self, vocabulary: UnitVocabulary, outside: Outside | None = None) -> None:
        self.vocabulary = vocabulary
        self.outside = outside
        self._texts: dict[str, Text] = {}

    def text(self, text: str) -> Text:
        """Encodes one text."""
        found = self._texts.get(text)
        if found is None:
            units = cut_units(text)
            vectors = self.outside.vectors(units) if self.outside is not None else None
            found = Text(units, self.vocabulary.ids(units), self.vocabulary.idf(units), vectors)
            if len(self._texts) >= _KEPT:
                self._texts.clear()
            self._texts[text] = found
        return found

    def pair(self, question: str, passage: str, first: int = 0, last: int | None = None) -> Pair:
        """Encodes a question with the units first to last - 1 of a passage."""
        asked, read = self.text(question), self.text(passage)
        last = len(read.units) if last is None else min(last, len(read.units))
        q_units = part(asked.units, 0, min(len(asked.units), LONGEST_QUESTION))
        p_units = part(read.units, first, last)
        q_idf, p_idf = asked.idf[: len(q_units)], read.idf[first:last]
        return Pair(
            read,
            asked,
            first,
            last,
            pair_features(p_units, q_units, p_idf, q_idf),
            pair_features(q_units, p_units, q_idf, p_idf),
        )

    def example(self, example: Example, most: int, rng: random.Random | None, max_span: int) -> Pair | None:
        """Encodes a training example, with a stretch of at most `most` units that holds an answer.

        Args:
            example: The question.
            most: Longest stretch, in units.
            rng: Where the stretch lies; None takes the first answer's surroundings.
            max_span: An answer of more units cannot be given, and is left out.

        Returns:
            None when the passage has no unit, or every answer is too long.
        """
        units = self.text(example.context).units
        found = [units.span(start, end) for start, end in example.answers]
        spans = [span for span in found if span and span[1] - span[0] < max_span]
        if not len(units) or (example.answers and not spans):
            return None
        first = 0
        if len(units) > most:
            low, high = 0, len(units) - most
            if spans:
                low, high = max(0, spans[0][1] + 1 - most), min(high, spans[0][0])
            first = rng.randint(low, high) if rng else (low + high) // 2
        pair = self.pair(example.question, example.context, first, first + most)
        inside = tuple((a - first, b - first) for a, b in spans if a >= first and b < pair.last)
        return Pair(**{**vars(pair), "spans": inside})


def collate(pairs: Sequence[Pair]) -> Batch:
    """Pads pairs to one batch."""
    passages = [p.passage.ids[p.first : p.last] for p in pairs]
    questions = [p.question.ids[: len(p.question_features)] for p in pairs]
    outside: tuple[Tensor | None, Tensor | None] = (None, None)
    if pairs[0].passage.outside is not None:
        read = [p.passage.outside[p.first : p.last] for p in pairs if p.passage.outside is not None]
        asked = [
            p.question.outside[: len(p.question_features)] for p in pairs if p.question.outside is not None
        ]
        outside = _padded(read), _padded(asked)
    return Batch(
        _padded(passages),
        _padded([p.passage_features for p in pairs]),
        torch.tensor([len(ids) for ids in passages]),
        _padded(questions),
        _padded([p.question_features for p in pairs]),
        torch.tensor([len(ids) for ids in questions]),
        *outside,
    )


def _padded(rows: Sequence[npt.NDArray[np.int64] | npt.NDArray[np.float32]]) -> Tensor:
    longest = max(1, *(len(row) for row in rows))
    table = np.zeros((len(rows), longest, rows[0].shape[1]), rows[0].dtype)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return torch.from_numpy(table)


def grouped(lengths: Sequence[int], most: int, rng: random.Random) -> Iterator[list[int]]:
    """Yields positions in random order, in batches of similar length whose padded size is at most `most` units.

    Args:
        lengths: Length of each item.
        most: Units in a batch.
        rng: The order.
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), 1024):
        chunk = sorted(order[start : start + 1024], key=lengths.__getitem__)
        batch: list[int] = []
        for item in chunk:
            if batch and lengths[item] * (len(batch) + 1) > most:
                batches.append(batch)
                batch = []
            batch.append(item)
        if batch:
            batches.append(batch)
    rng.shuffle(batches)
    yield from batches
