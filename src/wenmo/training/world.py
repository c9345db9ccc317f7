"""The processes that train one model together, as `torchrun` starts them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from wenmo.errors import LostProcessError, ResourceError

STEP_MINUTES = 30
"""Longest wait for the others inside a training step; who has not come by then is not coming."""
WAIT_DAYS = 30
"""Longest wait for what one process does for all: preparing text, scoring. `torchrun` notices when it dies."""
LOST = (
    "connection closed",
    "connection reset",
    "connection refused",
    "broken pipe",
    "timed out",
    "gloo",
    "nccl",
)
"""What messages of a failed exchange have in common."""


@dataclass(frozen=True)
class World:
    """The processes that train together; one alone is a world of its own, in which nothing is exchanged.

    Attributes:
        rank: Number of this process.
        size: Number of processes.
        local_rank: Number of this process on its machine, which is the number of its GPU.
        control: Group for what is told by CPU, whose waits may be long.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = field(default=None, compare=False, repr=False)

    @property
    def alone(self) -> bool:
        """Whether there is only this process."""
        return self.size == 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that prepares, writes, prints and scores."""
        return self.rank == 0

    def device(self, kind: str) -> torch.device:
        """Returns this process's device of a kind, `cpu` or `cuda`.

        Raises:
            ResourceError: When its machine has fewer GPUs than processes.
        """
        if kind != "cuda" or self.alone:
            return torch.device(kind)
        count = torch.cuda.device_count()
        if self.local_rank >= count:
            raise ResourceError(
                f"process {self.rank} has no GPU of its own: its machine has {count}; start as many with "
                f"--nproc-per-node {max(count, 1)}, or train with --training.device cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def tell(self, message: Any = None) -> Any:
        """Returns the leading process's message (JSON) on all of them."""
        if self.alone:
            return message
        data = json.dumps(message).encode("utf-8") if self.leads else b""
        size = torch.tensor([len(data)])
        dist.broadcast(size, 0, group=self.control)
        content = torch.empty(int(size), dtype=torch.uint8)
        if self.leads:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(content, 0, group=self.control)
        return json.loads(content.numpy().tobytes().decode("utf-8"))

    def lead(self, value: float) -> float:
        """Returns the leading process's number on all of them."""
        if self.alone:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(shared, 0, group=self.control)
        return float(shared)

    @torch.no_grad()
    def share(self, tensor: Tensor) -> None:
        """Overwrites a tensor of any shape and device with the leading process's, over the CPU."""
        if not self.alone:
            shared = tensor.cpu().contiguous()
            dist.broadcast(shared, 0, group=self.control)
            tensor.copy_(shared)

    def agree(self, seconds: float, due: bool, stop: bool) -> tuple[float, bool, bool]:
        """Makes one decision for all after a step, so that they take the same one next.

        Args:
            seconds: Time trained; the leading process's clock counts.
            due: Whether a checkpoint is due; the leading process's word counts.
            stop: Whether this process was asked to stop; any one's word counts.
        """
        if self.alone:
            return seconds, due, stop
        told = [seconds, float(due)] if self.leads else [0.0, 0.0]
        shared = torch.tensor([*told, float(stop)], dtype=torch.float64)
        dist.all_reduce(shared, group=self.control)
        time, save, stops = shared.tolist()
        return time, bool(save), bool(stops)

    def add(self, value: Tensor) -> Tensor:
        """Returns the sum of all processes' tensors, on their device."""
        if not self.alone:
            dist.all_reduce(value)
        return value

    def barrier(self) -> None:
        """Waits for all."""
        if not self.alone:
            dist.all_reduce(torch.zeros(1), group=self.control)

    def seed(self, seed: int, step: int) -> None:
        """Sets the random numbers of a step: other ones in each process, the same whenever the step is taken again.

        So a checkpoint need not hold every process's generator, and may be gone on with by more or fewer of them.
        """
        if not self.alone:
            words = np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(words[0]))


ALONE = World()
_world = ALONE


def processes() -> int:
    """Returns how many processes `torchrun` has started; 1 without it."""
    # Some clusters set WORLD_SIZE alone, for whoever wants to know.
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def restartable() -> bool:
    """Whether this process was started by `torchrun`, which starts it again when one of them is lost."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def join() -> World:
    """Returns the world of this process; under `torchrun`, once all have joined.

    Raises:
        LostProcessError: When one of them did not come.
    """
    global _world
    if processes() == 1 or not _world.alone:
        return _world
    gpus = torch.cuda.is_available()
    with watched(World(size=processes())):
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        timeout = timedelta(minutes=STEP_MINUTES)
        store, rank, size = next(rendezvous("env://", timeout=timeout))
        # torchrun may keep one store over restarts, in which the addresses of dead processes would still be found.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        own = dist.PrefixStore(f"wenmo/{attempt}", store)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=timeout)
        control = dist.new_group(backend="gloo", timeout=timedelta(days=WAIT_DAYS))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    _world = World(dist.get_rank(), dist.get_world_size(), local, control)
    if os.environ.get("OMP_NUM_THREADS", "1") == "1":  # what torchrun sets where nothing was set
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    return _world


def leave() -> None:
    """Ends the world of `join`; the process is alone again."""
    global _world
    if not _world.alone:
        dist.destroy_process_group()
        _world = ALONE


@contextmanager
def watched(world: World) -> Iterator[None]:
    """Says in a sentence that another process was lost, which shows as a failed exchange.

    Raises:
        LostProcessError: When an exchange failed.
    """
    try:
        yield
    except RuntimeError as error:
        if world.alone or not any(mark in str(error).lower() for mark in LOST):
            raise
        raise LostProcessError(
            "another process of this training was lost; the same command goes on from the last checkpoint "
            "(torchrun --max-restarts 3 does so by itself)"
        ) from error
