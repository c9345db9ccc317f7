"""What a model of a corpus says about a text: its topic, its key phrases, and the documents it is like."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from wenmo.semantics.keywords import extract
from wenmo.semantics.model import SemanticModel


class Similar(BaseModel):
    """A document of the corpus that is near a text."""

    model_config = ConfigDict(frozen=True)

    source: str
    """File and line of the document."""
    excerpt: str
    """Its beginning."""
    similarity: float
    """Cosine, at most 1; with --from a mean of the words' and the embeddings'."""


class TextMeaning(BaseModel):
    """What a model of a corpus says about a text."""

    model_config = ConfigDict(frozen=True)

    topic: int | None
    """Number of its topic, from 1; null when it belongs to none."""
    label: str
    """Phrases of that topic; empty when it belongs to none."""
    share: float
    """Share of the text that is of its likeliest topic."""
    fit: float
    """Cosine between the text and what the topics make of it."""
    keywords: list[str]
    """Its key phrases, the best first."""
    similar: list[Similar]
    """The nearest documents of the corpus."""


def similar_documents(model: SemanticModel, texts: Sequence[str], count: int) -> list[list[Similar]]:
    """Finds the documents of the corpus nearest to each text, the nearest first."""
    return [
        [
            Similar(source=document.source, excerpt=document.excerpt, similarity=round(similarity, 4))
            for document, similarity in row
        ]
        for row in model.similar(texts, count)
    ]


def analyse(model: SemanticModel, texts: Sequence[str], top: int = 10, near: int = 3) -> list[TextMeaning]:
    """Analyses texts, each by itself.

    Args:
        model: A fitted corpus.
        texts: The texts.
        top: Most keywords of each.
        near: Most similar documents of each; 0 looks for none.
    """
    if not texts:
        return []
    assigned = model.assign(texts)
    nearest = similar_documents(model, texts, near) if near else [[] for _ in texts]
    results = []
    for i, text in enumerate(texts):
        topic = int(assigned.topic[i])
        results.append(
            TextMeaning(
                topic=topic + 1 if topic >= 0 else None,
                label=model.topics.labels[topic] if topic >= 0 else "",
                share=round(float(assigned.shares[i].max()), 4),
                fit=round(float(assigned.fit[i]), 4),
                keywords=[keyword.text for keyword in extract(text, model.background, top=top)],
                similar=nearest[i],
            )
        )
    return results
