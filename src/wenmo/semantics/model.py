"""What is kept of a corpus: the frequencies of its words, its topics, and its documents to compare with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from wenmo.errors import ModelError
from wenmo.semantics.background import Background
from wenmo.semantics.similar import Embed, Nearest
from wenmo.semantics.tokens import content_words
from wenmo.semantics.topics import Assignment, Topics
from wenmo.semantics.vectors import Vocabulary

ARRAYS = "semantics.npz"
BACKGROUND = "background.npz"
DESCRIPTION = "semantics.json"
EXCERPT = 200


@dataclass(frozen=True)
class Stored:
    """A document as far as it is kept.

    Attributes:
        source: File and line.
        excerpt: Its beginning.
        topic: Its topic, or -1.
    """

    source: str
    excerpt: str
    topic: int


@dataclass
class SemanticModel:
    """A corpus that new texts are compared with.

    Attributes:
        background: Frequencies of words, for keywords.
        topics: Its topics.
        nearest: Its documents as vectors.
        documents: Its documents, in the order of the vectors.
        facts: What else is worth keeping, such as how the number of topics was chosen.
        embed: The language model's embeddings of texts, when similarity goes by them.
    """

    background: Background
    topics: Topics
    nearest: Nearest
    documents: list[Stored]
    facts: dict[str, Any] = field(default_factory=dict)
    embed: Embed | None = None

    def assign(self, texts: Sequence[str]) -> Assignment:
        """Finds the topics of texts."""
        return self.topics.assign([content_words(text) for text in texts])

    def similar(self, texts: Sequence[str], count: int = 5) -> list[list[tuple[Stored, float]]]:
        """Finds the documents of the corpus nearest to each text, with their cosines, the nearest first."""
        if not texts:
            return []
        raw = self.embed(texts) if self.embed is not None else None
        words = [content_words(text) for text in texts]
        vectors = self.nearest.vectors_of(self.topics.vocabulary, words, raw)
        return [
            [(self.documents[i], cosine) for i, cosine in row] for row in self.nearest.search(vectors, count)
        ]

    def save(self, directory: Path) -> None:
        """Writes arrays as npz without pickle, and JSON."""
        axes = {} if self.nearest.axes is None else {"axes": self.nearest.axes}
        np.savez_compressed(
            directory / ARRAYS,
            components=self.topics.components,
            frequencies=self.topics.vocabulary.frequencies,
            centre=self.nearest.centre,
            vectors=self.nearest.vectors,
            **axes,
        )
        self.background.save(directory / BACKGROUND)
        description = {
            "method": self.topics.method,
            "threshold": self.topics.threshold,
            "labels": list(self.topics.labels),
            "vocabulary": list(self.topics.vocabulary.words),
            "counted": self.topics.vocabulary.documents,
            "documents": [[d.source, d.excerpt, d.topic] for d in self.documents],
            "facts": self.facts,
        }
        text = json.dumps(description, ensure_ascii=False, allow_nan=False)
        (directory / DESCRIPTION).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, embed: Embed | None = None) -> SemanticModel:
        """Opens what `save` wrote.

        Raises:
            ModelError: When a file is missing or damaged, or the parts do not fit each other.
        """
        path = directory / DESCRIPTION
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
            path = directory / BACKGROUND
            with np.load(path, allow_pickle=False) as arrays:
                background = Background.load(arrays)
            path = directory / ARRAYS
            with np.load(path, allow_pickle=False) as arrays:
                held = {name: arrays[name] for name in arrays.files}
            words = tuple(description["vocabulary"])
            vocabulary = Vocabulary(words, held["frequencies"], description["counted"])
            topics = Topics(
                description["method"],
                vocabulary,
                held["components"],
                float(description["threshold"]),
                tuple(description["labels"]),
            )
            nearest = Nearest(held["centre"], held["vectors"], held.get("axes"))
            documents = [Stored(*entry) for entry in description["documents"]]
            _check(topics, nearest, documents, embed is not None)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise ModelError(f"{path} is missing or damaged ({error}); copy the model again") from error
        return cls(background, topics, nearest, documents, description["facts"], embed)


def _check(topics: Topics, nearest: Nearest, documents: Sequence[Stored], embeds: bool) -> None:
    words = len(topics.vocabulary.words)
    if topics.components.shape != (len(topics.labels), words) or len(topics.vocabulary.frequencies) != words:
        raise ValueError("the topics do not fit the vocabulary")
    if nearest.vectors.shape != (len(documents), len(nearest.centre)):
        raise ValueError("the vectors do not fit the documents")
    if (nearest.axes is None) != embeds or (nearest.axes is not None and nearest.axes.shape[1] != words):
        raise ValueError("what the vectors were made with is not there")
