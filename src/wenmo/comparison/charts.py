"""The charts of a comparison as inline SVG; colours and fonts come from the style sheet of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from wenmo.comparison.extrapolation import Curve
from wenmo.comparison.results import FamilyResult
from wenmo.evaluation.charts import ticks
from wenmo.progress import duration

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 48, 104, 20, 34
"""Margins around the plot of the learning curves."""
COLOURS = 8
"""Families have the classes c0 to c7; a ninth begins again, with its name beside the line."""
STEPS = 48
TIMES = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 604800)
LABEL_HEIGHT = 16
ROW, NAME_WIDTH, VALUE_WIDTH = 46, 110, 132


def colours(families: Sequence[FamilyResult]) -> dict[str, str]:
    """Class of each family."""
    return {family.name: f"c{number % COLOURS}" for number, family in enumerate(families)}


def learning_curves(
    families: Sequence[FamilyResult],
    curves: Mapping[str, Curve],
    measured: float,
    target: float | None,
    title: str,
) -> str:
    """Draws the score of finished trainings against their length, with the fitted curves and their 95 % bands.

    Args:
        families: The families.
        curves: Family -> its curve.
        measured: Length of the longest trials, seconds.
        target: Length of the training that is predicted, seconds; None for none.
        title: What the chart shows, for people who cannot see it.

    Returns:
        An `<svg>` element.
    """
    first = min(point.seconds for family in families for point in family.points)
    begin, end = first * 0.9, max(measured, target or 0.0) * 1.04
    times = np.geomspace(begin, end, STEPS)
    bands = {
        family.name: np.array([curves[family.name].at(float(second)) for second in times])
        for family in families
    }
    scores = [point.bits_per_byte for family in families for point in family.points]
    inside = [band[times >= first][:, 1:].ravel() for band in bands.values()]
    low = min([*scores, *(float(np.quantile(values, 0.02)) for values in inside)])
    # Early points of the slowest family may stand far above all that matters.
    high = min(max(scores), float(np.median(scores)) + 1.5 * (float(np.median(scores)) - low) + 0.1)
    margin = max((high - low) * 0.05, 0.005)
    low, high = max(low - margin, 0.0), high + margin

    def x_of(seconds: float) -> float:
        return LEFT + math.log(seconds / begin) / math.log(end / begin) * (WIDTH - LEFT - RIGHT)

    def y_of(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<clipPath id="plot"><rect x="{LEFT}" y="{TOP - 4}" width="{WIDTH - LEFT - RIGHT + 4}" '
        f'height="{HEIGHT - TOP - BOTTOM + 8}"/></clipPath>',
    ]
    for value in ticks(low, high, 6):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{y_of(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        )
    shown: list[float] = [second for second in TIMES if begin <= second <= end] or [measured]
    for second in shown[:: math.ceil(len(shown) / 7)]:
        label = duration(second).replace(".0 s", " s").removesuffix(" 00 s").removesuffix(" 00 min")
        parts.append(
            f'<text class="tick" x="{x_of(second):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{label}</text>'
        )
    if target is not None and target > measured * 1.2:
        parts.append(
            f'<line class="leader" x1="{x_of(measured):.1f}" x2="{x_of(measured):.1f}" y1="{TOP}" '
            f'y2="{HEIGHT - BOTTOM}"/><text class="tick" x="{x_of(measured) - 6:.1f}" y="{TOP + 8}" '
            f'text-anchor="end">measured</text><text class="tick" x="{x_of(measured) + 6:.1f}" y="{TOP + 8}">'
            "predicted</text>"
        )
    classes = colours(families)
    for family in families:
        band, colour = bands[family.name], classes[family.name]
        upper = [f"{x_of(t):.1f},{y_of(v):.1f}" for t, v in zip(times, band[:, 2], strict=True)]
        lower = [f"{x_of(t):.1f},{y_of(v):.1f}" for t, v in zip(times, band[:, 1], strict=True)]
        middle = [f"{x_of(t):.1f},{y_of(v):.1f}" for t, v in zip(times, band[:, 0], strict=True)]
        outline = " ".join([*upper, *reversed(lower)])
        parts.append(f'<polygon class="band {colour}" clip-path="url(#plot)" points="{outline}"/>')
        parts.append(f'<polyline class="line {colour}" clip-path="url(#plot)" points="{" ".join(middle)}"/>')
        parts.extend(
            f'<circle class="dot {colour}" clip-path="url(#plot)" cx="{x_of(point.seconds):.1f}" '
            f'cy="{y_of(point.bits_per_byte):.1f}" r="3.5"/>'
            for point in family.points
        )
    ends = {name: y_of(float(band[-1, 0])) for name, band in bands.items()}
    for name, y in _apart(ends).items():
        parts.append(
            f'<text class="label {classes[name]}" x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}">{escape(name)}</text>'
        )
    return "".join([*parts, "</svg>"])


def score_bars(families: Sequence[FamilyResult], title: str) -> str:
    """Draws each family's score with its 95 % interval and its seeds, and the prediction below where there is one.

    The axis does not begin at zero: differences between families are small beside their scores.
    """
    intervals = [item for family in families for item in (family.score, family.predicted) if item is not None]
    low = min(item.low for item in intervals)
    high = max(item.high for item in intervals)
    margin = max((high - low) * 0.06, 0.002)
    low, high = max(low - margin, 0.0), high + margin
    height = TOP + ROW * len(families) + BOTTOM

    def x_of(value: float) -> float:
        return NAME_WIDTH + (value - low) / (high - low) * (WIDTH - NAME_WIDTH - VALUE_WIDTH)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    for value in ticks(low, high, 6):
        parts.append(
            f'<line class="grid" x1="{x_of(value):.1f}" x2="{x_of(value):.1f}" y1="{TOP - 8}" y2="{height - BOTTOM}"/>'
            f'<text class="tick" x="{x_of(value):.1f}" y="{height - 12}" text-anchor="middle">{value:.4g}</text>'
        )
    classes = colours(families)
    for number, family in enumerate(families):
        colour = classes[family.name]
        y = TOP + ROW * number + (8 if family.predicted else 16)
        middle = y + (12 if family.predicted else 4)
        parts.append(
            f'<text class="label {colour}" x="{NAME_WIDTH - 12}" y="{middle}" text-anchor="end">'
            f"{escape(family.name)}</text>"
        )
        rows = [(family.score, "bar", y)] + (
            [(family.predicted, "ahead", y + 16)] if family.predicted else []
        )
        for item, kind, line in rows:
            width = max(x_of(item.high) - x_of(item.low), 2.0)
            parts.append(
                f'<rect class="{kind} {colour}" x="{x_of(item.low):.1f}" y="{line - 5}" width="{width:.1f}" '
                f'height="10" rx="2"/><circle class="dot {colour}" cx="{x_of(item.bits_per_byte):.1f}" '
                f'cy="{line}" r="4.5"/>'
                f'<text class="value" x="{WIDTH - VALUE_WIDTH + 12}" y="{line + 4}">{item.bits_per_byte:.3f}'
                f'<tspan class="tick" dx="6">{item.low:.3f}–{item.high:.3f}</tspan></text>'
            )
        parts.extend(
            f'<line class="seed {colour}" x1="{x_of(seed):.1f}" x2="{x_of(seed):.1f}" y1="{y - 7}" y2="{y + 7}"/>'
            for seed in family.seeds
        )
    return "".join([*parts, "</svg>"])


def _apart(places: Mapping[str, float]) -> dict[str, float]:
    """Moves labels apart that would cover each other, as little as their order allows."""
    names = sorted(places, key=lambda name: places[name])
    found = [min(max(places[name], TOP), HEIGHT - BOTTOM) for name in names]
    for _ in range(50):
        for index in range(1, len(found)):
            overlap = LABEL_HEIGHT - (found[index] - found[index - 1])
            if overlap > 0:
                found[index - 1] -= overlap / 2
                found[index] += overlap / 2
    shift = max(TOP - found[0], 0.0) or min(HEIGHT - BOTTOM - found[-1], 0.0)
    return {name: y + shift for name, y in zip(names, found, strict=True)}
