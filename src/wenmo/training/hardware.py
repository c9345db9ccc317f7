"""What the machine can do: its speed, its memory, its device, measured before anything is decided."""

from __future__ import annotations

import math
import os
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import torch

from wenmo.errors import OptionError
from wenmo.training.optimisation import Optimisable, build_optimizers
from wenmo.training.plan import TrainingPlan
from wenmo.training.threaded import MOST_THREADS, can_fork

LEAST_GAIN = 1.05
"""How much faster a step must be with bfloat16, or with all cores inside of each operation, to choose it."""
TRIAL_STEPS = 8
"""Steps that trying the alternatives takes."""


@dataclass(frozen=True)
class Machine:
    """What this machine can do, measured in a second.

    Attributes:
        device: `cpu` or `cuda`.
        flops: Multiply-adds counted twice per second in float32 matrix products of a small model's shape.
        bf16_ratio: Speed of bfloat16 products relative to float32.
        processes: How many processes train together, each at `flops` / `processes`.
    """

    device: str
    flops: float
    bf16_ratio: float
    processes: int = 1

    def shared(self, processes: int) -> Machine:
        """What several processes have that each measured the same."""
        return replace(self, flops=self.flops * processes, processes=processes)


def measure_machine(device: str, seconds: float = 0.25) -> Machine:
    """Times matrix products on a device: of a small model's shape on a CPU, of a batch's on a GPU.

    A GPU is asked for products that are long beside the time to start them; small ones would all seem equally fast,
    whatever their number format.
    """
    rows, inner, columns, repeats = (8192, 1024, 4096, 4) if device == "cuda" else (512, 256, 1024, 1)

    def rate(dtype: torch.dtype) -> float:
        a = torch.randn(rows, inner, device=device, dtype=dtype)
        b = torch.randn(inner, columns, device=device, dtype=dtype)
        times: list[float] = []
        started = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - started < seconds:
            begin = time.perf_counter()
            for _ in range(repeats):
                a @ b
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
        return 2.0 * rows * inner * columns * repeats / statistics.median(times[1:])

    fp32, bf16 = rate(torch.float32), rate(torch.bfloat16)
    return Machine(device, fp32, bf16 / fp32)


def choose_device(wanted: str) -> str:
    """Resolves `auto`, and refuses a device that is not there.

    Raises:
        OptionError: When CUDA was asked for and cannot be used.
    """
    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted == "cuda" and not available:
        raise OptionError(
            "--training.device cuda: no CUDA GPU can be used here; leave it out to train on the CPU"
        )
    return wanted


def available_memory(device: str) -> float:
    """Free memory in bytes of a device (`cpu`: of the machine)."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(float(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def resident_memory(device: str) -> float:
    """Memory in bytes of a device that this process holds (`cpu`: of the machine)."""
    if device == "cuda":
        return float(torch.cuda.memory_reserved())
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return float(pages) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(most) * (1.0 if sys.platform == "darwin" else 1024.0)


def time_for_trials(plan: TrainingPlan, speed: float, seconds: float) -> bool:
    """Whether the few steps that measure another plan are at most a fiftieth of the training time.

    Args:
        plan: The plan.
        speed: Its tokens per second.
        seconds: Training time.
    """
    return TRIAL_STEPS * plan.rows * plan.context / speed <= seconds / 50.0


def choose_execution(
    plan: TrainingPlan,
    measure: Callable[[TrainingPlan], float],
    *,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    workers: int | None = None,
    worker_kind: Literal["auto", "threads", "processes"] = "auto",
    seconds: float = math.inf,
) -> tuple[TrainingPlan, float]:
    """Chooses by timing what does not change the model: the number format, and how a CPU's cores share the work.

    Args:
        plan: One process on a CPU; its precision is bf16 where products are faster in it.
        measure: Returns the tokens per second of a plan.
        precision: What the user asked for.
        workers: What the user asked for; free when None.
        worker_kind: What the user asked for.
        seconds: Training time. Where a few steps are more than a fiftieth of it, nothing is tried.

    Returns:
        The fastest plan, and its speed in tokens per second.

    Raises:
        OptionError: When processes are asked for where none can be forked.
    """
    if worker_kind == "processes" and not can_fork():
        raise OptionError(
            "--training.worker-kind processes: no process that trains can be forked here (that takes Linux, and no "
            "GPU that PyTorch can use); leave it out for threads"
        )
    threads = min(torch.get_num_threads(), MOST_THREADS, plan.micro_rows)
    free = workers is None and threads > 1 and not plan.compile and not plan.checkpoint_activations
    plan = plan.model_copy(
        update={
            "workers": min(workers or (threads if free else 1), plan.micro_rows),
            "worker_kind": "processes" if worker_kind == "processes" else "threads",
        }
    )
    best, speed = plan, measure(plan)
    if not time_for_trials(plan, speed, seconds):
        return best, speed
    # Threads with rows of their own are kept in doubt: they suffer less when the machine gets busy. So is float32.
    changes: list[tuple[str, str | int, float]] = []
    if worker_kind == "auto" and plan.workers > 1 and can_fork():
        changes.append(("worker_kind", "processes", LEAST_GAIN))
    if free:
        changes.append(("workers", 1, LEAST_GAIN))
    if precision == "auto" and plan.precision == "bf16":
        changes.append(("precision", "fp32", 1.0 / LEAST_GAIN))
    for name, value, margin in changes:
        other = best.model_copy(update={name: value})
        found = measure(other)
        if found > speed * margin:
            best, speed = other, found
    return best, speed


class Rates(Protocol):
    """What a measured step needs of a plan."""

    @property
    def optimizer(self) -> Literal["muon", "adamw", "sgd"]:
        """Which optimiser takes the steps."""

    @property
    def lr(self) -> float:
        """Peak learning rate."""

    @property
    def muon_lr(self) -> float:
        """Peak learning rate of Muon."""


class Trainable(Optimisable, Protocol):
    """A model that a measured step can be taken with."""

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""

    def train(self, mode: bool = True) -> object:
        """Switches to training mode."""


def median_step(
    model: Trainable, plan: Rates, backward: Callable[[], None], steps: int = 3, divided: bool = False
) -> float:
    """Takes a few optimiser steps with a throwaway model and returns the seconds of the median one.

    Args:
        model: The model; its weights change a little.
        plan: The optimiser and its rates, of which a thousandth is used.
        backward: Back-propagates the loss of one batch.
        steps: Steps that count; one more is taken first.
        divided: Whether all processes of the world take them together.
    """
    optimizers = build_optimizers(
        model, plan.optimizer, lr=plan.lr * 1e-3, muon_lr=plan.muon_lr * 1e-3, weight_decay=0.0,
        low_precision=getattr(plan, "precision", "fp32") == "bf16", divided=divided,
        threads=getattr(plan, "workers", 1),
    )  # fmt: skip
    times: list[float] = []
    model.train()
    for _ in range(steps + 1):
        started = time.perf_counter()
        backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def compiler(device: str) -> str | None:
    """Path of the compiler that torch.compile calls: for C on CUDA, for C++ on a CPU; None where there is none."""
    variable, names = (
        ("CC", ("gcc", "clang", "cc")) if device == "cuda" else ("CXX", ("g++", "clang++", "c++"))
    )
    wanted = os.environ.get(variable)
    return next((path for name in ((wanted,) if wanted else names) if (path := shutil.which(name))), None)
