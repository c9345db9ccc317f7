"""One student of a mixture beside the plain model of its size: held-out bits per byte, frozen.

The last tenth of each text is held out. `wenmo train` makes the teacher, a mixture. Then, for each seed in turn,
`wenmo distil` makes a student of it, and `wenmo train --arch` a plain model of the same size in the same time (what the
student's teacher takes is part of its time) or in the same number of steps. Tokenizer and text are the same for all.

    python bench/distil.py tinyshakespeare.txt --teacher-budget 20m --budget 30m --size 2M
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from _data import shared_data
from _record import record, spread
from _run import wenmo


def rows_of(text: Path, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Teacher, students and plain models of one text."""
    corpus, teacher = str(folder / f"{text.stem}-corpus"), str(folder / f"{text.stem}-teacher")
    wenmo("prepare", str(text), "-o", corpus, "--test-fraction", "0.1", "--valid-fraction", "0.05")
    threads = ["--training.threads", str(options.threads)] if options.threads else []
    wenmo("train", corpus, "-o", teacher, "--budget", options.teacher_budget, *threads)
    length = ["--training.steps", str(options.steps)] if options.steps else ["--budget", options.budget]
    rows = []
    for seed in range(options.seeds):
        shared = [
            *(["--size", options.size] if options.size else []),
            *length,
            *threads,
            "--training.seed",
            str(seed),
        ]
        student = wenmo(
            "distil", teacher, "-o", str(folder / f"{text.stem}-{seed}-student"), "--arch", options.arch, *shared,
            *(["--cache"] if options.cache else []),
        )  # fmt: skip
        plain = wenmo(
            "train", corpus, "-o", str(folder / f"{text.stem}-{seed}-plain"), "--arch", options.arch, *shared
        )
        (one,), other = student["members"].values(), plain["static_bits_per_byte"]
        row = {
            "text": text.name,
            "seed": seed,
            "parameters": sum(student["parameters"].values()),
            "arch": options.arch,
            "student": round(one, 4),
            **(
                {"student with its cache": round(student["static_bits_per_byte"], 4)} if options.cache else {}
            ),
            "plain": round(other, 4),
            "below plain, %": round(100 * (1 - one / other), 2),
            "teacher, frozen": round(student["teacher"]["static_bits_per_byte"], 4),
            "teacher, learning on": round(student["teacher"]["bits_per_byte"], 4),
            "PPMd": round(student["baselines"]["ppmd"], 4),
            "student s": student["seconds"],
            "plain s": plain["seconds"],
        }
        print(row, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """Runs all texts and seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, nargs="*", help="Tiny Shakespeare, where it lies, when not given")
    parser.add_argument("--teacher-budget", default="10m")
    parser.add_argument("--budget", default="10m", help="of the student, and of the plain model")
    parser.add_argument("--steps", type=int, help="replaces --budget: as many for both")
    parser.add_argument("--size", help="of the student and the plain model; derived when not given")
    parser.add_argument("--arch", default="transformer", help="of the student and the plain model")
    parser.add_argument("--cache", action="store_true", help="give the student a cache, too")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    options.texts = options.texts or [shared_data("lm", "tinyshakespeare.txt")]
    missing = [path.name for path in options.texts if not path.is_file()]
    if missing:
        parser.exit(message=f"skipped: {', '.join(missing)} not found; name a text\n")
    with tempfile.TemporaryDirectory() as name:
        rows = [row for text in options.texts for row in rows_of(text, Path(name), options)]
    better = sum(row["student"] < row["plain"] for row in rows)
    gains = [float(row["below plain, %"]) for row in rows]
    record(
        "distil",
        claim="A student of a mixture predicts held-out text better than the plain model of its size in the same time.",
        rows=rows,
        verdict=f"{mean(gains):.1f} % fewer bits on average; better in {better} of {len(gains)}.",
        gain=spread(gains),
    )


if __name__ == "__main__":
    main()
