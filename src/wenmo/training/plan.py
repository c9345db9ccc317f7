"""The resolved numbers of one training run: nothing in the trainer is chosen, everything is given."""

from __future__ import annotations

from typing import Literal

from wenmo.config import Settings


class TrainingPlan(Settings):
    """What the trainer does, fully resolved (see `wenmo.config.TrainingSettings` for the meaning of most fields)."""

    optimizer: Literal["muon", "adamw", "sgd"]
    lr: float
    muon_lr: float
    weight_decay: float
    embedding_decay: float = 0.0
    embedding_tokens: int = 0
    """Tokens of the text whose neighbours the embedding begins with; 0 for random numbers."""
    schedule: Literal["wsd", "cosine", "constant"] = "wsd"
    warmup: float = 0.02
    decay: float = 0.6
    context: int
    """Tokens per row."""
    rows: int
    """Rows per optimiser step."""
    micro_rows: int
    """Rows per forward pass."""
    label_smoothing: float = 0.0
    softmax: Literal["full", "sampled"] = "full"
    clip: float = 1.0
    averaging: Literal["ema", "none"] = "ema"
    ema_share: float = 0.05
    seconds: float | None = None
    """Wall-clock limit of the training, evaluations included; ignored when `steps` is given."""
    steps: int | None = None
    """Optimiser steps; the run is then bitwise repeatable on a CPU."""
    evaluations: int = 12
    patience: int = 4
    valid_tokens: int
    """Held-out tokens scored at each evaluation."""
    checkpoint_seconds: float = 60.0
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    workers: int = 1
    """Workers that each back-propagate a part of a batch (CPU); 1 divides the operations instead."""
    worker_kind: Literal["threads", "processes"] = "threads"
    """What the workers are."""
    checkpoint_activations: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How several processes divide the model; nothing to one alone."""
    processes: int = 1
    """Processes that the plan was made for; it may be carried out by more or fewer."""
    seed: int = 0
