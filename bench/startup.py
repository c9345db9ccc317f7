"""How long `wenmo --help` takes, beside a bare interpreter and the command line of pip, in the same run.

Claim: under 0.5 seconds, because nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from wenmo import __version__
from wenmo.doctor import cpu_name, usable_cores
from wenmo.files import write_text

REPEATS = 15
LIMIT_SECONDS = 0.5
COMMANDS = {
    "wenmo --help": ["-c", "import sys; from wenmo.cli import main; sys.exit(main(['--help']))"],
    "pip --help": ["-m", "pip", "--help"],
    "python -c pass": ["-c", "pass"],
}


def main() -> None:
    """Runs the commands in turn, so that noise falls on all alike, and writes the medians."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, words in COMMANDS.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - begin)
    rows = [
        {
            "command": name,
            "seconds": round(statistics.median(t), 4),
            "least": round(min(t), 4),
            "most": round(max(t), 4),
        }
        for name, t in times.items()
    ]
    ours, pip = times["wenmo --help"], times["pip --help"]
    ratios = sorted(a / b for a, b in zip(ours, pip, strict=True))
    median = statistics.median(ours)
    result = {
        "name": "startup",
        "claim": f"wenmo --help answers in less than {LIMIT_SECONDS} s",
        "date": datetime.date.today().isoformat(),
        "machine": f"{cpu_name()}, {usable_cores()} cores",
        "command": "python bench/startup.py",
        "versions": {"wenmo": __version__, "python": platform.python_version()},
        "rows": rows,
        "ratio": round(statistics.median(ratios), 3),
        "ratio_of": "wenmo --help to pip --help, same round",
        "spread": [round(ratios[len(ratios) // 4], 3), round(ratios[-1 - len(ratios) // 4], 3)],
        "verdict": f"median {median:.2f} s: {'holds' if median < LIMIT_SECONDS else 'does not hold'}",
    }
    write_text(Path(__file__).parent / "results" / "startup.json", json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
