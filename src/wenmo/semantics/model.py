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
from wenmo.semantics.similar import Embed, Embeddings, Nearest
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
        spellings: How the heaviest words of the topics are written.
        facts: What else is worth keeping, such as how the number of topics was chosen.
        embed: The language model's embeddings of texts, when similarity goes by them.
    """

    background: Background
    topics: Topics
    nearest: Nearest
    documents: list[Stored]
    spellings: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    embed: Embed | None = None

    def topic_words(self) -> list[list[str]]:
        """The heaviest words of each topic, as they are written."""
        return [[self.spellings.get(word, word) for word in words] for words in self.topics.words()]

    def assign(self, texts: Sequence[str]) -> Assignment:
        """Finds the topics of texts."""
        return self.topics.assign([content_words(text) for text in texts])

    def similar(self, texts: Sequence[str], count: int = 5) -> list[list[tuple[Stored, float]]]:
        """Finds the documents of the corpus nearest to each text, with the similarity, the nearest first."""
        if not texts:
            return []
        raw = self.embed(texts) if self.embed is not None else None
        words = [content_words(text) for text in texts]
        found = self.nearest.search(words, count, raw)
        return [[(self.documents[i], similarity) for i, similarity in row] for row in found]

    def save(self, directory: Path) -> None:
        """Writes arrays as npz without pickle, and JSON."""
        arrays: dict[str, Any] = {
            "components": self.topics.components,
            "frequencies": self.topics.vocabulary.frequencies,
            "lengths": self.topics.lengths,
            "thresholds": self.topics.thresholds,
            "word_frequencies": self.nearest.vocabulary.frequencies,
            "rows_data": self.nearest.rows.data,
            "rows_indices": self.nearest.rows.indices,
            "rows_indptr": self.nearest.rows.indptr,
        }
        if self.nearest.embeddings is not None:
            arrays["centre"] = self.nearest.embeddings.centre
            arrays["scale"] = self.nearest.embeddings.scale
            arrays["vectors"] = self.nearest.embeddings.vectors
        np.savez_compressed(directory / ARRAYS, **arrays)
        self.background.save(directory / BACKGROUND)
        description = {
            "method": self.topics.method,
            "labels": list(self.topics.labels),
            "vocabulary": list(self.topics.vocabulary.words),
            "counted": self.topics.vocabulary.documents,
            "words": list(self.nearest.vocabulary.words),
            "words_counted": self.nearest.vocabulary.documents,
            "documents": [[d.source, d.excerpt, d.topic] for d in self.documents],
            "spellings": self.spellings,
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
                held["lengths"],
                held["thresholds"],
                tuple(description["labels"]),
            )
            documents = [Stored(*entry) for entry in description["documents"]]
            nearest = _nearest(description, held, len(documents))
            _check(topics, nearest, documents, embed is not None)
            spellings, facts = description["spellings"], description["facts"]
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise ModelError(f"{path} is missing or damaged ({error}); copy the model again") from error
        return cls(background, topics, nearest, documents, spellings, facts, embed)


def _nearest(description: dict[str, Any], held: dict[str, Any], documents: int) -> Nearest:
    from scipy.sparse import csr_matrix

    words = tuple(description["words"])
    vocabulary = Vocabulary(words, held["word_frequencies"], description["words_counted"])
    parts = (held["rows_data"], held["rows_indices"], held["rows_indptr"])
    rows = csr_matrix(parts, shape=(documents, len(words)))
    rows.check_format(full_check=True)
    if "vectors" not in held:
        return Nearest(vocabulary, rows)
    return Nearest(vocabulary, rows, Embeddings(held["centre"], held["scale"], held["vectors"]))


def _check(topics: Topics, nearest: Nearest, documents: Sequence[Stored], embeds: bool) -> None:
    words = len(topics.vocabulary.words)
    if topics.components.shape != (len(topics.labels), words) or len(topics.vocabulary.frequencies) != words:
        raise ValueError("the topics do not fit the vocabulary")
    if not len(topics.lengths) or topics.lengths.shape != topics.thresholds.shape:
        raise ValueError("the levels of the topics do not fit")
    if len(nearest.vocabulary.frequencies) != len(nearest.vocabulary.words):
        raise ValueError("the words do not fit their frequencies")
    if (nearest.embeddings is not None) != embeds:
        raise ValueError("the language model of the vectors is not there, or vectors are not")
    if nearest.embeddings is not None and len(nearest.embeddings.vectors) != len(documents):
        raise ValueError("the vectors do not fit the documents")
