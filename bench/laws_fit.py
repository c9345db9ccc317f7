"""The fits behind the laws of the dial: plain functions of the points of `bench/laws.py`, without a library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import linear_regression, mean, median
from typing import Any, NamedTuple

from wenmo.training.curve import SHARES, STEEPEST, last_fall
from wenmo.training.reach import FREE_PASSES, STEP

LEAST_SECONDS = 5.0
"""Shorter trainings of `wenmo train` do not count: they are not yet past the steep beginning."""
LEAST_TFLOP = 0.4
"""The same for the grid."""

Points = Sequence[dict[str, Any]]


class Rest(NamedTuple):
    """What is left of a training at an evaluation.

    Attributes:
        text: Its text.
        fall: The last fall of ln L.
        rest: What ln L still falls, from the lowest so far.
    """

    text: str
    fall: float
    rest: float


def curves(points: Points) -> list[tuple[str, list[float], list[float]]]:
    """Text, shares and held-out losses of each training that is long enough."""
    found = []
    for point in points:
        long = point["kind"] == "run" and point["seconds"] >= LEAST_SECONDS
        long |= point["kind"] == "grid" and point["tflop"] >= LEAST_TFLOP
        if long:
            rows = point["curve"]
            found.append((point["text"], [row["share"] for row in rows], [row["valid"] for row in rows]))
    return found


def endings(points: Points, share: float) -> list[Rest]:
    """What is left at the evaluation next to a share of each training."""
    found = []
    for text, shares, losses in curves(points):
        index = min(range(len(shares)), key=lambda i: abs(shares[i] - share))
        seen = losses[: index + 1]
        fall = last_fall(shares[: index + 1], seen)
        if fall is not None and fall <= STEEPEST:
            found.append(Rest(text, fall, math.log(min(seen) / min(losses))))
    return found


def factors(rows: Sequence[Rest]) -> tuple[float, float]:
    """What the rest is of the last fall, and what it is besides, by least squares."""
    return linear_regression([row.fall for row in rows], [row.rest for row in rows])


def left_out(rows: Sequence[Rest]) -> list[tuple[str, float]]:
    """Error of ln L for each row, by the law fitted on the other texts."""
    errors = []
    for row in rows:
        gain, cooling = factors([other for other in rows if other.text != row.text])
        errors.append((row.text, row.rest - max(gain * row.fall + cooling, 0.0)))
    return errors


def fit_curve(points: Points) -> list[dict[str, Any]]:
    """The law within a training: one row for each share."""
    table = []
    for share in SHARES:
        rows = endings(points, share)
        errors = [abs(error) for _, error in left_out(rows)]
        gain, cooling = factors(rows)
        table.append(
            {
                "share": round(share, 4),
                "gain": round(gain, 3),
                "cooling": round(cooling, 4),
                "spread": round(math.sqrt(mean(error**2 for error in errors)), 4),
                "median error": round(median(errors), 4),
                "within 3 %": sum(error <= 0.03 for error in errors),
                "largest error": round(max(errors), 4),
                "trainings": len(rows),
            }
        )
    return table


def fit_reach(points: Points) -> dict[str, Any]:
    """The law across trainings: what the fall of ln L keeps from one factor of time to the next, by text."""
    finals: dict[str, dict[float, list[float]]] = {}
    for point in points:
        if point["kind"] == "grid" and point["share"] == 1.0:
            losses = finals.setdefault(point["text"], {}).setdefault(point["tflop"], [])
            losses.append(min(row["valid"] for row in point["curve"]))
    ratios = []
    for text, by_size in sorted(finals.items()):
        logs = {size: math.log(mean(losses)) for size, losses in by_size.items()}
        for size in sorted(logs):
            before, after = size / STEP, size * STEP
            found = [
                next((s for s in logs if abs(s / wanted - 1.0) < 0.01), None) for wanted in (before, after)
            ]
            if None not in found:
                first, second = logs[found[0]] - logs[size], logs[size] - logs[found[1]]  # type: ignore[index]
                ratios.append({"text": text, "tflop": size, "ratio": round(second / first, 3)})
    values = [row["ratio"] for row in ratios]
    return {"rows": ratios, "ratio": round(median(values), 3) if values else None}


def fit_ngram(points: Points) -> dict[str, Any]:
    """What an n-gram model keeps of its last gain when the text doubles again, by text and share."""
    falls: dict[str, dict[float, float]] = {}
    for point in points:
        if point["kind"] == "ngram":
            falls.setdefault(point["text"], {})[point["share"]] = math.log(point["half"] / point["full"])
    rows = [
        {
            "text": text,
            "share": share,
            "last": round(by_share[share / 2], 4),
            "next": round(by_share[share], 4),
        }
        for text, by_share in sorted(falls.items())
        for share in sorted(by_share)
        if share / 2 in by_share
    ]
    kept = [row["next"] / row["last"] for row in rows]
    middle = median(kept) if kept else None
    spread = math.sqrt(mean((value - middle) ** 2 for value in kept)) if middle is not None else None
    return {"rows": rows, "kept": middle and round(middle, 3), "spread": spread and round(spread, 3)}


def fit_repetition(rows: Points) -> float | None:
    """Rise of ln L for the squared logarithm of the passes beyond the free ones, by least squares."""
    pairs = [(math.log(max(row["passes"] / FREE_PASSES, 1.0)) ** 2, row["above full"]) for row in rows]
    weight = sum(x * x for x, _ in pairs)
    return round(sum(x * y for x, y in pairs) / weight, 4) if weight else None


def fit_network(points: Points) -> list[dict[str, Any]]:
    """Final loss of a network at equal computation on shares of a text, by passes over it."""
    rows = []
    for point in points:
        if point["kind"] == "grid" and point["tflop"] >= LEAST_TFLOP:
            whole = [
                other
                for other in points
                if other["kind"] == "grid" and other["share"] == 1.0
                and (other["text"], other["tflop"], other["seed"]) == (point["text"], point["tflop"], point["seed"])
            ]  # fmt: skip
            if whole and point["share"] < 1.0:
                best, full = (min(row["valid"] for row in each["curve"]) for each in (point, whole[0]))
                fall = round(math.log(best / full), 4)
                rows.append(
                    {
                        "text": point["text"],
                        "share": point["share"],
                        "passes": point["epochs"],
                        "above full": fall,
                    }
                )
    return sorted(rows, key=lambda row: (row["text"], row["passes"]))
