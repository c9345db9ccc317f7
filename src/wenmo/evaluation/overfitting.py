"""When overfitting began, by a stated rule that takes the noise of the evaluations into account."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

RISE = 0.005
"""A held-out loss this much above its best is a rise, if the noise is not larger."""
NOISE_WIDTH = 3.0
"""A rise must exceed the noise of one evaluation this many times: twice for a difference of two, and a half again."""
FEWEST_BENDS = 4
"""With fewer second differences the noise cannot be told from the steep beginning."""
GAP = 0.10
"""Training and held-out loss this far apart, as a share of the latter, are a gap worth telling."""


class Place(BaseModel):
    """A point of a training."""

    model_config = ConfigDict(frozen=True)

    step: int
    """Optimiser steps until then."""
    seconds: float
    """Seconds of training until then."""
    epochs: float
    """Passes over the text until then."""


class Overfitting(BaseModel):
    """What a learning curve shows about overfitting."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """`improving`, `levelled`, `gap`, `overfitting`, `unstable` or `unknown`."""
    began: Place | None
    """The evaluation with the lowest held-out loss, where the loss rose beyond the noise after it while the training
    loss fell; None where it did not."""
    gap_opened: Place | None
    """From this evaluation on the training loss was more than a tenth below the held-out loss; None without a gap."""
    gap: float
    """Held-out loss less training loss at the end, bits per byte; below 0 where dropout makes training harder."""
    rise: float
    """By how much the held-out loss ended above its best, as a share."""
    noise: float
    """Standard deviation of the held-out loss from one evaluation to the next, as a share, estimated from the curve."""
    measures: list[str]
    """What the recipe did against it."""


def noise_of(losses: Sequence[float]) -> float:
    """Standard deviation of ln L of one evaluation, from the bends of the curve; 0 with few points.

    A smooth curve has small second differences; those of independent noise have a variance of six times its own. The
    median is not moved by the steep beginning.
    """
    logs = [math.log(loss) for loss in losses]
    bends = sorted(abs(a - 2.0 * b + c) for a, b, c in zip(logs, logs[1:], logs[2:], strict=False))
    if len(bends) < FEWEST_BENDS:
        return 0.0
    middle = len(bends) // 2
    median = bends[middle] if len(bends) % 2 else (bends[middle - 1] + bends[middle]) / 2.0
    return median / 0.6745 / math.sqrt(6.0)


def significant_rise(losses: Sequence[float]) -> float:
    """Least rise over the best loss, as a share, that is not noise."""
    return max(RISE, NOISE_WIDTH * noise_of(losses))


def onset(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """The evaluation at which overfitting began: the best one, if the loss later rose while the training loss fell.

    The rise is the mean of all later evaluations or the last one, whichever is larger, and must exceed the noise.
    """
    if len(rows) < 3:
        return None
    losses = [row["valid_bpb"] for row in rows]
    best = min(range(len(rows)), key=lambda index: losses[index])
    later = losses[best + 1 :]
    if not later or rows[-1]["train_bpb"] >= rows[best]["train_bpb"]:
        return None
    rise = max(sum(later) / len(later), later[-1]) / losses[best] - 1.0
    return rows[best] if rise > significant_rise(losses) else None


def gap_of(row: Mapping[str, float]) -> float:
    """How far the training loss is below the held-out loss, as a share of the latter; below 0 with much dropout."""
    return 1.0 - row["train_bpb"] / row["valid_bpb"]


def gap_opening(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """The evaluation from which on there is a gap; None when there is none at the end."""
    if not rows or gap_of(rows[-1]) <= GAP:
        return None
    begin = len(rows) - 1
    while begin > 0 and gap_of(rows[begin - 1]) > GAP:
        begin -= 1
    return rows[begin]


def place(row: Mapping[str, float]) -> Place:
    """The point of an evaluation."""
    return Place(step=int(row.get("step", 0)), seconds=row["seconds"], epochs=row.get("epochs", 0.0))


def measures_of(plan: Mapping[str, float | str | None], stopped: str | None) -> list[str]:
    """What a recipe did against overfitting, in words.

    Args:
        plan: `dropout`, `weight_decay`, `embedding_decay` and `averaging` of the training, and `patience`.
        stopped: Why it ended.
    """
    dropout, decay = plan.get("dropout") or 0.0, plan.get("weight_decay") or 0.0
    found = [f"dropout {dropout:g}" if dropout else "no dropout", f"weight decay {float(decay):.2g}"]
    if tables := plan.get("embedding_decay"):
        found.append(f"decay {float(tables):.2g} of the embedding")
    if plan.get("averaging") == "ema":
        found.append("an average of the weights")
    if stopped == "early":
        found.append(f"an end after {plan.get('patience')} evaluations without a gain")
    return [*found, "the weights of the best evaluation kept"]
