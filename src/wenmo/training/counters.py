"""Where a training run stands, as its checkpoint keeps it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from wenmo.training.outcome import CurveRow


@dataclass
class Counters:
    """Where a run stands.

    Attributes:
        step: Optimiser steps taken.
        tokens: Tokens trained on.
        seconds: Training time, evaluations included.
        evaluation_seconds: Time to leave for the last evaluation.
        evaluated: Evaluations that were due so far.
        bad: Evaluations since the lowest held-out loss.
        best: Lowest held-out bits per byte.
        loss_sum: Sum of the training losses since the last evaluation.
        loss_count: Steps in that sum.
        curve: All evaluations.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    evaluated: int = 0
    bad: int = 0
    best: float = math.inf
    loss_sum: float = 0.0
    loss_count: int = 0
    curve: list[CurveRow] = field(default_factory=list)

    @property
    def train_loss(self) -> float:
        """Mean training loss since the last evaluation, nats per token."""
        return self.loss_sum / max(self.loss_count, 1)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        best = None if math.isinf(self.best) else self.best
        return {**vars(self), "best": best, "curve": [vars(row) for row in self.curve]}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Counters:
        """Counters of a saved state; other entries of it are left alone."""
        fields = {name: state[name] for name in vars(cls())}
        best = math.inf if fields["best"] is None else fields["best"]
        return cls(**{**fields, "best": best, "curve": [CurveRow(**row) for row in fields["curve"]]})

    def line(self, epochs: float) -> str:
        """One line for people."""
        rate = self.tokens / max(self.seconds, 1e-9)
        parts = [f"{rate:,.0f} tokens/s", f"epoch {epochs:.1f}"]
        if self.loss_count:
            parts.insert(0, f"loss {self.train_loss:.3f}")
        if self.curve:
            parts.append(f"held-out {self.curve[-1].valid_bpb:.3f} bits/byte")
        return "  ".join(parts)
