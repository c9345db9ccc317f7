"""A trained reader: answers with places in the passage, saved as a directory."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError

from wenmo.answering.batches import Encoder, Outside, Pair, collate, grouped
from wenmo.answering.network import ReaderConfig, ReaderNetwork
from wenmo.answering.spans import best_spans
from wenmo.answering.units import MARK
from wenmo.answering.vocabulary import UnitVocabulary
from wenmo.errors import ModelError
from wenmo.files import atomic_path, write_text
from wenmo.text.folding import can_simplify

FORMAT_VERSION = 1
STRETCH = 480
"""Units read at once; a longer passage is read in stretches that overlap by a fifth."""
_BATCH_UNITS = 16_384


@dataclass(frozen=True)
class Found:
    """A span found in a passage.

    Attributes:
        text: The answer as it stands there.
        start: First character in the passage.
        end: Character after it.
        score: Log-odds against "no answer" in its passage; comparable between passages.
        probability: Among all spans of the passage and "no answer".
        start_probability: That an answer starts there.
        end_probability: That an answer ends there.
    """

    text: str
    start: int
    end: int
    score: float
    probability: float
    start_probability: float
    end_probability: float


@dataclass(frozen=True)
class PassageAnswer:
    """What was read in a passage.

    Attributes:
        spans: The best spans, best first; empty when there is nothing to read.
        nothing: Probability that the passage holds no answer.
    """

    spans: tuple[Found, ...]
    nothing: float


class Reader:
    """A network with its vocabulary.

    Args:
        network: The network.
        vocabulary: Its units.
        outside: The language model whose vectors it was trained with, or None.
        info: What is saved with it.
    """

    def __init__(
        self,
        network: ReaderNetwork,
        vocabulary: UnitVocabulary,
        outside: Outside | None = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.encoder = Encoder(vocabulary, outside)
        self.info = info or {}

    @torch.no_grad()
    def read(self, pairs: Sequence[tuple[str, str]], count: int = 3) -> list[PassageAnswer]:
        """Answers questions from passages.

        Args:
            pairs: Question and passage.
            count: Most spans for each.

        Returns:
            One answer for each pair, in order.
        """
        self.network.eval()
        work: list[tuple[int, Pair]] = []
        for number, (question, passage) in enumerate(pairs):
            size = len(self.encoder.text(passage).units)
            if not size or not len(self.encoder.text(question).units):
                continue
            step = STRETCH * 4 // 5
            for first in range(0, max(1, size - STRETCH + step), step):
                work.append((number, self.encoder.pair(question, passage, first, first + STRETCH)))
        found: list[list[tuple[Found, float]]] = [[] for _ in pairs]
        nothing = [1.0] * len(pairs)
        sizes = [pair.last - pair.first for _, pair in work]
        for batch in grouped(sizes, _BATCH_UNITS, random.Random(0)):
            spans = self.network(collate([work[place][1] for place in batch]))
            for place, reading in zip(batch, best_spans(spans, count), strict=True):
                number, pair = work[place]
                nothing[number] = min(nothing[number], reading.nothing)
                units = pair.passage.units
                for span in reading.spans:
                    first, last = span.first + pair.first, span.last + pair.first
                    if (units.kinds[first : last + 1] == MARK).all():  # a comma is no answer
                        continue
                    start, end = int(units.starts[first]), int(units.ends[last])
                    score = span.score - reading.nothing_score
                    numbers = (span.probability, span.start_probability, span.end_probability)
                    found[number].append((Found(units.text[start:end], start, end, score, *numbers), score))
        return [
            PassageAnswer(_without_overlap([f for f, _ in sorted(spans, key=lambda s: -s[1])], count), none)
            for spans, none in zip(found, nothing, strict=True)
        ]

    def vector(self, text: str) -> npt.NDArray[np.float32]:
        """A vector for the meaning of a text: the mean of its units' and words' vectors, weighted by idf.

        With a language model, the mean of its vectors instead.
        """
        encoded = self.encoder.text(text)
        if not len(encoded.units):
            return np.zeros(1, np.float32)
        weights = encoded.idf / max(float(encoded.idf.sum()), 1e-9)
        if encoded.outside is not None:
            return np.asarray(weights @ encoded.outside, np.float32)
        units, words = self.network.units.weight.detach(), self.network.words.weight.detach()
        table = torch.cat([units[encoded.ids[:, 0]], words[encoded.ids[:, 1]]], 1).numpy()
        return np.asarray(weights @ table, np.float32)

    def coverage(self, question: str, passage: str) -> float:
        """Share of the question's units, weighted by idf, that stand in the passage, 0 to 1; marks do not count."""
        asked, read = self.encoder.text(question), self.encoder.text(passage)
        weights = asked.idf * (asked.units.kinds != MARK)
        held = np.isin(asked.units.keys, read.units.keys)
        return float((weights * held).sum() / max(float(weights.sum()), 1e-9))

    def save(self, directory: Path) -> None:
        """Writes reader.json and reader.safetensors.

        Raises:
            ResourceError: When the disk is full or the folder is not writable.
        """
        from wenmo.models.saving import write_tensors

        directory = Path(directory)
        with atomic_path(directory / "reader.safetensors") as temporary:
            write_tensors({k: v.contiguous() for k, v in self.network.state_dict().items()}, temporary)
        data = {
            "format_version": FORMAT_VERSION,
            "config": self.network.config.model_dump(),
            "simplified": can_simplify(),
            "vocabulary": self.encoder.vocabulary.to_json(),
            "info": self.info,
        }
        write_text(directory / "reader.json", json.dumps(data, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, directory: Path, outside: Outside | None = None) -> Reader:
        """Reads what `save` wrote.

        Raises:
            ModelError: When a file is missing, damaged or of another version, or needs opencc or a language model
                that is not there.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(directory) / "reader.json"
        try:
            data = json.loads(path.read_text("utf-8"))
            if data["format_version"] != FORMAT_VERSION:
                raise ModelError(
                    f"{path} has format version {data['format_version']}, and this version of wenmo reads "
                    f"{FORMAT_VERSION}; train again"
                )
            config = ReaderConfig(**data["config"])
            vocabulary = UnitVocabulary.from_json(data["vocabulary"])
            network = ReaderNetwork(config)
            network.load_state_dict(load_file(Path(directory) / "reader.safetensors"))
        except OSError as error:
            raise ModelError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, RuntimeError, ValidationError, SafetensorError) as error:
            raise ModelError(
                f"{directory} is damaged: {str(error).splitlines()[0]}; copy it again"
            ) from error
        if data.get("simplified") and not can_simplify():
            raise ModelError(
                f"{directory} was trained with traditional characters folded; install opencc: "
                "pip install 'wenmo[tasks]'"
            )
        if config.outside and outside is None:
            raise ModelError(
                f"{directory} needs the language model it was trained from; copy the whole directory"
            )
        return cls(network.eval(), vocabulary, outside, data.get("info", {}))


def _without_overlap(spans: Sequence[Found], count: int) -> tuple[Found, ...]:
    taken: list[Found] = []
    for span in spans:
        if len(taken) < count and all(span.end <= other.start or span.start >= other.end for other in taken):
            taken.append(span)
    return tuple(taken)
