"""How all processes train one model: with `sharded.py`, the only place that knows of parallelism.

A model is written for one device. Here it is trained as it is (`Alone`), with a copy in every process whose gradients
are averaged (`Replicated`, by PyTorch's DistributedDataParallel), or with each process holding a slice of every
parameter, gradient and optimiser state (`sharded.Sharded`, by PyTorch's FSDP2: Zhao et al. 2023, https://arxiv.org/abs/2304.11277).
Activation checkpointing (Chen et al. 2016, https://arxiv.org/abs/1604.06174) is put on here too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from wenmo.models.base import NeuralLanguageModel
from wenmo.tokenization.stream import spread
from wenmo.training.batches import Batch
from wenmo.training.forked import ForkedBackward
from wenmo.training.hardware import median_step
from wenmo.training.heap import keep_freed_memory, return_freed_memory
from wenmo.training.held_out import HeldOutLoss
from wenmo.training.objective import computing, linear_cross_entropy
from wenmo.training.plan import TrainingPlan
from wenmo.training.sampled_softmax import frequent_tokens, sampled_cross_entropy
from wenmo.training.threaded import LossOf, ThreadedBackward, can_fork
from wenmo.training.world import ALONE, World

COUNTED_TOKENS = 100_000
"""Tokens of a text whose frequencies are enough to measure by."""
Hidden = Callable[..., tuple[Tensor, Any]]
"""`NeuralLanguageModel.hidden`, or what stands for it."""


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Returns the layers that are sliced, recomputed and compiled alone; none where they are not called as modules."""
    blocks = getattr(model, "blocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList) else []


def recompute(model: nn.Module, plan: TrainingPlan) -> None:
    """Lets layers forget what is inside of them, to be computed again in the backward pass, if the plan says so."""
    if plan.checkpoint_activations:
        for layer in layers_of(model):
            layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)


class Alone:
    """A model that one process trains.

    Args:
        model: The model, on its device.
        plan: The numbers of the training.

    Attributes:
        model: What is trained.
        device: Where.
        hidden: Stands for `model.hidden` in training.
    """

    _divided: ThreadedBackward | ForkedBackward | None = None

    def __init__(self, model: NeuralLanguageModel, plan: TrainingPlan) -> None:
        self.model = model
        self.device = model.device
        recompute(self.model, plan)
        if self.device.type == "cpu":
            keep_freed_memory(large=plan.workers <= 1)
        self.hidden: Hidden = torch.compile(model.hidden, dynamic=False) if plan.compile else model.hidden
        if plan.workers > 1:
            # A plan may be carried out on another machine than the one that it was made on; the steps are the same.
            forked = plan.worker_kind == "processes" and can_fork()
            divided = ForkedBackward if forked else ThreadedBackward
            self._divided = divided(model, plan.workers, plan.seed)

    def exchanging(self, last: bool) -> AbstractContextManager[Any]:
        """The context of a backward pass; gradients are exchanged in the last one of a step."""
        return nullcontext()

    def backward(self, loss_of: LossOf, batch: Batch, key: tuple[int, int]) -> Tensor:
        """Adds the gradient of a batch's loss to that of the parameters.

        Args:
            loss_of: Returns the share of the step's loss that a batch, or a part of it, has.
            batch: The batch.
            key: Step, and number of the batch in it.

        Returns:
            The loss, detached.
        """
        if self._divided is not None:
            return self._divided(loss_of, batch, key)
        loss = loss_of(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def clip(self, limit: float) -> Tensor:
        """Shortens the gradient to `limit` (0: as it is) and returns the norm that it had."""
        return torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit if limit else math.inf)

    def loss(self, held_out: HeldOutLoss) -> float:
        """Returns the held-out loss of the model, the same number in every process."""
        return held_out.loss(self.model)

    def finish(self) -> None:
        """Leaves the model that was given as it was, but for its weights."""
        for layer in layers_of(self.model):
            vars(layer).pop("forward", None)
        if self._divided is not None:
            self._divided.close()
        if self.device.type == "cpu":
            return_freed_memory()


class _HiddenModule(nn.Module):
    """A model whose forward pass is `hidden`, which is where DistributedDataParallel begins a step."""

    def __init__(self, model: NeuralLanguageModel, hidden: Hidden) -> None:
        super().__init__()
        self.model = model
        self._hidden = hidden
        # Tables that every process computes alike need not be sent about.
        self._ddp_params_and_buffers_to_ignore = [name for name, _ in self.named_buffers()]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """See `NeuralLanguageModel.hidden`."""
        return self._hidden(*inputs, **options)


class Replicated(Alone):
    """A model of which every process holds a copy; gradients are averaged while the backward pass still runs.

    The output layer is used outside of the wrapped pass, as a parameter; its gradient is averaged like all others,
    because averaging begins where a gradient is complete.
    """

    def __init__(self, model: NeuralLanguageModel, plan: TrainingPlan, world: World) -> None:
        # Threads with rows of their own, which one process may have begun with, would exchange nothing.
        super().__init__(model, plan.model_copy(update={"workers": 1}))
        self._world = world
        ids = [self.device.index] if self.device.type == "cuda" else None
        self._wrapped = DistributedDataParallel(
            _HiddenModule(model, self.hidden), device_ids=ids, gradient_as_bucket_view=True
        )
        self.hidden = self._wrapped

    def exchanging(self, last: bool) -> AbstractContextManager[Any]:
        """See `Alone.exchanging`."""
        return nullcontext() if last else self._wrapped.no_sync()

    def loss(self, held_out: HeldOutLoss) -> float:
        """See `Alone.loss`; the leading process scores."""
        return self._world.lead(held_out.loss(self.model) if self._world.leads else 0.0)


def parallelise(
    model: NeuralLanguageModel, plan: TrainingPlan, world: World, device: torch.device | None = None
) -> Alone:
    """Lets all processes train a model together.

    Args:
        model: The same model in every process.
        plan: The numbers of the training; `parallel` says how.
        world: The processes.
        device: Where slices of the model are to be trained; where the model is when not given.
    """
    if world.alone:
        return Alone(model, plan)
    if plan.parallel == "fsdp":
        from wenmo.training.sharded import Sharded  # takes seconds to import

        return Sharded(model, plan, world, device or model.device)
    return Replicated(model, plan, world)


def _rows_of(
    text: npt.NDArray[np.unsignedinteger[Any]] | None, rows: int, length: int, vocab_size: int
) -> Tensor:
    """Rows from all over a text, int64 (rows, length); at random where it is too short for them."""
    if text is None or len(text) < rows * length:
        return torch.randint(vocab_size, (rows, length))
    return torch.from_numpy(spread(text, rows * length, rows).astype(np.int64)).view(rows, length)


def measure_speed(
    model: NeuralLanguageModel,
    plan: TrainingPlan,
    world: World = ALONE,
    device: torch.device | None = None,
    steps: int = 3,
    text: npt.NDArray[np.unsignedinteger[Any]] | None = None,
) -> float:
    """Trains a throwaway model for a few steps in all processes; returns their tokens per second (median step).

    Args:
        model: The model; its weights change a little.
        plan: The numbers of the training.
        world: The processes that train together.
        device: Where this one trains; where the model is when None.
        steps: Steps that count.
        text: Token ids to take steps on. What a sampled softmax compares depends on how often tokens recur in a batch,
            so ids drawn at random, as without a text, show it slower than it is.
    """
    parallel = parallelise(model, plan, world, device)
    own = -(-plan.rows // world.size)
    rows = min(plan.micro_rows, own)
    ids = _rows_of(text, rows, plan.context + 1, model.vocab_size).to(parallel.device)
    batch = Batch(ids[:, :-1], ids[:, 1:], None)
    parts = max(1, own // rows)
    vocab_size = model.vocab_size
    frequent = None
    if plan.softmax == "sampled":
        counted = np.arange(vocab_size) if text is None else spread(text, COUNTED_TOKENS)
        frequent = frequent_tokens(counted, vocab_size)

    def loss_of(part: Batch) -> Tensor:
        with computing(parallel.device.type, plan.precision, plan.compile):
            hidden, _ = parallel.hidden(part.inputs, need_state=False)
        hidden = hidden.bfloat16() if plan.precision == "bf16" else hidden
        weight = parallel.model.output_weight
        if frequent is not None:
            return sampled_cross_entropy(hidden, weight, part.targets, frequent)
        return linear_cross_entropy(hidden, weight, part.targets)

    def backward() -> None:
        for number in range(1, parts + 1):
            with parallel.exchanging(last=number == parts):
                parallel.backward(loss_of, batch, (0, number))

    seconds = world.lead(median_step(parallel.model, plan, backward, steps, divided=not world.alone))
    if world.alone:
        parallel.finish()
    return plan.rows * plan.context / seconds
