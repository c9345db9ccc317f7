"""Training on a CPU by threads that each take a part of the batch.

A small model's operations last microseconds. Dividing each of them over the cores costs nearly as much as it saves,
and on a machine that others use too, every operation ends with the slower core. Here every thread computes the
gradient of its own rows, one operation at a time, and they meet once a step (docs/lab.md, 2026-11-25).
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from wenmo.models.base import NeuralLanguageModel
from wenmo.models.dropout import dropout_from
from wenmo.training.batches import Batch

LossOf = Callable[[Batch], Tensor]
"""The share of a step's loss that a part of its batch has; differentiable."""
Gradients = tuple[Tensor | None, ...]
MOST_THREADS = 8
"""More threads wait for Python's lock more than they compute."""


class ThreadedBackward:
    """Back-propagates the parts of a batch side by side.

    The parts, their dropout and the order in which their gradients are added depend on the number of threads alone,
    so that training is bitwise repeatable.

    Args:
        model: What is trained.
        threads: Number of threads.
        seed: Seed of the dropout.
    """

    def __init__(self, model: NeuralLanguageModel, threads: int, seed: int) -> None:
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._threads = threads
        self._seed = seed
        inside = max(1, torch.get_num_threads() // threads)
        self._pool = ThreadPoolExecutor(threads, "training", lambda: torch.set_num_threads(inside))

    def __call__(self, loss_of: LossOf, batch: Batch, key: tuple[int, int]) -> Tensor:
        """Adds the gradient of a batch to that of the parameters and returns its loss, detached.

        Args:
            loss_of: See `LossOf`.
            batch: What is divided by rows.
            key: Tells this call apart from all others (step, number of the batch), which seeds the dropout.
        """
        parts = batch.split(rows_of_each(batch, self._threads))
        seeds = part_seeds(self._seed, key, len(parts))

        def work(part: Batch, seed: int) -> tuple[Tensor, Gradients]:
            return run_part(loss_of, part, seed, self._parameters)

        done = list(self._pool.map(work, parts, seeds))
        for _, gradients in done:
            add_gradients(self._parameters, gradients)
        return torch.stack([loss for loss, _ in done]).sum()

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()


def rows_of_each(batch: Batch, workers: int) -> int:
    """Rows of a batch that each worker takes; the last one may have fewer."""
    return -(-len(batch.inputs) // workers)


def part_seeds(seed: int, key: tuple[int, int], parts: int) -> list[int]:
    """Seeds of the dropout of each part of a batch."""
    words = np.random.SeedSequence([seed, *key]).generate_state(parts, np.uint64)
    return [int(word >> np.uint64(1)) for word in words]


def run_part(loss_of: LossOf, part: Batch, seed: int, parameters: list[Tensor]) -> tuple[Tensor, Gradients]:
    """Loss of a part of a batch, detached, and its gradient for each parameter; None for those it does not touch."""
    with dropout_from(torch.Generator().manual_seed(seed)):
        loss = loss_of(part)
    return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)


def add_gradients(parameters: list[Tensor], gradients: Gradients) -> None:
    """Adds the gradients of a part, one for each parameter, to those that the parameters have."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)


def can_fork() -> bool:
    """Whether processes can be forked here that train.

    On Linux: elsewhere the system's libraries forbid it. Not where the engine of the gradients has threads for a GPU,
    nor from a process that may have no children.
    """
    childless = multiprocessing.current_process().daemon
    return sys.platform == "linux" and not childless and not torch.cuda.is_available()
