"""Prompted writing with and without a model of the raw text to begin with, three seeds each.

Two tasks: Tang poems (title and author -> poem, Chinese; the base is trained on the same poems as raw text) and film
reviews (sentiment -> sentence, English; the base is trained on other reviews). Held-out conversations are never
trained on, neither by the base. Each run has the same budget; the base's own time is stated and is spent once.
Run: python bench/writing.py [--data DIR] [--base-budget 3m] [--budget 75s] [--seeds 3] [--only tang]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from _data import shared_data
from _record import record
from wenmo import Recipe, train, train_task
from wenmo.config import TokenizerSettings

HELD_OUT = 20
"""One example of so many is held out to steer, one to score."""
BASE_BYTES = 6_000_000


def tang(data: Path) -> tuple[list[dict[str, str]], list[str] | None]:
    """Poems as rows; the raw text is that of the training rows."""
    rows = []
    for block in (data / "lm" / "tang-poems.txt").read_text("utf-8").strip().split("\n\n"):
        title, author, *lines = block.split("\n")
        if lines and len(block) < 400:
            rows.append({"title": title, "author": author, "poem": "\n".join(lines)})
    return rows, None


def reviews(data: Path) -> tuple[list[dict[str, str]], list[str] | None]:
    """Sentences of film reviews with their sentiment; the raw text is of other reviews."""
    rows = []
    for kind, name in (("positive", "rt-polarity.pos"), ("negative", "rt-polarity.neg")):
        for line in (data / "sentiment" / name).read_text("latin-1").splitlines():
            rows.append({"prompt": f"Write a {kind} sentence about a film.", "completion": line.strip()})
    raw, size = [], 0
    with gzip.open(data / "sentiment" / "imdb.unsup.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            raw.append(json.loads(line)["text"].replace("<br />", "\n"))
            size += len(raw[-1])
            if size > BASE_BYTES:
                break
    return rows, raw


TASKS = {
    "tang": (tang, {"prompt": "{title}\n{author}", "answer": "poem"}),
    "reviews": (reviews, {}),
}


def write_rows(rows: list[dict[str, str]], path: Path) -> Path:
    """Writes rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def prepare(name: str, data: Path, folder: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """Splits a task's rows into files, and writes the raw text of the base."""
    read, form = TASKS[name]
    rows, raw = read(data)
    random.Random(0).shuffle(rows)
    sides = {
        "valid": rows[::HELD_OUT],
        "test": rows[1::HELD_OUT],
        "train": [row for index, row in enumerate(rows) if index % HELD_OUT > 1],
    }
    files = {side: write_rows(part, folder / f"{name}.{side}.jsonl") for side, part in sides.items()}
    texts = raw or ["\n".join(row.values()) for row in sides["train"]]
    files["raw"] = write_rows([{"text": text} for text in texts], folder / f"{name}.raw.jsonl")
    return files, form


def base_of(name: str, files: dict[str, Path], folder: Path, budget: str) -> tuple[Path, float]:
    """Trains the base on the raw text; returns its folder and seconds."""
    recipe = Recipe(architecture="transformer", budget=budget, tokenizer=TokenizerSettings(vocab_size=4096))
    result = train([files["raw"]], folder / f"{name}.base", recipe, progress=False)
    return Path(result.model), result.seconds


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=shared_data())
    parser.add_argument("--base-budget", default="3m")
    parser.add_argument("--budget", default="75s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=sorted(TASKS))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, help="folder for the results")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit("skipped: the data is not there; name its folder with --data")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in [options.only] if options.only else TASKS:
            compare(name, options, folder)


def compare(name: str, options: argparse.Namespace, folder: Path) -> None:
    """Runs one task with and without a base, and records it as bench/results/writing_NAME.json."""
    files, form = prepare(name, options.data, folder)
    base, seconds = base_of(name, files, folder, options.base_budget)
    rows: dict[str, dict[str, Any]] = {}
    for start, model in (("from a base", base), ("new", None)):
        results = [run(files, form, model, seed, folder, options.budget) for seed in range(options.seeds)]
        rows[start] = summary(results)
    rows["people"] = people(results)
    record(
        f"writing_{name}",
        claim="A model of the raw text to begin with lowers the loss on answers; how varied and how copied the written "
        "answers are stands beside people's.",
        path=None if options.out is None else options.out / f"writing_{name}.json",
        budget=options.budget,
        base_seconds=round(seconds),
        protocol="bits per byte of held-out answers alone; mean and standard deviation over the seeds",
        rows=rows,
    )


def run(
    files: dict[str, Path], form: dict[str, Any], base: Path | None, seed: int, folder: Path, budget: str
) -> dict[str, Any]:
    """Fine-tunes once; returns the scores, and what is kept in the model's folder."""
    name = f"{files['train'].stem}-{'new' if base is None else 'from'}-{seed}"
    result = train_task(
        "writing", files["train"], folder / name, progress=False, from_model=base, seed=seed, budget=budget,
        valid=(str(files["valid"]),), test=(str(files["test"]),), **form,
    )  # fmt: skip
    info = json.loads((Path(result.model) / "wenmo.json").read_text("utf-8"))["info"]
    return {
        "scores": result.scores,
        "baselines": result.baselines,
        "seconds": result.seconds,
        **info["diversity"],
    }


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of the scores over the seeds; of each baseline the bits per byte."""

    def both(values: list[float]) -> str:
        spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
        return f"{mean(values):.3f}{spread}"

    row = {
        key: both([each["scores"][key] for each in results])
        for key in ("bits_per_byte", "chrf", "nearest_chrf")
    }
    for key in (
        "distinct_1",
        "distinct_2",
        "self_bleu",
        "repeated_4grams",
        "loops",
        "longest_copy",
        "copied",
    ):
        row[key] = both([float(each["model"][key]) for each in results])
    for name in [n for n in results[0]["baselines"] if all(n in each["baselines"] for each in results)]:
        row[name] = both([each["baselines"][name]["bits_per_byte"] for each in results])
    return {**row, "seconds": both([each["seconds"] for each in results])}


def people(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The same scores of people's answers."""
    keys = ("distinct_1", "distinct_2", "self_bleu", "repeated_4grams", "loops", "longest_copy", "copied")
    return {key: f"{mean(float(each['people'][key]) for each in results):.3f}" for key in keys}


if __name__ == "__main__":
    main()
