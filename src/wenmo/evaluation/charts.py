"""Charts as inline SVG; colours and fonts come from the style sheet of the page, so that dark mode works."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from zlib import crc32

from wenmo.progress import duration

from .overfitting import Overfitting

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 14, 34
"""Margins around the plot."""


def learning_curve(
    rows: Sequence[Mapping[str, float]], title: str, overfitting: Overfitting | None = None
) -> str:
    """Draws training and held-out loss in bits per byte against the time, with the gap between them shaded.

    The steep fall at the very beginning is cut off, so that the rest can be read.

    Args:
        rows: Evaluations, at least two: `seconds`, `train_bpb`, `valid_bpb`.
        title: What the chart shows, for people who cannot see it.
        overfitting: What the curve shows about it; where it began, a line is drawn.

    Returns:
        An `<svg>` element.
    """
    series = {name: [(row["seconds"], row[f"{name}_bpb"]) for row in rows] for name in ("train", "valid")}
    end = max(row["seconds"] for row in rows) or 1.0
    low, high = _range([y for points in series.values() for x, y in points[min(1, len(points) - 2) :]])
    y_ticks = ticks(low, high, 5)
    plot = f"plot-{crc32(title.encode())}"

    def x_of(seconds: float) -> float:
        return LEFT + seconds / end * (WIDTH - LEFT - RIGHT)

    def y_of(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<clipPath id="{plot}"><rect x="{LEFT}" y="{TOP - 4}" width="{WIDTH - LEFT - RIGHT + 8}" '
        f'height="{HEIGHT - TOP - BOTTOM + 8}"/></clipPath>',
    ]
    for value in y_ticks:
        y = y_of(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        )
    for seconds in _time_ticks(end):
        anchor = "start" if seconds == 0 else "end" if x_of(seconds) > WIDTH - 40 else "middle"
        label = duration(seconds).removesuffix(" 00 s").removesuffix(" 00 min") if seconds else "0"
        parts.append(
            f'<text class="tick" x="{x_of(seconds):.1f}" y="{HEIGHT - 12}" text-anchor="{anchor}">{label}</text>'
        )
    both = [(row["seconds"], row["train_bpb"], row["valid_bpb"]) for row in rows]
    both = [point for point in both if math.isfinite(point[1]) and math.isfinite(point[2])]
    edge = [f"{x_of(x):.1f},{y_of(max(a, b)):.1f}" for x, a, b in both]
    edge += [f"{x_of(x):.1f},{y_of(a):.1f}" for x, a, b in reversed(both)]
    parts.append(f'<polygon class="gap" clip-path="url(#{plot})" points="{" ".join(edge)}"/>')
    if overfitting is not None and overfitting.began is not None:
        x = x_of(overfitting.began.seconds)
        parts.append(f'<line class="onset" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for name, points in series.items():
        line = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points if math.isfinite(y))
        parts.append(f'<polyline class="line {name}" clip-path="url(#{plot})" points="{line}"/>')
    best = min((row for row in rows if math.isfinite(row["valid_bpb"])), key=lambda row: row["valid_bpb"])
    x, y = x_of(best["seconds"]), y_of(best["valid_bpb"])
    parts.append(f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    # The curve falls towards its best point, so that the room above it is free.
    side = "end" if x > WIDTH / 2 else "start"
    top = max(y - 40, TOP + 12)
    parts.append(f'<line class="leader" x1="{x:.1f}" x2="{x:.1f}" y1="{top + 4:.1f}" y2="{y - 6:.1f}"/>')
    parts.append(
        f'<text class="label" x="{x:.1f}" y="{top:.1f}" text-anchor="{side}">'
        f"best held-out {best['valid_bpb']:.3f}</text>"
    )
    return "".join([*parts, "</svg>"])


def _range(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    margin = max((high - low) * 0.06, 0.01)
    return max(low - margin, 0.0), high + margin


def ticks(low: float, high: float, most: int) -> list[float]:
    """Returns round numbers between `low` and `high`, at most `most` or a few more."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= most:
            step *= factor
            break
    first = math.ceil(low / step)
    return [round(step * index, 10) for index in range(first, math.floor(high / step) + 1)]


def _time_ticks(end: float) -> list[float]:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
    step = next((step for step in steps if end / step <= 6), end / 6)
    return [step * index for index in range(int(end / step) + 1)] if end >= 1 else [0.0, end]
