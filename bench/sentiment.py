"""Accuracy of `wenmo train --task sentiment` beside TF-IDF + logistic regression, NB-SVM and SnowNLP.

One result for each cell (bench/results/sentiment-CELL.json): ours and the baselines learn from the same texts and are
scored on the same test texts, in the same run. Whatever is chosen is chosen on held-out training texts.

Run: python bench/sentiment.py [CELL...] [--data FOLDER] [--from-zh MODEL] [--from-en MODEL] [--snownlp FOLDER]
The folder of data holds the public sets under their usual names (chnsenticorp.*.tsv, waimai_10k.csv, imdb.*.jsonl.gz,
sst2.*.tsv, rt-polarity.pos and .neg); a cell whose files are missing is skipped with a word. SnowNLP is used when its
folder is given (pip install snownlp --target FOLDER).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import wenmo
from _data import shared_data
from _record import RESULTS, record
from wenmo.classification.folds import text_key
from wenmo.classification.units import characters, units

Rows = list[tuple[str, str]]
BUDGETS = {"rt-polarity": "2m", "waimai": "2m", "chnsenticorp": "6m", "sst2": "8m", "imdb": "15m"}
FEW = (20, 100, 500)


@dataclass
class Cell:
    """Texts and labels of one test.

    Attributes:
        name: Name of the cell.
        language: zh or en.
        train: To learn from.
        valid: To steer by; empty: a share of `train`.
        test: To score on.
        note: What is special about it.
    """

    name: str
    language: str
    train: Rows
    valid: Rows
    test: Rows
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def tsv(path: Path) -> Rows:
    lines = path.read_text("utf-8").split("\n")[1:]
    return [(text, label) for label, text in (line.split("\t", 1) for line in lines if line.strip())]


def imdb(path: Path) -> Rows:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [(row["text"].replace("<br />", "\n"), row["label"]) for row in map(json.loads, file)]


def shuffled(rows: Rows, seed: int) -> Rows:
    return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]


def tenth(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Nine tenths and a tenth; a text that stands in both is taken out of the first."""
    mixed = shuffled(rows, seed)
    cut = len(mixed) // 10
    held = {text_key(text) for text, _ in mixed[:cut]}
    return [row for row in mixed[cut:] if text_key(row[0]) not in held], mixed[:cut]


def load(name: str, data: Path, seed: int) -> Cell:
    """Reads a cell.

    Raises:
        FileNotFoundError: When its files are not there.
    """
    if name == "chnsenticorp":
        train, valid, test = (tsv(data / f"chnsenticorp.{side}.tsv") for side in ("train", "dev", "test"))
        return Cell(name, "zh", train, valid, test, "published split; some test texts also stand in train")
    if name == "waimai":
        with (data / "waimai_10k.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["review"], row["label"]) for row in csv.DictReader(file)]
        return Cell(name, "zh", *tenth(rows, seed)[:1], [], tenth(rows, seed)[1], "random tenth to test on")
    if name == "rt-polarity":
        rows = [
            (line.strip(), side)
            for side in ("pos", "neg")
            for line in (data / f"rt-polarity.{side}").read_text("latin-1").split("\n")
            if line.strip()
        ]
        return Cell(name, "en", *tenth(rows, seed)[:1], [], tenth(rows, seed)[1], "random tenth to test on")
    if name == "sst2":
        train, test = tsv(data / "sst2.train.tsv"), tsv(data / "sst2.dev.tsv")
        return Cell(
            name, "en", train, [], test, "phrases and sentences to learn from, dev sentences to test on"
        )
    if name == "imdb":
        train, test = imdb(data / "imdb.train.jsonl.gz"), imdb(data / "imdb.test.jsonl.gz")
        return Cell(name, "en", shuffled(train, 0), [], test, "published split")
    raise SystemExit(f"unknown cell {name}")


# -- baselines ---------------------------------------------------------------------------------------------------------


def word_units(text: str) -> list[str]:
    return units(text)[0]


def character_units(text: str) -> list[str]:
    return [chr(code) for code in characters(text)[0]]


def vectors(texts: Sequence[str], split: Callable[[str], list[str]], longest: int, tfidf: bool) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    kind = TfidfVectorizer if tfidf else CountVectorizer
    options = {} if tfidf else {"binary": True}
    return kind(
        tokenizer=split, token_pattern=None, lowercase=False, ngram_range=(1, longest), min_df=2, **options
    )


def labels_of(rows: Rows) -> np.ndarray:
    return np.array([label for _, label in rows])


def held_out(cell: Cell) -> tuple[Rows, Rows]:
    if cell.valid:
        return cell.train, cell.valid
    return tenth(cell.train, 99)


def tfidf_regression(cell: Cell, split: Callable[[str], list[str]], longest: int) -> np.ndarray:
    """scikit-learn's TF-IDF and logistic regression, its penalty chosen among 1, 10 on held-out texts."""
    from sklearn.linear_model import LogisticRegression

    train, valid = held_out(cell)
    vectoriser = vectors([], split, longest, True)
    x = vectoriser.fit_transform([text for text, _ in train])
    v = vectoriser.transform([text for text, _ in valid])
    scores = {
        c: LogisticRegression(C=c, solver="liblinear").fit(x, labels_of(train)).score(v, labels_of(valid))
        for c in (1.0, 10.0)
    }
    best = max(scores, key=lambda c: scores[c])
    every = train + valid
    x = vectoriser.fit_transform([text for text, _ in every])
    model = LogisticRegression(C=best, solver="liblinear").fit(x, labels_of(every))
    return model.predict(vectoriser.transform([text for text, _ in cell.test]))


def nb_svm(cell: Cell) -> np.ndarray:
    """Wang & Manning (2012): naive Bayes log-count ratios of words and pairs, linear SVM with C = 1, beta = 0.25."""
    from sklearn.svm import LinearSVC

    train = cell.train + cell.valid
    vectoriser = vectors([], word_units, 2, False)
    x = vectoriser.fit_transform([text for text, _ in train])
    labels = labels_of(train)
    classes = sorted(set(labels))
    first = labels == classes[1]
    p, q = (1.0 + np.asarray(x[rows].sum(axis=0)).ravel() for rows in (first, ~first))
    ratio = np.log((p / p.sum()) / (q / q.sum()))
    model = LinearSVC(C=1.0).fit(x.multiply(ratio).tocsr(), first)
    weights = model.coef_[0]
    mean = np.abs(weights).mean()
    mixed = 0.75 * mean + 0.25 * weights
    found = (
        vectoriser.transform([text for text, _ in cell.test]).multiply(ratio).tocsr() @ mixed
        + model.intercept_[0]
    )
    return np.where(found > 0, classes[1], classes[0])


def snownlp(cell: Cell) -> np.ndarray:
    """SnowNLP as it comes (trained by its author on shopping reviews)."""
    from snownlp import SnowNLP

    return np.array(["1" if SnowNLP(text).sentiments > 0.5 else "0" for text, _ in cell.test])


def baselines(cell: Cell, with_snownlp: bool) -> dict[str, Callable[[], np.ndarray]]:
    found = {"TF-IDF of words and pairs + logistic regression": lambda: tfidf_regression(cell, word_units, 2)}
    if cell.language == "zh":
        found["TF-IDF of 1-4 characters + logistic regression"] = lambda: tfidf_regression(
            cell, character_units, 4
        )
        if with_snownlp:
            found["SnowNLP"] = lambda: snownlp(cell)
    else:
        found["NB-SVM of words and pairs"] = lambda: nb_svm(cell)
    return found


# -- ours --------------------------------------------------------------------------------------------------------------


def write(path: Path, rows: Rows) -> str:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": t, "label": y}, ensure_ascii=False) + "\n" for t, y in rows)
    return str(path)


def ours(cell: Cell, **settings: Any) -> tuple[np.ndarray, Any]:
    """Trains by the public interface and labels the test texts."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        files = {"valid": (write(base / "valid.jsonl", cell.valid),)} if cell.valid else {}
        result = wenmo.train_task(
            "sentiment",
            write(base / "train.jsonl", cell.train),
            base / "model",
            test=(write(base / "test.jsonl", cell.test),),
            **files,
            **settings,
        )
        model = wenmo.load_task(base / "model")
        said = np.array([verdict.label for verdict in model.predict([text for text, _ in cell.test])])
        size = sum(file.stat().st_size for file in (base / "model").rglob("*.safetensors"))
    return said, (result, size)


def accuracy(cell: Cell, said: np.ndarray) -> dict[str, float]:
    """Share of right labels, in all test texts and in those that are not among the training texts."""
    right = said == labels_of(cell.test)
    known = {text_key(text) for text, _ in cell.train + cell.valid}
    new = np.array([text_key(text) not in known for text, _ in cell.test])
    found = {"accuracy": float(right.mean())}
    if not new.all():
        found["accuracy, unseen texts"] = float(right[new].mean())
    return found


def measure(name: str, options: argparse.Namespace) -> None:
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds.get(name, 1)):
        cell = load(name, options.data, seed)
        for label, run in baselines(cell, options.snownlp is not None).items():
            begun = time.perf_counter()
            said = run()
            rows.append(
                {
                    "system": label,
                    "seed": seed,
                    **accuracy(cell, said),
                    "seconds": time.perf_counter() - begun,
                }
            )
            print(rows[-1], file=sys.stderr)
        variants = {"wenmo, n-grams": {"model": "linear"}}
        if not options.linear_only:
            variants["wenmo"] = {}
            base = options.from_zh if cell.language == "zh" else options.from_en
            if base is not None:
                variants["wenmo --from a language model"] = {"from_model": base}
        for label, settings in variants.items():
            said, (result, size) = ours(
                cell, budget=options.budget or BUDGETS[name], seed=seed, threads=options.threads, **settings
            )
            rows.append(
                {
                    "system": label,
                    "seed": seed,
                    **accuracy(cell, said),
                    "seconds": result.seconds,
                    "calibration_error": result.scores["calibration_error"],
                    "saved_mb": size / 1e6,
                    "notes": [note for note in result.notes if "log-loss" in note or "n-gram model" in note],
                }
            )
            print(rows[-1], file=sys.stderr)
    report(f"sentiment-{name}{'-linear' if options.linear_only else ''}", cell, rows)


def report(name: str, cell: Cell, rows: list[dict[str, Any]]) -> None:
    """Writes means over the seeds."""
    systems = list(dict.fromkeys(row["system"] for row in rows))
    table = []
    for system in systems:
        of = [row for row in rows if row["system"] == system]
        line: dict[str, Any] = {"system": system, "runs": len(of)}
        for key in ("accuracy", "accuracy, unseen texts", "seconds", "calibration_error", "saved_mb"):
            values = [row[key] for row in of if key in row]
            if values:
                line[key] = statistics.mean(values)
                if key == "accuracy" and len(values) > 1:
                    line["spread (sd)"] = statistics.stdev(values)
        table.append(line)
    mine = max(
        (line for line in table if line["system"].startswith("wenmo")), key=lambda line: line["accuracy"]
    )
    peers = [line for line in table if not line["system"].startswith("wenmo")]
    best = max(peers, key=lambda line: line["accuracy"])
    record(
        name,
        claim=f"{cell.name} ({cell.note}): more accurate than the baselines.",
        packages=("torch", "scikit-learn"),
        path=RESULTS / f"{name}.json",
        rows=table,
        examples={"train": len(cell.train), "valid": len(cell.valid), "test": len(cell.test)},
        notes=sorted({note for row in rows for note in row.get("notes", [])}),
        verdict=f"{mine['system']} {mine['accuracy']:.2%}, best baseline ({best['system']}) {best['accuracy']:.2%}.",
    )


def measure_few(name: str, options: argparse.Namespace) -> None:
    """Accuracy by the number of labelled texts, with and without a language model."""
    source = {"zh": "chnsenticorp", "en": "imdb"}[name.removeprefix("few-")]
    whole = load(source, options.data, 0)
    base = options.from_zh if whole.language == "zh" else options.from_en
    known = {text_key(text) for text, _ in whole.train}
    test = [row for row in shuffled(whole.test, 0) if text_key(row[0]) not in known][:1_000]
    rows: list[dict[str, Any]] = []
    for count in FEW:
        found: dict[str, list[float]] = {}
        for seed in range(options.seeds.get(name, 3)):
            cell = Cell(name, whole.language, balanced(whole.train, count, seed), [], test)
            systems: dict[str, Callable[[], np.ndarray]] = dict(baselines(cell, False))
            systems["wenmo"] = lambda cell=cell, seed=seed: ours(cell, budget="1m", seed=seed, threads=1)[0]
            if base is not None:
                systems["wenmo --from"] = lambda cell=cell, seed=seed: ours(
                    cell, budget="2m", seed=seed, threads=1, from_model=base
                )[0]
            for label, run in systems.items():
                found.setdefault(label, []).append(float((run() == labels_of(test)).mean()))
        for label, values in found.items():
            rows.append(
                {
                    "labelled texts": count,
                    "system": label,
                    "accuracy": statistics.mean(values),
                    "spread (sd)": statistics.stdev(values) if len(values) > 1 else 0.0,
                    "runs": len(values),
                }
            )
            print(rows[-1], file=sys.stderr)
    most = {row["system"]: row["accuracy"] for row in rows if row["labelled texts"] == FEW[-1]}
    record(
        f"sentiment-{name}",
        claim=f"Accuracy on {source} by the number of labelled texts, with and without a language model of raw text.",
        packages=("torch", "scikit-learn"),
        path=RESULTS / f"sentiment-{name}.json",
        rows=rows,
        test=len(test),
        verdict=f"With {FEW[-1]} texts: "
        + ", ".join(f"{label} {value:.1%}" for label, value in most.items())
        + ".",
    )


def balanced(rows: Rows, count: int, seed: int) -> Rows:
    """`count` rows, as many of each label."""
    mixed = shuffled(rows, seed)
    labels = sorted({label for _, label in rows})
    return [row for label in labels for row in [r for r in mixed if r[1] == label][: count // len(labels)]]


def main() -> None:
    cells = [*BUDGETS, "few-zh", "few-en"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="*", default=[], help=", ".join(cells))
    parser.add_argument("--data", type=Path, default=shared_data("sentiment"))
    parser.add_argument(
        "--from-zh", type=Path, help="language model trained on Chinese text without the test texts"
    )
    parser.add_argument("--from-en", type=Path, help="the same for English")
    parser.add_argument("--snownlp", type=Path, help="folder into which SnowNLP was installed")
    parser.add_argument("--budget", help="instead of the budget of each cell")
    parser.add_argument("--seeds", type=int, help="instead of 3 for short cells, 1 for long ones")
    parser.add_argument("--threads", type=int)
    parser.add_argument(
        "--linear-only", action="store_true", help="n-grams and baselines alone: a minute or two"
    )
    options = parser.parse_args()
    if options.snownlp is not None:
        sys.path.append(str(options.snownlp))
    usual = {"rt-polarity": 3, "waimai": 3, "few-zh": 3, "few-en": 3}
    chosen = options.cells or cells
    options.seeds = usual if options.seeds is None else dict.fromkeys(cells, options.seeds)
    for name in chosen:
        if not re.fullmatch("|".join(cells), name):
            parser.error(f"unknown cell {name}; there are {', '.join(cells)}")
        try:
            (measure_few if name.startswith("few-") else measure)(name, options)
        except FileNotFoundError as error:
            print(f"{name}: skipped, {error.filename} is not there", file=sys.stderr)


if __name__ == "__main__":
    main()
