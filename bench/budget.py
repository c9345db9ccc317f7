"""What `wenmo train --budget` promises: the time it takes, and the loss that it predicts early in a training.

Every cell is one run of the public command with nothing set but the budget, and the threads where they are given. Its
wall-clock is that of the whole process, from start to end. Once 40 % of the training are over wenmo tells where the
held-out loss will end, and within which interval, and once more after 55 %; here the second stands beside what came.
PPMd (order 6, 256 MB) reads the same training bytes and codes the same held-out bytes in the same run. Cells of earlier
runs are kept.

    python bench/budget.py novel.txt poems.txt --budgets 30s 1m 5m
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from _record import RESULTS, record
from _run import wenmo
from wenmo.doctor import cpu_name, usable_cores
from wenmo.training.budget import parse_duration

SOURCE_BYTES = 5_000_000


def source_code(folder: Path) -> Path:
    """Writes 5 MB of the standard library's source code into one file."""
    path = folder / "python-source.txt"
    with path.open("w", encoding="utf-8") as file:
        for module in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
            file.write(module.read_text(encoding="utf-8", errors="ignore"))
            if file.tell() > SOURCE_BYTES:
                break
    return path


def cell(text: Path, budget: str, folder: Path, threads: int | None) -> dict[str, Any]:
    """Trains once, in a process of its own as a user would, and returns a row."""
    output = folder / f"{text.stem}-{budget}"
    words = ["train", str(text), "-o", str(output), "--budget", budget]
    if threads:
        words += ["--training.threads", str(threads)]
    started = time.perf_counter()
    result = wenmo(*words)
    wall = time.perf_counter() - started
    ppmd = result["baselines"]["ppmd"]
    line: dict[str, Any] = {
        "text": text.name,
        "budget": budget,
        "wall s": round(wall, 1),
        "wall / budget": round(wall / result["budget"], 3),
    }
    for name, found in result["predicted"].items():
        line |= {
            "network": name,
            "told after": f"{found['share']:.0%}",
            "end predicted": round(found["predicted"], 4),
            "interval": f"{found['low']:.3f} to {found['high']:.3f}",
            "measured": round(found["measured"], 4),
            "off, %": round(100 * (found["predicted"] / found["measured"] - 1), 2),
            "inside": found["low"] <= found["measured"] <= found["high"],
        }
    return line | {
        "bits per byte": round(result["bits_per_byte"], 4),
        "PPMd": round(ppmd, 4),
        "below PPMd, %": round(100 * (1 - result["bits_per_byte"] / ppmd), 1),
        "threads": threads or usable_cores(),
        "processor": cpu_name(),
    }


def main() -> None:
    """Runs all cells; each is recorded as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, nargs="*", default=[])
    parser.add_argument("--budgets", nargs="+", default=["30s", "1m"])
    parser.add_argument("--threads", type=int, help="all cores when not given")
    parser.add_argument("--no-source", action="store_true", help="leave out the source code of Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = [*options.texts, *([] if options.no_source else [source_code(folder)])]
        for budget in options.budgets:
            for text in texts:
                line = cell(text, budget, folder, options.threads)
                print(line, flush=True)
                keep(line)


def keep(line: dict[str, Any]) -> None:
    """Puts a row into the table in the place of that of the same text and budget."""
    path = RESULTS / "budget.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    rows = [r for r in rows if (r["text"], r["budget"]) != (line["text"], line["budget"])] + [line]
    took = [row["wall / budget"] for row in rows]
    off = [abs(row["off, %"]) for row in rows if "off, %" in row]
    inside = sum(row.get("inside", False) for row in rows)
    verdict = f"{len(rows)} runs took {min(took):.1%} to {max(took):.1%} of their budgets."
    if off:
        verdict += (
            f" Of {len(off)} ends {sum(error <= 3.0 for error in off)} were predicted within 3 % (median "
            f"{median(off):.1f} %, most {max(off):.1f} %), {inside} lay inside their intervals, which are to hold nine "
            "of ten."
        )
    least = min(rows, key=lambda row: row["below PPMd, %"])
    verdict += f" Least below PPMd: {least['below PPMd, %']} % ({least['text']}, {least['budget']})."
    record(
        "budget",
        claim="The budget is kept within 5 %, the end of the training is predicted within 3 %, and the model "
        "is below PPMd, on every text at every budget.",
        rows=sorted(rows, key=lambda row: (row["text"], parse_duration(row["budget"]))),
        verdict=verdict,
    )


if __name__ == "__main__":
    main()
