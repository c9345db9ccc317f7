"""Training in 1, 2 and 4 processes: is the result one process's, and what do dividing and exchanging cost?

Every row trains the same Transformer on the same batches, on this machine's cores and without a GPU, so
what is compared is processor time: all processes' seconds for a thousand tokens. Memory is the most private memory
(RssAnon) that a process held during training beyond what it held before the model was there. A second table reads
batches of texts of growing size and shows the memory that this takes.

    python bench/scale.py --processes 1 2 4
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _record import record
from wenmo.config import ModelSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model
from wenmo.training import divided_muon, sharded  # noqa: F401 - slow to import
from wenmo.training.batches import PackedBatches
from wenmo.training.plan import TrainingPlan
from wenmo.training.trainer import Trainer
from wenmo.training.world import join, leave

VOCAB, WIDTH, LAYERS, CONTEXT, ROWS = 4096, 256, 6, 128, 8


def held() -> int:
    """Private memory of this process, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def work(rank: int, processes: int, port: int, case: dict[str, Any], folder: Path) -> None:
    """The part of one process: trains and writes what it took."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    class Text:
        """Tokens in which every second one follows from the one before."""

        def __init__(self, seed: int, tokens: int) -> None:
            generator = np.random.default_rng(seed)
            firsts = generator.integers(1, VOCAB, tokens // 2)
            self.ids = np.stack([firsts, firsts * 7 % VOCAB], 1).ravel().astype(np.uint16)
            self.offsets = np.arange(0, tokens + 1, 512, dtype=np.int64)

    world = join()
    torch.set_num_threads(1)
    plan = TrainingPlan(
        lr=3e-3, muon_lr=0.02, weight_decay=0.1, context=CONTEXT, rows=ROWS, micro_rows=ROWS, evaluations=1,
        valid_tokens=2048, processes=world.size, **case,
    )  # fmt: skip
    settings = ModelSettings(layers=LAYERS, width=WIDTH, heads=4, context=CONTEXT, dropout=0.0)
    before = held()
    torch.manual_seed(0)
    model = build_model(build_config("transformer", vocab_size=VOCAB, settings=settings, parameters=None))
    assert isinstance(model, NeuralLanguageModel)
    trainer = Trainer(
        model, Text(0, 1 << 18), Text(1, 1 << 13), plan, byte_lengths=np.ones(VOCAB, np.int64), eos_id=0,
        directory=folder, show_progress=False, world=world,
    )  # fmt: skip
    step, most, seconds = trainer._step, 0, 0.0

    def measured(factor: float) -> None:
        nonlocal most, seconds
        started = time.process_time()
        step(factor)
        if trainer._progress.step > 1:  # the first one allocates
            seconds += time.process_time() - started
        most = max(most, held() - before)

    trainer._step = measured  # type: ignore[method-assign]
    outcome = trainer.run()
    facts = {
        "parameters": model.num_parameters(),
        "seconds": seconds,
        "memory": most,
        "train_loss": outcome.curve[-1].train_loss,
        "valid_loss": outcome.curve[-1].valid_loss,
    }
    (folder / f"{world.rank}.json").write_text(json.dumps(facts))
    leave()


def trained(processes: int, parallel: str, recompute: bool, steps: int, optimizer: str) -> dict[str, Any]:
    """Trains once and returns a row."""
    case = {"parallel": parallel, "checkpoint_activations": recompute, "steps": steps, "optimizer": optimizer}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        # Forks of this process, which has imported everything and computed nothing.
        context = multiprocessing.get_context("fork")
        workers = [
            context.Process(target=work, args=(rank, processes, port, case, Path(name)))
            for rank in range(processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise SystemExit(f"{processes} processes, {parallel}: a process failed")
        facts = [json.loads((Path(name) / f"{rank}.json").read_text()) for rank in range(processes)]
    tokens = (steps - 1) * ROWS * CONTEXT
    return {
        "processes": processes,
        "parallel": parallel if processes > 1 else "",
        "activations": "computed again" if recompute else "kept",
        "parameters": facts[0]["parameters"],
        "processor s per 1,000 tokens": sum(fact["seconds"] for fact in facts) / tokens * 1000,
        "MB per process": max(fact["memory"] for fact in facts) / 1e6,
        "training nats": facts[0]["train_loss"],
        "held-out nats": facts[0]["valid_loss"],
    }


def streamed(gigabytes: float) -> dict[str, Any]:
    """Reads batches of a text of this size, in documents of 1,000 tokens, and returns a row."""
    tokens = int(gigabytes * 5e8)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "ids.bin"
        with path.open("wb") as file:
            file.truncate(2 * tokens)  # with holes: only their places matter
        ids = np.memmap(path, np.uint16, "r")
        offsets = np.append(np.arange(0, tokens, 1000, dtype=np.int64), tokens)
        before, started = held(), time.process_time()
        batches = PackedBatches(ids, offsets, context=1024, rows=16, seed=0)
        ready = time.process_time() - started
        started = time.process_time()
        for _ in range(200):
            batches.next()
        return {
            "text, GB of tokens": gigabytes,
            "documents": len(offsets) - 1,
            "private MB": (held() - before) / 1e6,
            "s to order an epoch": ready,
            "million tokens read per processor s": 200 * 16 * 1024 / (time.process_time() - started) / 1e6,
        }


def main() -> None:
    """Runs all rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.01, 0.1, 1.0, 10.0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--optimizer", default="muon")
    parser.add_argument("--recompute", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = [(1, "ddp", False), (1, "ddp", True)]
    cases += [(n, kind, False) for n in options.processes if n > 1 for kind in ("ddp", "fsdp")]
    cases += [(max(options.processes), "fsdp", True)]
    rows: list[dict[str, Any]] = []
    for case in cases:
        row = trained(*case, options.steps, options.optimizer)
        one = rows[0] if rows else row
        row["time beside one"] = row["processor s per 1,000 tokens"] / one["processor s per 1,000 tokens"]
        row["nats beside one"] = max(
            abs(row[name] - one[name]) for name in ("training nats", "held-out nats")
        )
        rows.append(row)
        print(row, flush=True)
    texts = [streamed(size) for size in options.gigabytes]
    furthest = max(row["nats beside one"] for row in rows)
    dearest = max(row["time beside one"] for row in rows if row["activations"] == "kept")
    record(
        "scale",
        claim="Any number of processes trains what one does, and memory does not grow with the text.",
        rows=rows,
        model=f"Transformer, {LAYERS} layers of {WIDTH}, {VOCAB} tokens; {ROWS} rows of {CONTEXT} tokens a step",
        optimizer=options.optimizer,
        reading=texts,
        verdict=f"Training and held-out loss within {furthest:.1e} nats of one process; dividing costs at most "
        f"{dearest - 1:.0%} more processor time on these cores; {texts[-1]['private MB']:.0f} MB to read "
        f"{texts[-1]['text, GB of tokens']:g} GB of tokens.",
    )


if __name__ == "__main__":
    main()
