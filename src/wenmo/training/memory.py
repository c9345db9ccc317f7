"""Memory that a training needs, and what to do where there is less."""

from __future__ import annotations

from wenmo.config import TrainingSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.likelihood import SCORED_TOKENS
from wenmo.training.objective import chunk_rows
from wenmo.training.plan import TrainingPlan

KEPT, KEPT_FOR_A_THREAD = 256e6, 64e6
"""Bytes that stay with the process for code and what was freed, and on a CPU for each thread of
`training.threaded`, or the only one: it is what its heap is enlarged by. Measured by `bench/memory.py`."""
SCORING_VECTORS = 12.0
"""Vectors of the model's width that a layer holds for each token that is scored."""


def training_memory(model: NeuralLanguageModel, plan: TrainingPlan) -> float:
    """Estimates the bytes that training needs.

    Weights, gradients, two optimiser moments, the average and the best weights are six float32 numbers per
    parameter; activations are about 24 vectors of the model's width per layer and token for each forward pass.
    With activation checkpointing they are one vector per layer and token, and those of one layer. Slices of a model
    (`parallel` fsdp) divide the six numbers by the processes; the weights of a layer, and its gradients, are gathered
    one layer ahead. Each of several workers has logits of its own, and memory that the C library keeps for it; the
    held-out text is then scored in memory beside theirs. Processes beside the first have gradients of their own.
    """
    parameters = model.num_parameters()
    layers = getattr(model.config, "layers", 1)
    states = 4.0 * 6.0 * parameters
    if plan.parallel == "fsdp":
        outer = 2.0 * model.output_weight.numel()
        states = states / plan.processes + 4.0 * 2.0 * (2.0 * parameters / layers + outer)
    rows = min(plan.micro_rows, -(-plan.rows // plan.processes))
    vectors = layers + 24.0 if plan.checkpoint_activations else 24.0 * layers
    activations = 4.0 * vectors * model.output_weight.shape[1] * rows * plan.context
    logits = 3.0 * 4.0 * chunk_rows(model.device.type, model.vocab_size) * model.vocab_size
    scoring = 4.0 * SCORING_VECTORS * model.output_weight.shape[1] * SCORED_TOKENS
    threads = max(plan.workers, 1)
    if plan.worker_kind == "processes":
        states += 4.0 * parameters * (threads - 1)
    working = activations + scoring if threads > 1 else max(activations, scoring)
    heaps = threads * KEPT_FOR_A_THREAD if model.device.type == "cpu" else 0.0
    return states + working + threads * logits + KEPT + heaps


def fitted(
    model: NeuralLanguageModel, plan: TrainingPlan, settings: TrainingSettings, memory: float
) -> TrainingPlan:
    """Resolves `--training.parallel auto`: a copy of the model in every process, slices where a copy does not fit.

    Args:
        model: The model.
        plan: The plan so far.
        settings: What was asked for.
        memory: Bytes that are free for one process.
    """
    slices = settings.parallel == "fsdp"
    if settings.parallel == "auto" and plan.processes > 1:
        slices = training_memory(model, plan) > memory
    return plan.model_copy(update={"parallel": "fsdp" if slices else "ddp"})


def memory_advice(model: NeuralLanguageModel, plan: TrainingPlan, memory: float) -> str:
    """What to choose where a training does not fit into `memory` bytes."""
    advice = "choose a smaller --size or --training.micro-batch-tokens"
    recomputed = plan.model_copy(update={"checkpoint_activations": True})
    if model.architecture == "transformer" and training_memory(model, recomputed) < training_memory(
        model, plan
    ):
        fits = "fits" if training_memory(model, recomputed) <= memory else "needs less"
        advice += f"; with --training.checkpoint-activations it {fits}, and a step takes about a third longer"
    return advice
