"""`wenmo train` against PPMd, and against its own promise: held-out bits per byte and wall-clock at each budget.

Every cell is one run of the public function with nothing set but the budget. PPMd (order 6, 256 MB) reads the same
training bytes and codes the same held-out bytes in the same run.

    python bench/budget.py --budgets 1m 5m --texts tinyshakespeare.txt novel.txt
"""

from __future__ import annotations

import argparse
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from _record import record
from _run import wenmo

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


def cell(text: Path, budget: str, folder: Path, architecture: str) -> dict[str, Any]:
    """Trains once, in a process of its own as a user would, and returns a row."""
    output = folder / f"{text.stem}-{budget}"
    started = time.perf_counter()
    result = wenmo("train", str(text), "-o", str(output), "--budget", budget, "--arch", architecture)
    wall = time.perf_counter() - started
    ppmd = result["baselines"]["ppmd"]
    return {
        "text": text.name,
        "budget": budget,
        "wall s": round(wall, 1),
        "wall / budget": round(wall / result["budget"], 3),
        "bits per byte": round(result["bits_per_byte"], 4),
        "static": round(result["static_bits_per_byte"], 4),
        "PPMd": round(ppmd, 4),
        "xz": round(result["baselines"]["xz"], 4),
        "n-gram": round(result["baselines"]["ngram"], 4),
        **{name: round(value, 4) for name, value in result["members"].items() if name != "ngram"},
        "below PPMd": f"{1 - result['bits_per_byte'] / ppmd:.1%}",
    }


def main() -> None:
    """Runs all cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--budgets", nargs="+", default=["1m"])
    parser.add_argument("--architecture", default="auto")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = [*options.texts, source_code(folder)]
        for budget in options.budgets:
            for text in texts:
                rows.append(cell(text, budget, folder, options.architecture))
                print(rows[-1], flush=True)
    won = sum(row["bits per byte"] < row["PPMd"] for row in rows)
    worst = max(row["wall / budget"] for row in rows)
    record(
        "budget",
        claim="Below PPMd on every text at every budget, and the budget kept within 5 %.",
        rows=rows,
        verdict=f"Below PPMd in {won} of {len(rows)} cells; the longest run took {worst:.0%} of its budget.",
    )


if __name__ == "__main__":
    main()
