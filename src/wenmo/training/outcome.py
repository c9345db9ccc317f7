"""What a training run leaves behind: its curve, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stopped = Literal["budget", "steps", "early", "target", "interrupted"]


@dataclass
class CurveRow:
    """One evaluation: what stands in a line of metrics.jsonl.

    Attributes:
        step: Optimiser steps so far.
        seconds: Training time so far, evaluations included.
        tokens: Tokens trained on so far.
        epochs: Passes over the training text so far.
        train_loss: Mean training loss since the last row, nats per token (with dropout and smoothing as trained).
        valid_loss: Held-out loss of the evaluated weights, nats per token.
        train_bpb: `train_loss` as bits per byte of the training text.
        valid_bpb: `valid_loss` as bits per byte of the held-out text.
        lr: Share of the peak learning rate.
    """

    step: int
    seconds: float
    tokens: int
    epochs: float
    train_loss: float
    valid_loss: float
    train_bpb: float
    valid_bpb: float
    lr: float


@dataclass
class TrainingOutcome:
    """How a run ended. The model holds the best weights.

    Attributes:
        stopped: `budget`, `steps`, `early` (held-out loss no longer fell), `target` (low enough) or `interrupted`.
        steps: Optimiser steps taken.
        seconds: Training time, evaluations included, over all resumed parts.
        tokens: Tokens trained on.
        epochs: Passes over the training text.
        best_bpb: Held-out bits per byte of the best weights.
        curve: All evaluations.
    """

    stopped: Stopped
    steps: int
    seconds: float
    tokens: int
    epochs: float
    best_bpb: float
    curve: list[CurveRow]
