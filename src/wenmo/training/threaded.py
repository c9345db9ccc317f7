"""Training on a CPU by threads that each take a part of the batch.

A small model's operations last microseconds. Dividing each of them over the cores costs nearly as much as it saves,
and on a machine that others use too, every operation ends with the slower core. Here every thread computes the
gradient of its own rows, one operation at a time, and they meet once a step (docs/lab.md, 2026-11-25).
"""

from __future__ import annotations

import ctypes
import os
import platform
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
MOST_THREADS = 8
"""More threads wait for Python's lock more than they compute."""
_MALLOPT = {
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 64 << 20),
    "M_MMAP_THRESHOLD": (-3, 32 << 20),
}


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
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._threads = threads
        self._seed = seed
        inside = max(1, torch.get_num_threads() // threads)
        return_freed_memory()
        self._pool = ThreadPoolExecutor(threads, "training", lambda: torch.set_num_threads(inside))
        keep_freed_memory()

    def __call__(self, loss_of: LossOf, batch: Batch, key: tuple[int, int]) -> Tensor:
        """Adds the gradient of a batch to that of the parameters and returns its loss, detached.

        Args:
            loss_of: See `LossOf`.
            batch: What is divided by rows.
            key: Tells this call apart from all others (step, number of the batch), which seeds the dropout.
        """
        parts = batch.split(-(-len(batch.inputs) // self._threads))
        seeds = np.random.SeedSequence([self._seed, *key]).generate_state(len(parts), np.uint64)

        def work(part: Batch, seed: np.uint64) -> tuple[Tensor, tuple[Tensor | None, ...]]:
            generator = torch.Generator().manual_seed(int(seed >> np.uint64(1)))
            with dropout_from(generator):
                loss = loss_of(part)
            return loss.detach(), torch.autograd.grad(loss, self._parameters, allow_unused=True)

        done = list(self._pool.map(work, parts, seeds))
        for _, gradients in done:
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        return torch.stack([loss for loss, _ in done]).sum()

    def close(self) -> None:
        """Ends the threads and gives back what they kept."""
        self._pool.shutdown()
        return_freed_memory()


def keep_freed_memory() -> None:
    """Lets the C library keep memory that was freed, instead of giving it back and asking for it at every operation.

    Giving it back makes all threads of the process wait, which undid what the second thread gained. It applies to
    glibc; settings of the user's (`MALLOC_...`) are kept.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    library = ctypes.CDLL(None)
    for option, value in _MALLOPT.values():
        library.mallopt(option, value)


def return_freed_memory() -> None:
    """Gives memory that was freed back to the system: what earlier work left between its blocks would stay resident.

    It applies to glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
