"""Few examples: translation, question answering and writing from 20, 100 and 500, with and without a language model.

Each run has the same budget. The model to begin with (`--from`) is trained once on raw text of the same kind, none of
it the test's; its own time is stated and not counted. Question answering is also run without the practice questions
that are made from the passages. The baselines are those that every report shows. Sentiment has cells of its own:
`bench/sentiment.py few-zh few-en`.
Run: python bench/few.py [--data DIR] [--tasks translation,question_answering,writing] [--seeds 2] [--budget 45s]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

import writing
from _data import shared_data
from _record import record
from wenmo import Recipe, train, train_task
from wenmo.answering.examples import load_squad
from wenmo.config import TokenizerSettings, TrainingSettings
from wenmo.examples import split_groups
from wenmo.seq2seq.cleaning import clean_pairs
from wenmo.seq2seq.pairs import read_pairs

COUNTS = (20, 100, 500)
TEST = 300
Rows = list[dict[str, str]]


@dataclass
class Material:
    """What one task is measured with.

    Attributes:
        rows: To learn from: the first N of a shuffle that the seed decides.
        test: To score on.
        raw: Raw text for the language model, and passages for practice questions.
        scores: Names of the scores that are stated.
        settings: Of every run.
        variants: Further systems by name, with their settings.
    """

    rows: Rows
    test: Rows
    raw: list[str]
    scores: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)


def translation(data: Path) -> Material:
    """Tatoeba English-Chinese; the raw text is every other sentence of both languages."""
    pairs = clean_pairs(
        read_pairs([data / "translation" / "tatoeba.en-zh.2.tsv"]).rows, script="simplified"
    ).pairs
    split = split_groups([pair.source for pair in pairs], valid=0.3, test=0.03, seed=0)
    rows = {
        side: [{"en": pairs[i].source, "zh": pairs[i].target} for i in getattr(split, side)]
        for side in ("train", "valid", "test")
    }
    raw = [text for row in rows["train"] for text in row.values()]
    return Material(rows["valid"], rows["test"][:TEST], raw, ("chrf", "bleu"))


def question_answering(data: Path) -> Material:
    """DRCD; the raw text is that of the passages of its dev file and of CMRC's."""
    dev, test = load_squad(data / "qa" / "DRCD_dev.json"), load_squad(data / "qa" / "DRCD_test.json")
    known = {example.group for example in dev}
    fresh = [example for example in test if example.group not in known]
    passages = [e.context for e in [*dev, *load_squad(data / "qa" / "cmrc2018_dev.json")]]

    def rows(examples: list[Any]) -> Rows:
        return [{"question": e.question, "context": e.context, "answer": e.texts[0]} for e in examples]

    return Material(
        rows(dev), rows(fresh)[:: max(1, len(fresh) // TEST)][:TEST], list(dict.fromkeys(passages)), ("f1",),
        settings={"documents": ("RAW",)}, variants={"wenmo, no made questions": {"made_share": 0.0, "documents": ()}},
    )  # fmt: skip


def writing_task(data: Path) -> Material:
    """Film reviews by sentiment; the raw text is of other reviews."""
    rows, raw = writing.reviews(data)
    np.random.default_rng(0).shuffle(rows)  # type: ignore[arg-type]
    return Material(rows[TEST:], rows[:TEST], raw or [], ("bits_per_byte",))


TASKS: dict[str, Callable[[Path], Material]] = {
    "translation": translation,
    "question_answering": question_answering,
    "writing": writing_task,
}


def write(rows: Rows, path: Path) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def measure(name: str, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """All runs of one task; one line for each number of examples and system."""
    material = TASKS[name](options.data)
    raw = write([{"text": text} for text in material.raw], folder / f"{name}.raw.jsonl")
    recipe = Recipe(
        architecture="transformer", budget=options.base_budget, tokenizer=TokenizerSettings(vocab_size=4096),
        training=TrainingSettings(threads=options.threads),
    )  # fmt: skip
    base = train([raw], folder / f"{name}.base", recipe, progress=False)
    systems: dict[str, dict[str, Any]] = {
        "wenmo": {},
        "wenmo --from": {"from_model": Path(base.model)},
        **material.variants,
    }
    test = write(material.test, folder / f"{name}.test.jsonl")
    lines = []
    for count in COUNTS:
        found: dict[str, list[dict[str, float]]] = {}
        for seed in range(options.seeds):
            order = np.random.default_rng(seed).permutation(len(material.rows))[:count]
            given = write([material.rows[i] for i in order], folder / f"{name}.{count}.{seed}.jsonl")
            for system, extra in systems.items():
                settings = {**material.settings, **extra}
                if "documents" in settings:
                    settings["documents"] = tuple(str(raw) for _ in settings["documents"])
                place = folder / f"{name}-{count}-{seed}-{list(systems).index(system)}"
                result = train_task(
                    name, given, place, progress=False, budget=options.budget, seed=seed,
                    threads=options.threads, test=(str(test),), test_fraction=0.0, **settings,
                )  # fmt: skip
                found.setdefault(system, []).append({k: result.scores[k] for k in material.scores})
                print(name, count, seed, system, result.scores, result.baselines, file=sys.stderr, flush=True)
                if system == "wenmo":
                    for peer, scores in result.baselines.items():
                        if set(material.scores) & set(scores):
                            kept = {k: scores[k] for k in material.scores if k in scores}
                            found.setdefault(peer, []).append(kept)
        lines += [line(name, count, system, runs) for system, runs in found.items()]
    return lines


def line(name: str, count: int, system: str, runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation of each score."""
    row: dict[str, Any] = {"task": name, "examples": count, "system": system, "runs": len(runs)}
    for key in runs[0]:
        values = [run[key] for run in runs]
        spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
        row[key] = f"{mean(values):.3f}{spread}"
    return row


def main() -> None:
    """Runs the benchmark; each task is recorded as bench/results/few_NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data())
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--budget", default="45s")
    parser.add_argument("--base-budget", default="3m")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit("skipped: the data is not there; name its folder with --data")
    for name in options.tasks.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            rows = measure(name, options, Path(temporary))
        record(
            f"few_{name}",
            claim="The score by the number of examples, with and without a language model of raw text to begin with.",
            budget=options.budget,
            base_budget=options.base_budget,
            test=TEST,
            rows=rows,
        )


if __name__ == "__main__":
    main()
