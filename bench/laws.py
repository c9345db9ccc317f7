"""The laws of the dial, measured: step-counted trainings over texts, amounts of computation and shares of the text.

Each point is one training as `wenmo train` would make it (shape, batch, regularisation by the dial), with the number of
steps that an amount of computation buys at 6 operations per parameter and token. Of each are kept the learning curve
of the network alone and of its mixture with the n-gram model that learns on, both on held-out text that steers (never
on the text for the final score). `--runs` adds the curves of models that `wenmo train` made. Points are appended, so
that the grid can be measured in pieces; without texts and runs the laws are only fitted again from what is there.

    python bench/laws.py --texts tinyshakespeare.txt novel.txt --tflop 0.25 1 4 --shares 1 0.5
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _record import RESULTS, record
from budget import source_code
from laws_fit import fit_curve, fit_network, fit_ngram, fit_reach
from wenmo.config import Recipe, TrainingSettings
from wenmo.models.likelihood import bits_per_byte
from wenmo.models.mixing_weights import fit_weights, mixture_nats
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config
from wenmo.text.scripts import han_share
from wenmo.tokenization.stream import spread
from wenmo.training import budget as dial
from wenmo.training.curve import EARLIEST, SURE
from wenmo.training.hardware import Machine
from wenmo.training.trainer import Trainer
from wenmo.workflow.decision import build
from wenmo.workflow.texts import Texts, load_texts, open_corpus

RATE = 2e10
"""Operations per second that stand for a machine: a core trains small models at about this rate."""
EVALUATIONS = 12
VALID_TOKENS = 4_000
POINTS = RESULTS / "laws.points.jsonl"


class Judge:
    """Scores an evaluation of the network also as a part of the mixture."""

    def __init__(self, texts: Texts, ngram: NgramModel) -> None:
        self.ids = spread(texts.valid.ids, VALID_TOKENS).astype(np.int64)
        self.num_bytes = texts.num_bytes(self.ids)
        self.ngram_nats, _ = ngram.scan(self.ids, True, texts.tokenizer.eos_id)

    def mixed(self, nats: np.ndarray) -> float:
        """Bits per byte of the mixture by one weight."""
        rows = np.stack([nats, self.ngram_nats])
        return bits_per_byte(mixture_nats(rows, fit_weights(rows)), self.num_bytes)


class Part:
    """A share of a token stream, in stretches from all over it."""

    def __init__(self, stream: Any, share: float) -> None:
        self.ids = spread(stream.ids, int(len(stream.ids) * share)) if share < 1.0 else stream.ids
        inner = stream.offsets if share == 1.0 else [0, len(self.ids)]
        self.offsets = np.asarray(inner, np.int64)


def train(
    texts: Texts, train: Part, tflop: float, ngram: NgramModel, folder: Path, seed: int
) -> dict[str, Any]:
    """One training; returns its numbers."""
    operations, settings = tflop * 1e12, Recipe()
    seconds, tokens = operations / RATE, len(train.ids)
    bare = RATE / dial.EFFICIENCY["transformer"]
    context = dial.choose_context(tokens, texts.bytes_per_token, seconds, settings.model)
    parameters = dial.choose_parameters("transformer", bare, seconds, tokens)
    parameters = max(parameters, texts.tokenizer.vocab_size * 64 + 100_000)
    batch = dial.choose_batch_tokens(parameters, tokens, seconds)
    seen = operations / (6.0 * parameters)
    dropout, decay = dial.regularisation(seen / tokens, "transformer")
    shape = settings.model.model_copy(update={"context": context, "dropout": dropout})
    config = build_config(
        "transformer", vocab_size=texts.tokenizer.vocab_size, settings=shape, parameters=parameters
    )
    model = build(config, seed)
    plan = dial.resolve_plan(
        model, settings.training.model_copy(update={"seed": seed, "evaluations": EVALUATIONS, "patience": 99}),
        context=context, batch_tokens=batch, weight_decay=decay, seconds=None,
        steps=max(round(seen / batch), EVALUATIONS), valid_tokens=VALID_TOKENS, machine=Machine("cpu", bare, 1.0),
    )  # fmt: skip
    trainer = Trainer(
        model, train, texts.valid, plan, byte_lengths=texts.tokenizer.byte_lengths,
        eos_id=texts.tokenizer.eos_id, directory=folder, show_progress=False,
    )  # fmt: skip
    judge, mixed = Judge(texts, ngram), []
    evaluate = trainer._evaluate

    def evaluated(final: bool) -> None:
        evaluate(final)
        mixed.append(round(judge.mixed(trainer._held_out.nats), 5))

    trainer._evaluate = evaluated
    began = time.process_time()
    outcome = trainer.run()
    rows = [
        {
            "share": round(row.step / plan.steps, 4),
            "epochs": round(row.epochs, 3),
            "train": round(row.train_bpb, 5),
            "valid": round(row.valid_bpb, 5),
            "mixed": value,
        }
        for row, value in zip(outcome.curve, mixed, strict=True)
    ]
    return {
        "parameters": model.num_parameters(),
        "context": context,
        "batch": batch,
        "steps": plan.steps,
        "epochs": round(outcome.epochs, 3),
        "dropout": dropout,
        "weight decay": round(decay, 3),
        "ngram": round(bits_per_byte(judge.ngram_nats, judge.num_bytes), 5),
        "cpu s": round(time.process_time() - began, 1),
        "curve": rows,
    }


def counted(texts: Texts, ids: np.ndarray) -> NgramModel:
    """The n-gram model of a part of the text."""
    model = NgramModel(NgramConfig(vocab_size=texts.tokenizer.vocab_size, context_length=16))
    model.fit(np.asarray(ids), texts.tokenizer.token_bytes)
    return model


def measure(path: Path, tflops: list[float], shares: list[float], seeds: int, folder: Path) -> None:
    """Measures the points of one text that are not there yet, and appends them."""
    recipe = Recipe()
    folder = folder / path.stem
    corpus = open_corpus([str(path)], recipe, folder / "corpus", False)
    texts = load_texts(corpus, recipe, folder, False)
    beginning = next(iter(corpus.texts("train")))[:10_000]
    for share in shares:
        train_part = Part(texts.train, share)
        ngram = counted(texts, train_part.ids)
        for tflop in tflops:
            for seed in range(seeds):
                key = {"kind": "grid", "text": path.name, "share": share, "tflop": tflop, "seed": seed}
                if any({**point, **key} == point for point in points()):
                    continue
                with tempfile.TemporaryDirectory() as name:
                    row = train(texts, train_part, tflop, ngram, Path(name), seed)
                facts = {
                    "language": "zh" if han_share(beginning) > 0.3 else "en",
                    "train bytes": round(corpus.bytes("train") * share),
                    "train tokens": len(train_part.ids),
                    "vocabulary": texts.tokenizer.vocab_size,
                    "bytes per token": round(texts.bytes_per_token, 3),
                }
                append({**key, **facts, **row})


def count_shares(path: Path, shares: list[float], folder: Path) -> None:
    """Counts the n-gram model on a beginning of one text and on half of it, and appends what is not there yet.

    Both are scored on the held-out stretches of that half, so that text from around them was counted both times.
    """
    recipe, folder = Recipe(), folder / path.stem
    corpus = open_corpus([str(path)], recipe, folder / "corpus", False)
    texts = load_texts(corpus, recipe, folder, False)
    eos_id = texts.tokenizer.eos_id
    for share in shares:
        key = {"kind": "ngram", "text": path.name, "share": share}
        if any({**point, **key} == point for point in points()):
            continue
        ids = np.asarray(texts.valid.ids[: int(share / 2 * len(texts.valid.ids))], np.int64)
        losses = []
        for part in (share / 2, share):
            model = counted(texts, texts.train.ids[: int(part * len(texts.train.ids))])
            losses.append(round(bits_per_byte(model.scan(ids, True, eos_id)[0], texts.num_bytes(ids)), 5))
        append(
            {**key, "train bytes": round(corpus.bytes("train") * share), "half": losses[0], "full": losses[1]}
        )


def harvest(folder: Path) -> None:
    """Appends the learning curves of a finished model of `wenmo train` that had the usual schedule.

    The corpus that was made for it stands beside it, and tells which text it is.
    """
    info = json.loads((folder / "wenmo.json").read_text(encoding="utf-8"))["info"]
    manifest = folder.with_name(f"{folder.name}.corpus") / "manifest.json"
    (path,) = json.loads(manifest.read_text(encoding="utf-8"))["paths"]
    asked = {"text": Path(path).name, "budget": info["recipe"]["budget"]}
    usual = TrainingSettings()
    for name, trained in info["recipe"]["trained"].items():
        plan = trained["training"]
        if not plan or any(plan[field] != getattr(usual, field) for field in ("schedule", "warmup", "decay")):
            continue
        lines = (folder / "training" / f"{name}.metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        length = plan["steps"] or plan["seconds"]
        unit = "step" if plan["steps"] else "seconds"
        key = {"kind": "run", **asked, "seed": plan["seed"], "member": name, "seconds": trained["seconds"]}
        if any({**point, **key} == point for point in points()) or len(rows) < EVALUATIONS:
            continue
        curve = [
            {
                "share": round(min(row[unit] / length, 1.0), 4),
                "epochs": round(row["epochs"], 3),
                "train": round(row["train_bpb"], 5),
                "valid": round(row["valid_bpb"], 5),
            }
            for row in rows
        ]
        parameters = info["scores"]["parameters"][name]
        append({**key, "parameters": parameters, "epochs": trained["epochs"], "curve": curve})


def append(point: dict[str, Any]) -> None:
    """Adds a point, and prints it with the end of its curve only."""
    POINTS.parent.mkdir(parents=True, exist_ok=True)
    with POINTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(point, ensure_ascii=False) + "\n")
    print(point | ({"curve": point["curve"][-1:]} if "curve" in point else {}), flush=True)


def points() -> list[dict[str, Any]]:
    """All points measured so far."""
    if not POINTS.is_file():
        return []
    return [json.loads(line) for line in POINTS.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Measures what was asked for and fits the laws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--source", action="store_true", help="also the source code of Python's standard library"
    )
    parser.add_argument("--tflop", type=float, nargs="+", default=[0.25, 0.5, 1.0, 2.0, 4.0])
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0])
    parser.add_argument("--runs", type=Path, nargs="*", default=[], help="models whose curves are added")
    parser.add_argument(
        "--ngram", action="store_true", help="only the n-gram model on the shares of the texts"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--work", type=Path, default=None, help="folder for corpora that are kept between calls"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = options.work or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        texts = [*options.texts, *([source_code(folder)] if options.source else [])]
        for path in options.runs:
            harvest(path)
        for path in texts:
            if options.ngram:
                count_shares(path, options.shares, folder)
            else:
                measure(path, options.tflop, options.shares, options.seeds, folder)
    found = points()
    table = fit_curve(found)
    early, sure = (next(row for row in table if row["share"] > share) for share in (EARLIEST, SURE))
    record(
        "laws",
        claim="Where a held-out loss will end is known within 3 % in nine of ten trainings once two fifths are over, "
        "and in 49 of 50 once 55 % are.",
        rows=table,
        across_trainings=fit_reach(found)["rows"],
        ngram_when_the_text_doubles=fit_ngram(found)["rows"],
        repetition=fit_network(found),
        points=len(found),
        verdict="Each text predicted by the law fitted on the others: "
        + "; ".join(
            f"at {row['share']:.0%} {row['within 3 %']} of {row['trainings']} within 3 %, at most "
            f"{row['largest error']:.1%} off"
            for row in (early, sure)
        )
        + ". "
        "The points stand in bench/results/laws.points.jsonl.",
    )


if __name__ == "__main__":
    main()
