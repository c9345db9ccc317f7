"""What the learning curve says about overfitting, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wenmo.progress import duration

Kind = Literal["unknown", "improving", "levelled", "gap", "overfitting", "unstable"]

RISE = 0.005
"""A held-out loss this much above its best is a rise, not noise."""
GAIN = 0.01
"""A gain of this much over the last quarter of the time says that more time would help."""
BUDGET_ADVICE = "A longer --budget would help."
"""What is said of a loss that was still falling."""
GAP = 0.10
"""Training and held-out loss this far apart are a gap worth telling."""


@dataclass(frozen=True)
class Verdict:
    """The state a training run ended in.

    Attributes:
        kind: `improving` (still falling), `levelled`, `gap` (levelled, but far better on the training text),
            `overfitting` (held-out loss rose while training loss fell), `unstable` (both rose), or `unknown`.
        sentence: What happened, which weights were kept, and what to do.
    """

    kind: Kind
    sentence: str


def overfitting_verdict(rows: Sequence[Mapping[str, float]]) -> Verdict:
    """Judges a learning curve.

    Args:
        rows: Evaluations in order, as in metrics.jsonl: `seconds`, `train_bpb` and `valid_bpb` (bits per byte).
    """
    rows = [row for row in rows if math.isfinite(row["valid_bpb"]) and math.isfinite(row["train_bpb"])]
    if len(rows) < 3:
        return Verdict("unknown", "Fewer than three evaluations were made: too few to judge overfitting.")
    best = min(rows, key=lambda row: row["valid_bpb"])
    last = rows[-1]
    rise = last["valid_bpb"] / best["valid_bpb"] - 1
    gap = _gap(last)
    kept = (
        f"The weights of the best point, {best['valid_bpb']:.3f} bits per byte at "
        f"{duration(best['seconds'])}, were kept."
    )
    if rise > RISE and last["train_bpb"] < best["train_bpb"]:
        return Verdict(
            "overfitting",
            f"Overfitting began after {duration(best['seconds'])}: since then the held-out loss rose by "
            f"{rise:.1%} while the training loss went on falling{_since(rows)}. {kept} More text, a smaller "
            "model or more dropout would help; more time would not.",
        )
    if rise > RISE:
        return Verdict(
            "unstable",
            f"Training and held-out loss both rose after {duration(best['seconds'])}, the latter by {rise:.1%}: "
            f"this is instability, not overfitting. {kept} Try a lower learning rate (--training.lr).",
        )
    if _late_gain(rows) > GAIN:
        return Verdict(
            "improving",
            f"No overfitting: the held-out loss was still falling, by {_late_gain(rows):.1%} over the last quarter "
            f"of the time, and ended at {last['valid_bpb']:.3f} bits per byte. {BUDGET_ADVICE}",
        )
    if gap > GAP:
        return Verdict(
            "gap",
            f"The held-out loss has levelled off{_since(rows)}: the model knows its training text far better "
            f"than new text, but that has not hurt it yet. {kept} More text would help most.",
        )
    return Verdict(
        "levelled",
        f"No overfitting: training and held-out loss have levelled off together. {kept} More time would gain "
        "little; a larger model might gain more.",
    )


def _gap(row: Mapping[str, float]) -> float:
    """How far the training loss is below the held-out loss, as a share of the latter; below 0 with much dropout."""
    return 1 - row["train_bpb"] / row["valid_bpb"]


def _since(rows: Sequence[Mapping[str, float]]) -> str:
    """Since when there is a gap between the two losses, and how large it has become; empty without a gap."""
    if _gap(rows[-1]) <= GAP:
        return ""
    begin = len(rows) - 1
    while begin > 0 and _gap(rows[begin - 1]) > GAP:
        begin -= 1
    size = rows[-1]["valid_bpb"] - rows[-1]["train_bpb"]
    return f" (the gap opened at {duration(rows[begin]['seconds'])} and grew to {size:.2f} bits per byte)"


def _late_gain(rows: Sequence[Mapping[str, float]]) -> float:
    """By how much the held-out loss fell over the last quarter of the time, as a share."""
    start = rows[-1]["seconds"] * 0.75
    before = [row for row in rows[:-1] if row["seconds"] <= start] or list(rows[:1])
    return 1 - rows[-1]["valid_bpb"] / before[-1]["valid_bpb"]
