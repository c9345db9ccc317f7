"""Worlds of a few processes on this machine, and what they do in the tests; a world that hangs is ended."""

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from small_trainers import make_trainer

import wenmo.training.divided_muon
import wenmo.training.sharded  # noqa: F401 - slow to import, so that it is done once for all worlds
from wenmo.errors import LostProcessError
from wenmo.training import world as worlds

SECONDS = 240


def run_world(size: int, work: Callable[..., None], folder: Path, *arguments: Any) -> list[int]:
    """Runs `work(folder, *arguments)` in `size` processes and returns their exit codes."""
    context = multiprocessing.get_context("forkserver")
    # What is slow to import is imported once, by the process of which all are forks.
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    context.set_forkserver_preload(["worlds"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        context.Process(target=_enter, args=(rank, size, port, work, folder, arguments))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    limit = time.monotonic() + SECONDS
    for process in processes:
        process.join(max(limit - time.monotonic(), 0))
    hung = [process for process in processes if process.is_alive()]
    for process in hung:
        process.kill()
    assert not hung, f"{len(hung)} of {size} processes hang"
    return [process.exitcode for process in processes]


def _enter(
    rank: int, size: int, port: int, work: Callable[..., None], folder: Path, arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    work(folder, *arguments)
    worlds.leave()


def outcome(trainer: Any, folder: Path, name: str) -> None:
    """Trains, and keeps what came out: the curve and the model's weights."""
    given = trainer._parallel.__dict__.get("_given", trainer.model)
    result = trainer.run()
    rows = [[row.step, row.train_loss, row.valid_loss, row.valid_bpb] for row in result.curve]
    facts = {"stopped": result.stopped, "steps": result.steps, "tokens": result.tokens, "curve": rows}
    rank = trainer._world.rank
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{name}.{rank}.json").write_text(json.dumps(facts))
    np.savez(folder / f"{name}.{rank}.npz", *[p.detach().numpy() for p in given.parameters()])


def read(folder: Path, name: str, rank: int = 0) -> tuple[dict[str, Any], list[np.ndarray]]:
    facts = json.loads((folder / f"{name}.{rank}.json").read_text())
    with np.load(folder / f"{name}.{rank}.npz") as arrays:
        return facts, [arrays[key] for key in arrays.files]


def train_all(folder: Path, cases: dict[str, dict[str, Any]]) -> None:
    """Trains each case from the beginning, or on from its checkpoint."""
    world = worlds.join()
    for name, settings in cases.items():
        trainer = make_trainer(folder / name, world=world, **settings)
        if trainer.has_checkpoint:
            trainer.resume()
        outcome(trainer, folder, name)


def train_apart(folder: Path, cases: dict[str, dict[str, Any]]) -> None:
    """Trains each case from weights that are other ones in every process."""
    world = worlds.join()
    for name, settings in cases.items():
        outcome(make_trainer(folder / name, world=world, seed=7 + world.rank, **settings), folder, name)


def train_until(folder: Path, stops: dict[str, int], cases: dict[str, dict[str, Any]]) -> None:
    """Trains each case until its last process is asked to stop, after a step."""
    world = worlds.join()
    for name, settings in cases.items():
        trainer = make_trainer(folder / name, world=world, **settings)
        if trainer.has_checkpoint:
            trainer.resume()
        step = trainer._step

        def stepping(factor: float, trainer: Any = trainer, step: Any = step, name: str = name) -> None:
            step(factor)
            if trainer._progress.step == stops[name] and world.rank == world.size - 1:
                os.kill(os.getpid(), signal.SIGTERM)

        trainer._step = stepping
        outcome(trainer, folder, name)


def lose_one(folder: Path) -> None:
    """Kills the last process in the middle of training; the others tell what they see."""
    world = worlds.join()
    trainer = make_trainer(folder, world=world, steps=1000)
    step = trainer._step

    def stepping(factor: float) -> None:
        step(factor)
        if trainer._progress.step == 5 and world.rank == world.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer._step = stepping
    try:
        trainer.run()
    except LostProcessError as error:
        (folder / f"error.{world.rank}").write_text(str(error))
        os._exit(3)
