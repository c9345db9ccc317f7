"""The map of a corpus: one self-contained HTML page with every document as a dot beside those it is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from wenmo.semantics.layout import chosen, layout
from wenmo.semantics.model import SemanticModel
from wenmo.semantics.similar import EMBEDDING_SHARE, latent_vectors
from wenmo.semantics.topics import Assignment
from wenmo.text import han_share

WIDTH, HEIGHT, MARGIN = 960, 640, 26
GOLDEN = 137.508
"""Degrees between the hues of neighbouring topics, so that any first few of them are far apart."""
EXAMPLES = 3
_CHINESE = 0.3


@dataclass(frozen=True)
class Shown:
    """A topic as the page shows it.

    Attributes:
        number: From 1.
        hue: Of its dots, in degrees.
        label: Its phrases.
        words: Its heaviest words.
        count: Documents.
        share: Share of all documents, in [0, 1].
        examples: Beginnings of its most representative documents, with their sources.
    """

    number: int
    hue: float
    label: str
    words: tuple[str, ...]
    count: int
    share: float
    examples: tuple[tuple[str, str], ...]


def shown_topics(model: SemanticModel, assigned: Assignment) -> list[Shown]:
    """Topics of a model with their documents, in the order of the model."""
    total = max(len(model.documents), 1)
    found = []
    for k, (label, words) in enumerate(zip(model.topics.labels, model.topic_words(), strict=True)):
        count = int((assigned.topic == k).sum())
        best = [model.documents[i] for i in assigned.representatives(k, EXAMPLES)]
        examples = tuple((document.excerpt, document.source) for document in best)
        found.append(Shown(k + 1, k * GOLDEN % 360, label, tuple(words), count, count / total, examples))
    return found


def language(text: str) -> str:
    """`zh` or `en`, for the fonts and line breaks of a browser."""
    return "zh" if han_share(text) >= _CHINESE else "en"


def draw(model: SemanticModel, topics: Sequence[Shown], seed: int = 0) -> str:
    """Draws the map as an `<svg>` element; text of the user's is escaped."""
    shown = chosen(len(model.documents))
    places = layout(_vectors(model, shown, seed), seed)
    x = MARGIN + places[:, 0] * (WIDTH - 2 * MARGIN)
    y = MARGIN + (1 - places[:, 1]) * (HEIGHT - 2 * MARGIN)
    radius = float(np.clip(90 / np.sqrt(max(len(shown), 1)), 3.0, 9.0))
    numbers = np.array([model.documents[i].topic for i in shown])
    parts = [
        f'<svg class="map" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Map of {len(shown):,} documents in {len(topics)} topics">'
    ]
    order = sorted(range(len(shown)), key=lambda i: numbers[i] >= 0)  # the unassigned lie below
    for i in order:
        document = model.documents[shown[i]]
        topic = topics[document.topic] if document.topic >= 0 else None
        kind = (
            f'class="dot" data-topic="{topic.number}" style="--h:{topic.hue:.0f}"'
            if topic
            else 'class="dot none"'
        )
        said = f"{document.excerpt}\n{topic.label if topic else 'none of the topics'}\n{document.source}"
        parts.append(
            f'<circle {kind} cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="{radius:.1f}"><title>{escape(said)}</title></circle>'
        )
    for topic, left, top in _placed(topics, numbers, x, y):
        parts.append(
            f'<text class="name" data-topic="{topic.number}" x="{left:.1f}" y="{top:.1f}" text-anchor="middle" '
            f'lang="{language(topic.label)}">{escape(_short(topic.label))}</text>'
        )
    return "\n".join([*parts, "</svg>"])


def _vectors(model: SemanticModel, shown: Sequence[int], seed: int) -> npt.NDArray[np.float32]:
    """What the map goes by: latent axes of the words and the embeddings, weighed as in a search."""
    vectors = latent_vectors(model.nearest.rows, seed)[list(shown)]
    if model.nearest.embeddings is None:
        return vectors
    embedded = model.nearest.embeddings.vectors[list(shown)]
    return np.hstack([np.sqrt(1 - EMBEDDING_SHARE) * vectors, np.sqrt(EMBEDDING_SHARE) * embedded]).astype(
        np.float32
    )


def _short(label: str) -> str:
    first = label.split(" · ")[0]
    return first if len(first) <= 28 else first[:27] + "…"


def _placed(
    topics: Sequence[Shown],
    numbers: npt.NDArray[np.int64],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> list[tuple[Shown, float, float]]:
    """Where the names stand: at the median of a topic's dots, moved until no two lie on each other."""
    boxes: list[tuple[float, float, float]] = []
    placed = []
    for topic in sorted(topics, key=lambda t: -t.count):
        mine = numbers == topic.number - 1
        if not mine.any():
            continue
        text = _short(topic.label)
        half = sum(16 if language(c) == "zh" else 10 for c in text) / 2 + 4
        left = float(np.clip(np.median(x[mine]), half, WIDTH - half))
        middle = float(np.clip(np.median(y[mine]), 20, HEIGHT - 8))
        for shift in (0, 18, -18, 36, -36, 54, -54, 72, -72):
            top = middle + shift
            free = all(abs(top - t) >= 18 or abs(left - m) >= half + h for m, t, h in boxes)
            if free and 16 <= top <= HEIGHT - 6:
                boxes.append((left, top, half))
                placed.append((topic, left, top))
                break
    return placed


def render_map(model: SemanticModel, assigned: Assignment, title: str, seed: int = 0) -> tuple[str, str]:
    """Makes the page.

    Args:
        model: A fitted model.
        assigned: Topics of its documents.
        title: Heading.
        seed: Seed of the layout.

    Returns:
        The page, and the `<svg>` of the map alone.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("wenmo.semantics", "."), PackageLoader("wenmo.evaluation", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(language=language)
    topics = shown_topics(model, assigned)
    svg = draw(model, topics, seed)
    total = len(model.documents)
    page = environment.get_template("map.html.j2").render(
        title=title,
        svg=svg,
        topics=sorted(topics, key=lambda topic: -topic.count),
        total=total,
        drawn=len(chosen(total)),
        unassigned=int((assigned.topic < 0).sum()),
        facts=model.facts,
    )
    return page, svg
