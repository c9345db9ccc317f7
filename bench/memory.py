"""Does the memory of a training grow with its steps, and does the estimate tell how much it is?

Each row is a training as users start it, in a process of its own, whose resident memory is read every fifth of a second
from the moment the shape is decided to the end of the steps. The estimate is the one the run prints before it starts.
Beside ours in two threads: the same with the settings of malloc left as they come, and one thread at a time
whose operations PyTorch divides over the cores. These two train for the fewer steps.

    python bench/memory.py shared/data/lm/ptb/ptb.train.txt
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _record import record

STEPS = (30, 300)
SHAPES = {
    "2 x 112": {"layers": 2, "width": 112, "vocab": 4096, "context": 256, "batch": 2048},
    "4 x 288": {"layers": 4, "width": 288, "vocab": 8192, "context": 512, "batch": 8192},
}
WAYS: dict[str, tuple[dict[str, str], int]] = {
    "ours": ({}, 2),
    # Any variable of this kind makes wenmo leave malloc alone; this one is glibc's default.
    "malloc as it comes": ({"MALLOC_ARENA_TEST": "8"}, 2),
    "operations divided": ({}, 1),
}


def resident(process: int) -> int:
    """Resident memory of a process in bytes; 0 when it has ended."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def train(text: Path, shape: dict[str, int], steps: int, way: str, folder: Path) -> dict[str, Any]:
    """Trains a minGRU and follows its memory.

    Returns:
        Gigabytes told, after a tenth and after half of the time of the steps, at their end, when what was kept may have
        been given back already, and at most.
    """
    variables, workers = WAYS[way]
    options = {
        "--training.steps": steps,
        "--training.workers": workers,
        "--training.batch-tokens": shape["batch"],
        "--training.evaluations": 3,
        "--tokenizer.vocab-size": shape["vocab"],
        "--model.layers": shape["layers"],
        "--model.width": shape["width"],
        "--model.context": shape["context"],
    }
    words = [str(word) for option in options.items() for word in option]
    command = [sys.executable, "-m", "wenmo", "train", str(text), "-o", str(folder / "model")]
    command += ["--arch", "mingru", *words]
    log = folder / "log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=errors, stderr=errors)
    decided, told = None, 0.0
    seen: list[int] = []
    while process.poll() is None:
        time.sleep(0.2)
        decided = decided or next(folder.glob("model.run/members/*/decision.json"), None)
        if decided and decided.exists():
            told = told or json.loads(decided.read_text(encoding="utf-8"))["memory"]
            if (folder / "model.run" / "finished" / "mingru").exists():
                process.kill()  # what comes after the training is not measured
                process.wait()
                break
            if held := resident(process.pid):
                seen.append(held)
    else:
        raise SystemExit(log.read_text(encoding="utf-8"))
    return {
        "told GB": told / 1e9,
        "early GB": seen[len(seen) // 10] / 1e9,
        "half GB": seen[len(seen) // 2] / 1e9,
        "end GB": seen[-1] / 1e9,
        "most GB": max(seen) / 1e9,
    }


def main() -> None:
    """Trains all shapes in all ways."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    options = parser.parse_args()
    rows = []
    growth, tells = [], []
    for name, shape in SHAPES.items():
        halves = []
        for way in WAYS:
            for steps in options.steps if way == "ours" else options.steps[:1]:
                with tempfile.TemporaryDirectory() as folder:
                    measured = train(options.text, shape, steps, way, Path(folder))
                rows.append(
                    {"shape": name, "way": way, "steps": steps}
                    | {key: round(value, 2) for key, value in measured.items()}
                )
                print(rows[-1], flush=True)
                if way == "ours":
                    halves.append(measured["half GB"])
                    tells.append(measured["most GB"] / measured["told GB"])
        growth.append(halves[-1] / halves[0])
    record(
        "memory",
        claim="The memory of a training does not grow with its steps, and is within a tenth of what was told.",
        rows=rows,
        verdict=f"half way, {options.steps[-1]} steps hold {min(growth):.2f} to {max(growth):.2f} times what "
        f"{options.steps[0]} hold; the most is {min(tells):.2f} to {max(tells):.2f} times what was told",
    )


if __name__ == "__main__":
    main()
