"""From documents to a `SemanticModel`: background, topics with labels, vectors, and the map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from wenmo.errors import InputError, OptionError
from wenmo.semantics.background import Background
from wenmo.semantics.candidates import candidates
from wenmo.semantics.choosing import Trial, choose_number, justification
from wenmo.semantics.factors import Method
from wenmo.semantics.keywords import likeness
from wenmo.semantics.model import EXCERPT, SemanticModel, Stored
from wenmo.semantics.similar import Embed, Nearest
from wenmo.semantics.tokens import content_words, spellings, tokens
from wenmo.semantics.topics import Topics, class_tfidf, fit_topics
from wenmo.semantics.vectors import Vocabulary

T = TypeVar("T")
LABEL_PHRASES = 3
CHOICE_DOCUMENTS = 4_000
"""Of a larger corpus this many documents, evenly spaced, decide the number of topics; all are fitted then."""
LABEL_DOCUMENTS = 5_000
"""Of a larger corpus the phrases of this many documents, evenly spaced, name the topics."""
LEAST_DOCUMENTS = 3
"""A phrase in fewer documents of the corpus labels no topic (in a small corpus: in fewer than two)."""


def find_topics(
    documents: Sequence[Sequence[str]],
    number: int | None,
    *,
    method: Method = "nmf",
    seed: int = 0,
    step: Callable[[int], None] = lambda number: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Topics, list[Trial], str]:
    """Fits the topics of documents (content words), choosing their number when it is not given.

    Returns:
        The topics, what was tried (nothing when the number was given), and a sentence that says why this number.

    Raises:
        InputError: When there are no two documents with words.
        OptionError: When `number` is more than the documents or words allow.
    """
    with_words = [document for document in documents if document]
    if len(with_words) < 2:
        raise InputError(
            f"topics need several documents, and there {'is 1' if with_words else 'are none'} with words in it; give "
            "more documents, or a text with one on each line and --unit line"
        )
    if number is None:
        sample = spaced(with_words, CHOICE_DOCUMENTS)
        topics, trials = choose_number(sample, method=method, seed=seed, step=step, stop=stop)
        if len(sample) < len(with_words):
            topics = fit_topics(with_words, topics.number, method=method, seed=seed)
        return topics, trials, justification(topics.number, trials)
    vocabulary = Vocabulary.of(with_words)
    most = min(len(with_words), len(vocabulary.words))
    if number > most:
        raise OptionError(
            f"--topics: {number} topics cannot be told apart in {len(with_words)} documents with "
            f"{len(vocabulary.words)} words to go by; ask for at most {most}"
        )
    topics = fit_topics(with_words, number, method=method, seed=seed, vocabulary=vocabulary)
    return topics, [], f"{number} topic{'s' * (number != 1)}, as asked for."


def spaced(items: Sequence[T], most: int) -> Sequence[T]:
    """At most so many items, evenly spaced."""
    if len(items) <= most:
        return items
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, most)]


def label_topics(topics: Topics, texts: Sequence[str]) -> Topics:
    """Names each topic by its most specific phrases, a phrase counted once a document.

    A phrase is worth its class-based TF-IDF (see `topics.class_tfidf`), the more the heavier its words are in the
    topic, times the square of the share of its documents that belong to the topic: a word of praise names no subject.

    Args:
        topics: The topics.
        texts: The documents.
    """
    texts = spaced(texts, LABEL_DOCUMENTS)
    assigned = topics.assign([content_words(text) for text in texts]).topic
    surfaces: dict[tuple[str, ...], Counter[str]] = {}
    phrases: list[Counter[str]] = []
    spread: Counter[str] = Counter()
    for text in texts:
        found = candidates(text, tokens(text))
        for key, candidate in found.items():
            surfaces.setdefault(key, Counter()).update(candidate.surfaces)
        phrases.append(Counter({"\t".join(key): 1 for key in found}))
        spread.update(phrases[-1].keys())
    least = LEAST_DOCUMENTS if len(texts) >= 20 else min(2, len(texts))
    kept = [Counter({key: n for key, n in counts.items() if spread[key] >= least}) for counts in phrases]
    inside: Counter[tuple[int, str]] = Counter(
        (int(k), phrase) for k, counts in zip(assigned, kept, strict=True) for phrase in counts
    )
    labels = []
    for k, (ranked, words) in enumerate(
        zip(class_tfidf(kept, assigned, topics.number), topics.words(), strict=True)
    ):
        weights = {word: 1 / (1 + place) for place, word in enumerate(words)}
        worth = {
            phrase: value * (0.1 + _about(phrase, weights)) * (inside[k, phrase] / spread[phrase]) ** 2
            for phrase, value in ranked
        }
        scored = sorted(ranked, key=lambda item: -worth[item[0]])
        chosen: list[tuple[str, ...]] = []
        for phrase, _ in scored:
            key = tuple(phrase.split("\t"))
            if all(likeness(key, other) < 0.5 and not _part(key, other) for other in chosen):
                chosen.append(key)
            if len(chosen) == LABEL_PHRASES:
                break
        names = [
            max(surfaces[key].items(), key=lambda item: (item[1], item[0].islower(), item[0]))[0]
            for key in chosen
        ]
        labels.append(" · ".join(names or words[:LABEL_PHRASES]) or "(no words)")
    return replace(topics, labels=tuple(labels))


def _about(phrase: str, weights: dict[str, float]) -> float:
    """How much of a phrase is the topic's heaviest words: a label should be of them."""
    return sum(weights.get(word, 0.0) for word in phrase.split("\t"))


def _part(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    return set(first) <= set(second) or set(second) <= set(first)


def assemble(
    texts: Sequence[str],
    sources: Sequence[str],
    topics: Topics,
    *,
    embed: Embed | None = None,
    vectors: npt.NDArray[np.float32] | None = None,
) -> SemanticModel:
    """Puts together what is kept of all documents, with topics that were fitted on them or a part of them.

    Args:
        texts: The documents.
        sources: Where each stands.
        topics: Fitted topics without labels.
        embed: Embeddings of a language model, for similarity; words alone when not given.
        vectors: Embeddings of the documents, float32 (N, D), when there is `embed`.
    """
    words = [content_words(text) for text in texts]
    labelled = label_topics(topics, texts)
    nearest = Nearest.of(words, vectors)
    assigned = labelled.assign(words).topic.tolist()
    stored = [
        Stored(source, excerpt(text), topic)
        for source, text, topic in zip(sources, texts, assigned, strict=True)
    ]
    heaviest = {word for topic in topics.words() for word in topic}
    return SemanticModel(
        background=Background.of(map(tokens, texts)).without_single(),
        topics=labelled,
        nearest=nearest,
        documents=stored,
        spellings=spellings(spaced(texts, LABEL_DOCUMENTS), heaviest),
        embed=embed,
    )


def excerpt(text: str, length: int = EXCERPT) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
