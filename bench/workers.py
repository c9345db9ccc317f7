"""How the cores of a CPU share the steps of a small network: by operations, by threads, by forked processes.

Each round measures every way once (the median of some steps: forward, backward, optimiser), the order turned round
every other time, and the ratios are taken within a round. The peer is PyTorch's own way, to divide each operation over
its threads. Threads and processes take the same steps, bit by bit (`tests/training/test_forked.py`).

    python bench/workers.py --rounds 7
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from _record import record, spread  # imports wenmo before PyTorch, as its command does
from wenmo.config import ModelSettings
from wenmo.doctor import usable_cores
from wenmo.models.registry import build_config, build_model
from wenmo.training.distributed import measure_speed
from wenmo.training.plan import TrainingPlan

VOCABULARY, CONTEXT = 4096, 128
SHAPES = ((2, 64, 8), (2, 64, 16), (3, 112, 8), (3, 112, 16))
"""Layers, width, and rows of a step."""
STEPS = 15


def plan(rows: int, workers: int, kind: str, precision: str) -> TrainingPlan:
    """One way to take steps."""
    return TrainingPlan.model_validate(
        {
            "optimizer": "muon", "lr": 4e-3, "muon_lr": 0.02, "weight_decay": 0.1, "context": CONTEXT, "rows": rows,
            "micro_rows": rows, "steps": 1, "valid_tokens": 1, "softmax": "sampled", "precision": precision,
            "workers": workers, "worker_kind": kind,
        }
    )  # fmt: skip


def main() -> None:
    """Measures all shapes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    cores = usable_cores()
    rows: list[dict[str, Any]] = []
    for layers, width, size in SHAPES:
        settings = ModelSettings(layers=layers, width=width, context=CONTEXT)
        model = build_model(build_config("mingru", vocab_size=VOCABULARY, settings=settings))
        ways = {
            "operations": plan(size, 1, "threads", options.precision),
            "threads": plan(size, cores, "threads", options.precision),
            "processes": plan(size, cores, "processes", options.precision),
        }
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(options.rounds):
            for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
                speeds[name].append(measure_speed(model, ways[name], steps=STEPS))
        line: dict[str, Any] = {"shape": f"minGRU {layers} x {width}", "tokens of a step": size * CONTEXT}
        line |= {f"{name}, tokens/s": round(median(found)) for name, found in speeds.items()}
        for name in ("threads", "operations"):
            ratios = [mine / peer for mine, peer in zip(speeds["processes"], speeds[name], strict=True)]
            line[f"processes / {name}"] = list(spread(ratios))
        print(line, flush=True)
        rows.append(line)
    record(
        "workers",
        claim="Processes with rows of their own train a small network faster than threads, and than divided "
        "operations.",
        packages=("torch",),
        rows=rows,
        verdict="; ".join(
            f"{row['shape']}, {row['tokens of a step']} tokens: {row['processes / threads'][1]:.2f} times threads, "
            f"{row['processes / operations'][1]:.2f} times divided operations"
            for row in rows
        ),
    )


if __name__ == "__main__":
    main()
