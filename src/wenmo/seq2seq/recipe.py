"""From pairs and minutes to the shape of a model and the numbers of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from wenmo.seq2seq.base import Seq2SeqConfig, Seq2SeqModel
from wenmo.seq2seq.batches import PairBatches, TokenPairs
from wenmo.seq2seq.objective import pair_loss
from wenmo.seq2seq.plan import PairPlan
from wenmo.seq2seq.registry import build_model, parse_config
from wenmo.training.hardware import median_step

SHAPES = (
    (2, 64, 4, 128),
    (2, 96, 4, 192),
    (3, 128, 4, 256),
    (4, 192, 6, 384),
    (5, 256, 8, 512),
    (6, 512, 8, 1024),
)
"""Layers of each side, width, heads and feed-forward size of a Transformer, small to large."""
RECURRENT = ((1, 96), (1, 160), (2, 256), (2, 384), (2, 512), (2, 768))
"""Layers and hidden size of a recurrent model, small to large."""
PASSES = 6.0
"""The largest shape is taken that sees the pairs this often in the time."""
EFFICIENCY = {"transformer": 0.33, "lstm": 0.3, "gru": 0.25}
"""Share of the bare matrix-product rate that training reaches on an idle core."""
STEPS = 1500
"""Optimiser steps that a run should have."""
SMALLEST_BATCH, LARGEST_BATCH = 256, 2048
"""Tokens of a batch."""

Optimizer = Literal["muon", "adamw"]


def dropout_for(passes: float) -> float:
    """Dropout from the number of passes over the pairs: what is seen often is learned by heart."""
    return 0.1 if passes < 15 else 0.2 if passes < 40 else 0.3


def choose_config(
    architecture: str,
    vocab_size: int,
    train: TokenPairs,
    flops: float,
    seconds: float,
    fields: Mapping[str, Any],
) -> Seq2SeqConfig:
    """Chooses a shape.

    Args:
        architecture: Name in the registry.
        vocab_size: Number of tokens V.
        train: Training pairs.
        flops: Rate of bare matrix products, operations per second.
        seconds: Time for the training.
        fields: Fields of the configuration that are fixed.

    Returns:
        The largest shape that sees the pairs `PASSES` times, with dropout for the passes that it will see.
    """
    best: Seq2SeqConfig | None = None
    for shape in SHAPES if architecture == "transformer" else RECURRENT:
        data = {
            **_shape(architecture, shape),
            **fields,
            "architecture": architecture,
            "vocab_size": vocab_size,
        }
        config = parse_config(data)
        passes = passes_in(config, train, flops, seconds)
        if best is not None and passes < PASSES:
            break
        if "dropout" not in fields:
            amount = dropout_for(passes)
            inner = (
                {"attention_dropout": amount / 2, "ffn_dropout": amount / 2}
                if architecture == "transformer"
                else {}
            )
            config = parse_config({**inner, **data, "dropout": amount})
        best = config
    assert best is not None
    return best


def _shape(architecture: str, shape: tuple[int, ...]) -> dict[str, int]:
    if architecture == "transformer":
        layers, width, heads, ffn = shape
        sides = {"encoder_layers": layers, "decoder_layers": layers}
        return {
            **sides,
            "width": width,
            "heads": heads,
            "kv_heads": heads,
            "head_size": width // heads,
            "ffn": ffn,
        }
    return {"layers": shape[0], "hidden_size": shape[1], "embedding_size": shape[1]}


def measured_rate(
    architecture: str,
    vocab_size: int,
    train: TokenPairs,
    flops: float,
    seconds: float,
    fields: Mapping[str, Any],
    plan: PairPlan,
    device: str,
) -> float:
    """Corrects the rate of matrix products by what a few steps of a smaller model really take.

    A machine that is shared with others, or whose memory is slow, trains slower than its products say.

    Returns:
        The rate for which `passes_in` says what was measured.
    """
    config = choose_config(architecture, vocab_size, train, flops / 8, seconds, fields)
    timed = plan.model_copy(update={"steps": None, "seconds": seconds})
    cost = estimate(build_model(config).to(device), train, timed)
    return flops * cost.passes / passes_in(config, train, flops, seconds)


def shape_fields(
    architecture: str, layers: int | None, width: int | None, dropout: float | None
) -> dict[str, Any]:
    """Returns the fields of a configuration that these options fix; `auto` is a Transformer."""
    fields: dict[str, Any] = {}
    if architecture in ("auto", "transformer"):
        if layers is not None:
            fields |= {"encoder_layers": layers, "decoder_layers": layers}
        if width is not None:
            heads = max(1, width // 32)
            while width % heads or width // heads % 2:
                heads -= 1
            fields |= {
                "width": width,
                "heads": heads,
                "kv_heads": heads,
                "head_size": width // heads,
                "ffn": 2 * width,
            }
        if dropout is not None:
            fields |= {"dropout": dropout, "attention_dropout": dropout / 2, "ffn_dropout": dropout / 2}
        return fields
    if layers is not None:
        fields["layers"] = layers
    if width is not None:
        fields |= {"hidden_size": width, "embedding_size": width}
    return fields if dropout is None else fields | {"dropout": dropout}


def passes_in(config: Seq2SeqConfig, train: TokenPairs, flops: float, seconds: float) -> float:
    """Passes over the pairs that training makes in a time, by an estimate."""
    with torch.device("meta"):
        model = build_model(config)
    count = max(len(train), 1)
    pair = 3.0 * model.flops_per_pair(train.source_tokens / count, train.target_tokens / count)
    return flops * EFFICIENCY[str(getattr(config, "architecture", "transformer"))] * seconds / (pair * count)


def choose_batch(train: TokenPairs, passes: float) -> int:
    """Tokens of a batch: enough steps first, then the larger the better for the machine."""
    wanted = passes * max(train.target_tokens, train.source_tokens) / STEPS
    return int(min(max(wanted, SMALLEST_BATCH), LARGEST_BATCH))


@dataclass(frozen=True)
class Estimate:
    """What training will take.

    Attributes:
        step_seconds: Seconds of a step, the median of a few.
        passes: Passes over the pairs in the time that is given.
        memory: Bytes at most.
    """

    step_seconds: float
    passes: float
    memory: float


def estimate(model: Seq2SeqModel, train: TokenPairs, plan: PairPlan, steps: int = 3) -> Estimate:
    """Measures a few steps of a model that is thrown away afterwards.

    Args:
        model: A model of the shape; its weights change.
        train: Training pairs.
        plan: The numbers of the training.
        steps: Steps that are measured.
    """
    batches = PairBatches(train, plan.batch_tokens, plan.seed)

    def backward() -> None:
        pair_loss(model, batches.next().to(model.device), plan.label_smoothing).backward()  # type: ignore[no-untyped-call]

    step = median_step(model, plan, backward, steps) * (2.0 if plan.rdrop else 1.0)
    done = plan.steps if plan.steps is not None else (plan.seconds or 0.0) / step
    # Weights, gradients, two moments, the average and the best weights; about 40 vectors per layer and token.
    numbers = sum(p.numel() for p in model.parameters())
    layers = len(model.matrices()) / 4 + 2
    activations = 40.0 * layers * plan.batch_tokens * model.output_weight.shape[1]
    return Estimate(step, done / max(batches.batches, 1), 4.0 * (6.0 * numbers + activations) + 300e6)
