"""What every result of a benchmark has in common."""

from __future__ import annotations

import json
import platform
import re
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import wenmo
from wenmo.doctor import cpu_name, usable_cores
from wenmo.files import write_text

RESULTS = Path(__file__).resolve().parent / "results"


def spread(values: list[float]) -> list[float]:
    """Lower quartile, median and upper quartile, rounded to four digits."""
    if len(values) < 2:
        return [float(f"{value:.4g}") for value in values * 3]
    low, _, high = quantiles(values, n=4)
    return [float(f"{value:.4g}") for value in (low, median(values), high)]


def command() -> str:
    """The command line without the folders of absolute paths: where files lie on this machine is nobody's business."""
    words = [re.sub(r"^(--?[\w-]+=)?/(?:.*/)?(?=[^/])", r"\1", word) for word in sys.argv[1:]]
    return shlex.join(["python", f"bench/{Path(sys.argv[0]).name}", *words])


def origin(*packages: str) -> dict[str, Any]:
    """When, where and with which versions a measurement was taken.

    Args:
        *packages: Distributions whose versions matter, beside wenmo and Python.
    """
    torch = sys.modules.get("torch")
    threads = f", {torch.get_num_threads()} threads" if torch else ""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{cpu_name()}, {usable_cores()} cores{threads}",
        "command": command(),
        "versions": {"wenmo": wenmo.__version__, "python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def record(
    name: str, *, claim: str, packages: tuple[str, ...] = ("torch",), path: Path | None = None, **facts: Any
) -> Path:
    """Writes bench/results/NAME.json and prints it.

    Args:
        name: Name of the result.
        claim: What is to be shown.
        packages: Distributions whose versions matter.
        path: Another file to write to.
        **facts: The measurements (rows), what they show (verdict), and anything else worth keeping.
    """
    path = path or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {"name": name, "claim": claim, **origin(*packages), **facts}, ensure_ascii=False, indent=2
    )
    write_text(path, text + "\n")
    print(text)
    return path
