"""What every result of a benchmark has in common."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def spread(values: list[float]) -> list[float]:
    """Lower quartile, median and upper quartile, rounded to four digits."""
    if len(values) < 2:
        return [float(f"{value:.4g}") for value in values * 3]
    low, _, high = quantiles(values, n=4)
    return [float(f"{value:.4g}") for value in (low, median(values), high)]


def record(name: str, *, claim: str, rows: list[dict[str, Any]], verdict: str, **facts: Any) -> Path:
    """Writes bench/results/NAME.json and prints it.

    Args:
        name: Name of the result.
        claim: What is to be shown.
        rows: The measurements.
        verdict: What they show, in a sentence.
        **facts: Anything else worth keeping, such as ratios.
    """
    import torch

    result = {
        "name": name,
        "claim": claim,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "command": "python " + " ".join([f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "rows": rows,
        **facts,
        "verdict": verdict,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
    path.write_text(text, encoding="utf-8")
    print(text)
    return path
