"""The resolved numbers of one training run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class PairPlan(BaseModel):
    """How an encoder-decoder model is optimised; every number is decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon for matrices and AdamW for the rest, or AdamW for all."""
    lr: float = 3e-3
    """Peak learning rate of AdamW."""
    muon_lr: float = 0.02
    """Peak learning rate of Muon."""
    weight_decay: float = 0.1
    """Decoupled weight decay of the matrices."""
    warmup: float = 0.05
    """Share of the training spent warming up."""
    decay: float = 0.6
    """Share of the training spent decaying to zero."""
    batch_tokens: int = 2048
    """Rows of a batch times its longest source or target."""
    label_smoothing: float = 0.1
    """Probability spread over the vocabulary (Szegedy et al. 2016)."""
    rdrop: float = 0.0
    """Weight of the divergence between two passes with different dropout (R-Drop: Liang et al. 2021); 0 passes once."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema_share: float = 0.05
    """Memory of the average of the weights, as a share of the steps so far."""
    seconds: float | None = None
    """Wall-clock time, evaluations included; None when steps decide."""
    steps: int | None = None
    """Optimiser steps; None when the time decides."""
    evaluations: int = 16
    """How often the model is scored during training."""
    patience: int = 6
    """Evaluations without a better score before training stops early."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints."""
    seed: int = 0
    """Seed of order and dropout."""
