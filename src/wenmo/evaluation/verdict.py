"""What the learning curve says about overfitting, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wenmo.progress import duration

from .overfitting import (
    GAP,
    Overfitting,
    gap_of,
    gap_opening,
    measures_of,
    noise_of,
    onset,
    place,
    significant_rise,
)

Kind = Literal["unknown", "improving", "levelled", "gap", "overfitting", "unstable"]

EARLY_ONSET = 0.4
"""Overfitting that leaves this share of the time unused began early."""
GAIN = 0.01
"""A gain of this much over the last quarter of the time says that more time would help."""
FURTHER = 0.1
"""A test loss this much above the held-out loss that steered the training, as a share, is told."""
BUDGET_ADVICE = "A longer --budget would help."
"""What is said of a loss that was still falling."""


@dataclass(frozen=True)
class Verdict:
    """The state a training run ended in.

    Attributes:
        kind: `improving` (still falling), `levelled`, `gap` (levelled, but far better on the training text),
            `overfitting` (held-out loss rose while training loss fell), `unstable` (both rose), or `unknown`.
        sentence: What happened, which weights were kept, and what to do.
        facts: The same in numbers.
    """

    kind: Kind
    sentence: str
    facts: Overfitting


@dataclass(frozen=True)
class Course:
    """What a training did, as far as it bears on overfitting.

    Attributes:
        plan: `dropout`, `weight_decay`, `embedding_decay`, `averaging` and `patience`.
        stopped: Why it ended.
    """

    plan: Mapping[str, float | str | None]
    stopped: str | None


def overfitting_verdict(rows: Sequence[Mapping[str, float]], recipe: Course | None = None) -> Verdict:
    """Judges a learning curve.

    Args:
        rows: Evaluations in order, as in metrics.jsonl: `seconds`, `train_bpb` and `valid_bpb` (bits per byte), and
            `step` and `epochs` where they are known.
        recipe: What the training did; the sentence then tells it where it matters.
    """
    rows = [row for row in rows if math.isfinite(row["valid_bpb"]) and math.isfinite(row["train_bpb"])]
    kind = _kind(rows)
    began, opened = onset(rows) if kind == "overfitting" else None, gap_opening(rows)
    losses = [row["valid_bpb"] for row in rows]
    facts = Overfitting(
        kind=kind,
        began=None if began is None else place(began),
        gap_opened=None if opened is None else place(opened),
        gap=rows[-1]["valid_bpb"] - rows[-1]["train_bpb"] if rows else 0.0,
        rise=losses[-1] / min(losses) - 1.0 if rows else 0.0,
        noise=noise_of(losses),
        measures=[] if recipe is None else measures_of(recipe.plan, recipe.stopped),
    )
    return Verdict(kind, _sentence(kind, rows, facts, recipe), facts)


def _kind(rows: Sequence[Mapping[str, float]]) -> Kind:
    if len(rows) < 3:
        return "unknown"
    losses = [row["valid_bpb"] for row in rows]
    best = min(rows, key=lambda row: row["valid_bpb"])
    if onset(rows) is not None:
        return "overfitting"
    if (
        losses[-1] / min(losses) - 1.0 > significant_rise(losses)
        and rows[-1]["train_bpb"] >= best["train_bpb"]
    ):
        return "unstable"
    # A fall that two evaluations in a row did not carry further has come to its end. One over less than all of the text
    # has not, however flat: the learning rate went down.
    least = GAIN if rows[-1].get("epochs", 1.0) >= 1.0 else 0.0
    if _late_gain(rows) > least and min(losses) in losses[-2:]:
        return "improving"
    return "gap" if gap_of(rows[-1]) > GAP else "levelled"


def _sentence(
    kind: Kind, rows: Sequence[Mapping[str, float]], facts: Overfitting, recipe: Course | None
) -> str:
    if kind == "unknown":
        return "Fewer than three evaluations were made: too few to judge overfitting."
    best, last = min(rows, key=lambda row: row["valid_bpb"]), rows[-1]
    kept = (
        f"The weights of the best point, {best['valid_bpb']:.3f} bits per byte at "
        f"{duration(best['seconds'])}, were kept."
    )
    if kind == "overfitting":
        return (
            f"Overfitting began after {_where(best)}: since then the held-out loss rose by {facts.rise:.1%} while "
            f"the training loss went on falling{_since(rows, facts)}. {kept}{_measures(facts)} "
            f"{_remedy(rows, best, recipe)}"
        )
    if kind == "unstable":
        return (
            f"Training and held-out loss both rose after {duration(best['seconds'])}, the latter by {facts.rise:.1%}: "
            f"this is instability, not overfitting. {kept} Try a lower learning rate (--training.lr)."
        )
    if kind == "improving":
        return (
            f"No overfitting: the held-out loss was still falling, by {_late_gain(rows):.1%} over the last quarter "
            f"of the time, and ended at {last['valid_bpb']:.3f} bits per byte. {BUDGET_ADVICE}"
        )
    if kind == "gap":
        return (
            f"The held-out loss has levelled off{_since(rows, facts)}: the model knows its training text far better "
            f"than new text, but that has not hurt it yet. {kept}{_measures(facts)} More text would help most."
        )
    return (
        f"No overfitting: training and held-out loss have levelled off together. {kept} More time would gain "
        "little; a larger model might gain more."
    )


def further_text(steered: float | None, tested: float | None) -> str:
    """Says that the test text lies further from the training text than the one that steered; "" where it does not.

    Both are stretches of the same documents, but one may go on where the training text ends (the same chapter, the same
    people) and the other not. What a model learned by heart helps with the first alone.

    Args:
        steered: Lowest loss on the text that steered, bits per byte.
        tested: Loss of the same model, frozen, on the test text, bits per byte.
    """
    if steered is None or tested is None or tested <= steered * (1.0 + FURTHER):
        return ""
    return (
        f"On the test text it needs {tested:.3f} bits per byte, {tested / steered - 1.0:.0%} more than on the text "
        "that steered: the test text is further from what it learned, so judge it by that."
    )


def _where(row: Mapping[str, float]) -> str:
    """A point of the training in words: time, and step and passes where they are known."""
    details = [f"step {row['step']:,.0f}"] if row.get("step") else []
    details += [f"{row['epochs']:.1f} passes over the text"] if row.get("epochs") else []
    return duration(row["seconds"]) + (f" ({', '.join(details)})" if details else "")


def _measures(facts: Overfitting) -> str:
    return f" The recipe held against it with {', '.join(facts.measures[:-1])}." if facts.measures else ""


def _remedy(rows: Sequence[Mapping[str, float]], best: Mapping[str, float], recipe: Course | None) -> str:
    """What would help most: less capacity for what is learned early, more text for what is learned late."""
    unused = 1.0 - best["seconds"] / rows[-1]["seconds"]
    if unused < EARLY_ONSET:
        return "More text would help most; a smaller model or more dropout would help; more time would not."
    option = ""
    if recipe is not None:
        dropout = float(recipe.plan.get("dropout") or 0.0)
        option = f" (--model.dropout {min(dropout + 0.15, 0.5):g} instead of {dropout:g})"
    return (
        f"It began so early that {unused:.0%} of the time gained nothing: stronger dropout{option} or fewer parameters "
        "(--size) would help, and more text most of all; more time would not."
    )


def _since(rows: Sequence[Mapping[str, float]], facts: Overfitting) -> str:
    """Since when there is a gap between the two losses, and how large it has become; empty without a gap."""
    if facts.gap_opened is None:
        return ""
    return (
        f" (the gap opened at {duration(facts.gap_opened.seconds)} and grew to {facts.gap:.2f} bits per byte)"
    )


def _late_gain(rows: Sequence[Mapping[str, float]]) -> float:
    """By how much the held-out loss fell over the last quarter of the time, as a share."""
    start = rows[-1]["seconds"] * 0.75
    before = [row for row in rows[:-1] if row["seconds"] <= start] or list(rows[:1])
    return 1 - rows[-1]["valid_bpb"] / before[-1]["valid_bpb"]
