"""How long `wenmo --help` takes, beside a bare interpreter and the command line of pip, in the same run.

Claim: under 0.5 seconds, because nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from _record import record, spread

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
    ratios = [a / b for a, b in zip(ours, pip, strict=True)]
    median = statistics.median(ours)
    low, ratio, high = spread(ratios)
    record(
        "startup",
        claim=f"wenmo --help answers in less than {LIMIT_SECONDS} s",
        packages=("pip",),
        rows=rows,
        ratio=ratio,
        ratio_of="wenmo --help to pip --help, same round",
        spread=[low, high],
        verdict=f"median {median:.2f} s: {'holds' if median < LIMIT_SECONDS else 'does not hold'}",
    )


if __name__ == "__main__":
    main()
