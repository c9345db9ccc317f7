"""Held-out bits per byte after equal wall-clock: `wenmo train` beside PPMd and three other trainers.

wenmo is given nothing but the budget, everything of which counts: reading, tokenizer, training, scoring, saving. The
other trainers read tokens of wenmo's making, of a vocabulary that suits a whole softmax (fewer than wenmo itself takes
from five minutes on), and are given the whole budget for training alone: GPT-2 of `transformers` with AdamW at the best
of four sizes, an AWD-LSTM at the better of two widths, and the GRU of TensorFlow's tutorial in Keras. PPMd (order 6,
256 MB) reads the same training bytes. Both protocols are stated: static (frozen), in which the other trainers stand,
and prequential (learning on after each prediction), in which PPMd stands.

    python bench/quality.py novel.txt poems.txt --budgets 1m 5m --keras-python PYTHON

With `--seeds 3` wenmo trains three times, and means and standard deviations are stated, in a table of their own
(bench/results/quality_seeds.json); the others train once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

import _peers
from _record import RESULTS, record
from _run import wenmo
from budget import source_code
from wenmo.config import TokenizerSettings
from wenmo.corpus import Corpus
from wenmo.doctor import cpu_name
from wenmo.models.likelihood import bits_per_byte
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer
from wenmo.training.budget import parse_duration

AWD_WIDTHS = (128, 256)


def ours(
    text: Path, budget: str, seed: int, folder: Path, options: argparse.Namespace
) -> tuple[dict[str, Any], Path]:
    """Trains once, in a process of its own; returns what it printed, and its folder."""
    output = folder / f"{text.stem}-{budget}-{seed}"
    words = ["train", str(text), "-o", str(output), "--budget", budget, "--training.seed", str(seed)]
    if options.threads:
        words += ["--training.threads", str(options.threads)]
    return wenmo(*words), output


def tokens(model: Path) -> tuple[Tokenizer, dict[str, np.ndarray]]:
    """A tokenizer of a model's text and the tokens of its training and test text, each document followed by eos."""
    corpus = Corpus.open(model.with_name(model.name + ".corpus"))
    texts = (text for text, _ in corpus.parts("train"))
    tokenizer = train_tokenizer(texts, TokenizerSettings(), corpus.bytes("train"), progress=False)
    found = {}
    for split in ("train", "test"):
        pieces: list[int] = []
        for text, last in corpus.parts(split):
            pieces += tokenizer.encode(text).tolist()
            if last:
                pieces.append(tokenizer.eos_id)
        found[split] = np.array(pieces, np.int64)
    return tokenizer, found


def peer_names() -> list[str]:
    """Names of the other trainers."""
    sizes = [f"GPT-2 {layers} x {width}" for layers, width, _ in _peers.GPT2_SIZES]
    return [*sizes, *(f"AWD-LSTM 2 x {width}" for width in AWD_WIDTHS), "Keras GRU"]


def peers(model: Path, seconds: float, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Bits per byte of the chosen other trainers on the test text."""
    tokenizer, ids = tokens(model)
    size = int(tokenizer.byte_lengths[ids["test"]].sum())
    train = torch.from_numpy(ids["train"])

    def bpb(nats: float) -> float:
        return bits_per_byte(np.array([nats]), size)

    found: dict[str, float] = {}
    for shape in _peers.GPT2_SIZES:
        name = f"GPT-2 {shape[0]} x {shape[1]}"
        if name not in options.peers:
            continue
        logits, steps = _peers.gpt2(train, tokenizer.vocab_size, shape, seconds)
        found[name] = bpb(_peers.nats_of(logits, ids["test"], tokenizer.eos_id, _peers.CONTEXT))
        print(model.name, name, found[name], steps, file=sys.stderr, flush=True)
    for width in AWD_WIDTHS:
        name = f"AWD-LSTM 2 x {width}"
        if name not in options.peers:
            continue
        logits, steps = _peers.awd_lstm(train, tokenizer.vocab_size, width, seconds)
        found[name] = bpb(_peers.nats_of(logits, ids["test"], tokenizer.eos_id, 256))
        print(model.name, name, found[name], steps, file=sys.stderr, flush=True)
    if options.keras_python and "Keras GRU" in options.peers:
        test = np.concatenate([[tokenizer.eos_id], ids["test"]])
        threads = options.threads or os.cpu_count() or 1
        result = _peers.keras_gru(
            options.keras_python, ids["train"], test, tokenizer.vocab_size, seconds, threads, folder
        )
        found["Keras GRU"] = bpb(result["nats"])
        print(model.name, "Keras", found["Keras GRU"], result["steps"], file=sys.stderr, flush=True)
    return found


def row(text: Path, budget: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One line of the table."""
    runs = [ours(text, budget, seed, folder, options) for seed in range(options.seeds)]
    results = [result for result, _ in runs]

    def average(field: str) -> float:
        return float(mean(result[field] for result in results))

    ppmd, static = mean(result["baselines"]["ppmd"] for result in results), average("static_bits_per_byte")
    line: dict[str, Any] = {
        "text": text.name,
        "budget": budget,
        "wall / budget": round(average("seconds") / average("budget"), 3),
        "prequential": round(average("bits_per_byte"), 4),
        "PPMd": round(ppmd, 4),
        "below PPMd, %": round(100 * (1 - average("bits_per_byte") / ppmd), 1),
        "static": round(static, 4),
        "members": {name: round(value, 4) for name, value in results[0]["members"].items()},
    }
    if len(results) > 1:
        line |= {"seeds": len(results)} | {
            f"{name} ±": round(stdev(result[field] for result in results), 4)
            for name, field in (("prequential", "bits_per_byte"), ("static", "static_bits_per_byte"))
        }
    if not options.no_peers:
        found = peers(runs[0][1], parse_duration(budget), options, folder)
        best = min(found, key=lambda name: found[name])
        below = 100 * (1 - static / found[best])
        kinds: dict[str, float] = {}
        for name, value in found.items():
            kind = name.split(" ")[0]
            kinds[kind] = round(min(value, kinds.get(kind, value)), 4)
        line |= {
            **kinds,
            "best peer": best,
            "static below best peer, %": round(below, 1),
            "peers": len(found),
        }
    return line


def main() -> None:
    """Runs all cells; each is recorded as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, nargs="*", default=[])
    parser.add_argument("--budgets", nargs="+", default=["1m"])
    parser.add_argument("--seeds", type=int, default=1, help="trainings of wenmo for each line")
    parser.add_argument("--threads", type=int, help="of every trainer; all cores when not given")
    parser.add_argument("--keras-python", help="interpreter with keras and tensorflow")
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=peer_names(),
        default=peer_names(),
        help="only these; their number is recorded",
    )
    parser.add_argument("--no-peers", action="store_true", help="only wenmo and PPMd")
    parser.add_argument("--no-source", action="store_true", help="leave out the source code of Python")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    name = "quality" if options.seeds == 1 else "quality_seeds"
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        texts = [*options.texts, *([] if options.no_source else [source_code(folder)])]
        for budget in options.budgets:
            for text in texts:
                line = row(text, budget, options, folder)
                line |= {"threads": options.threads or os.cpu_count(), "processor": cpu_name()}
                keep(name, line)


def keep(name: str, line: dict[str, Any]) -> None:
    """Records a line in the table of a name, in place of an earlier one of the same text and budget."""
    path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    rows = [r for r in rows if (r["text"], r["budget"]) != (line["text"], line["budget"])] + [line]
    most = {
        budget: min(r["below PPMd, %"] for r in rows if r["budget"] == budget)
        for budget in {r["budget"] for r in rows}
    }
    claim = "After equal wall-clock, below PPMd (prequential)"
    if any("best peer" in r for r in rows):
        claim += ", and at least 10 % below the best of three other trainers (static)"
    record(
        name,
        claim=f"{claim}.",
        packages=("torch", "transformers"),
        rows=sorted(rows, key=lambda r: (r["text"], parse_duration(r["budget"]))),
        verdict="Least below PPMd: "
        + ", ".join(f"{most[b]} % at {b}" for b in sorted(most, key=parse_duration))
        + ".",
    )


if __name__ == "__main__":
    main()
