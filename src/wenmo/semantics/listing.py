"""Results as rows for tables, and as lines to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wenmo.semantics.fitting import excerpt
from wenmo.semantics.keywords import Keyword
from wenmo.semantics.model import SemanticModel
from wenmo.semantics.topics import Assignment

Row = dict[str, Any]
NONE = "none of these"


def topic_rows(model: SemanticModel) -> list[Row]:
    """A row for each topic: number from 1, label, words, documents, share of all documents."""
    numbers = [document.topic for document in model.documents]
    return [
        {
            "number": k + 1,
            "label": label,
            "words": " ".join(words),
            "documents": numbers.count(k),
            "share": round(numbers.count(k) / max(len(numbers), 1), 4),
        }
        for k, (label, words) in enumerate(zip(model.topics.labels, model.topic_words(), strict=True))
    ]


def topic_lines(rows: Sequence[Row]) -> list[str]:
    """Rows of `topic_rows`, the largest first, and the share of the documents that belong to none."""
    lines = [
        f"{row['number']:>3}  {row['share']:>4.0%}  {row['label']}\n           {row['words']}"
        for row in sorted(rows, key=lambda row: -row["share"])
    ]
    return [*lines, f"     {max(1 - sum(row['share'] for row in rows), 0):>4.0%}  {NONE}"]


def assigned_rows(model: SemanticModel, texts: Sequence[str], assigned: Assignment) -> list[Row]:
    """A row for each text: its topic from 1 (or null), label, the likeliest topic's share, and the fit."""
    labels = model.topics.labels
    return [
        {
            "text": text,
            "topic": topic + 1 if topic >= 0 else None,
            "label": labels[topic] if topic >= 0 else NONE,
            "share": round(float(shares.max()), 4),
            "fit": round(float(fit), 4),
        }
        for text, topic, shares, fit in zip(
            texts, assigned.topic.tolist(), assigned.shares, assigned.fit, strict=True
        )
    ]


def assigned_lines(rows: Sequence[Row]) -> list[str]:
    """Rows of `assigned_rows`, a line each."""
    return [f"{row['topic'] or '-':>3}  {row['label']}  ({excerpt(row['text'], 60)})" for row in rows]


def keyword_rows(results: Sequence[tuple[str, Sequence[Keyword]]]) -> list[Row]:
    """A row for each keyword of each document: source, rank from 1, phrase, score, occurrences."""
    return [
        {"source": source, "rank": rank, **keyword.model_dump()}
        for source, found in results
        for rank, keyword in enumerate(found, 1)
    ]


def keyword_lines(results: Sequence[tuple[str, Sequence[Keyword]]]) -> list[str]:
    """Keywords of documents with their scores, under the names of the documents when there are several."""
    lines: list[str] = []
    for source, found in results:
        if len(results) > 1:
            lines += ([""] if lines else []) + [source or "text"]
        lines += [f"{keyword.score:7.3f}  {keyword.text}" for keyword in found] or ["         no key phrase"]
    return lines
