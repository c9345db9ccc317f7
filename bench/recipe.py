"""The recipe by controlled experiment: one thing varied at a time, everything else as the dial chooses it.

The first 80 % of a text are trained on, the next 10 % decide; the last 10 % are never looked at. Training time is that
of the processor, not of the wall, so that other work on the machine does little harm. For each setting: bits per byte
of the neural model alone, and of its mixture with the n-gram model, frozen and learning on (weights fitted on the first
half of the deciding text, all scored on the second half), mean and standard deviation over the seeds.

    python bench/recipe.py novel.txt --seconds 60 --seeds 2 --vary model.dropout=0,0.1,0.2 training.decay=0.4,0.8

`--vary` takes any field of `model`, `training` and `tokenizer`, `size`, and the knobs of `_noise.Knobs`; `--cell` takes
several that are changed together. Each result is added to bench/results/recipe.json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import _noise
import wenmo.training.loop as loop_module
from _data import read_text
from _noise import Knobs
from _record import RESULTS, record
from wenmo.config import Recipe, TokenizerSettings
from wenmo.models.likelihood import bits_per_byte, score_stream
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import parse_config
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer
from wenmo.training import hardware
from wenmo.training.optimisation import lr_factor
from wenmo.training.trainer import Trainer
from wenmo.workflow.decision import build, decide, initial_model


@dataclass(frozen=True)
class Prepared:
    """A text under one tokenizer, with an n-gram model of it."""

    tokenizer: Tokenizer
    text: str
    train: SimpleNamespace
    dev: np.ndarray
    bytes_per_token: float
    ngram: NgramModel

    @property
    def valid(self) -> SimpleNamespace:
        """The first half of the deciding text, which steers the training."""
        return SimpleNamespace(ids=self.dev[: len(self.dev) // 2])


def prepare(text: str, settings: TokenizerSettings) -> Prepared:
    """Cuts a text, trains the tokenizer and the n-gram model on the first 80 %."""
    data = text.encode("utf-8")
    first = data[: int(0.8 * len(data))].decode("utf-8", "ignore")
    dev = data[len(first.encode()) : int(0.9 * len(data))].decode("utf-8", "ignore")
    tokenizer = train_tokenizer([first], settings, len(first.encode()), progress=False)

    def tokens(piece: str) -> np.ndarray:
        return np.array([*tokenizer.encode(piece), tokenizer.eos_id], np.int64)

    ids = tokens(first)
    ngram = NgramModel(NgramConfig(vocab_size=tokenizer.vocab_size, context_length=16))
    ngram.fit(ids, tokenizer.token_bytes)
    train = SimpleNamespace(ids=ids, offsets=np.array([0, len(ids)], np.int64), num_documents=1)
    return Prepared(tokenizer, first, train, tokens(dev), len(first.encode()) / len(ids), ngram)


def run(
    prepared: Prepared, architecture: str, recipe: Recipe, knobs: Knobs, seconds: float, seed: int
) -> dict[str, Any]:
    """Trains once; returns the scores."""
    machine = hardware.measure_machine("cpu")
    shape = decide(architecture, recipe, prepared, machine, seconds, seed)  # type: ignore[arg-type]
    model = initial_model(parse_config(shape.config), shape.plan, prepared.train.ids)
    tokenizer = prepared.tokenizer
    with tempfile.TemporaryDirectory() as folder:
        snapshots: dict[str, Any] = {}
        due = [float(share) for share in knobs.snapshots.split("/") if share]

        def watch(row: Any, done: float) -> bool:
            changed.done = done
            if due and done >= due[0] - 1e-6 and done < 1.0:
                due.pop(0)
                assert trainer._average is not None
                snapshots[f"snapshot-{len(snapshots) + 1}"] = [w.clone() for w in trainer._average.weights]
            return False

        loop_module.lr_factor = _noise.cyclic(knobs.cycles) if knobs.cycles > 1 else lr_factor
        trainer = Trainer(
            model, prepared.train, prepared.valid, shape.plan, byte_lengths=tokenizer.byte_lengths,
            eos_id=tokenizer.eos_id, directory=Path(folder), show_progress=False, watch=watch,
        )  # fmt: skip
        batches: Any = trainer._batches
        if knobs.bpe_dropout:
            batches = _noise.Recut(
                prepared.text, tokenizer, knobs.bpe_dropout, shape.plan.context, shape.plan.rows, seed
            )
        changed = _noise.Changed(batches, knobs, prepared.train.ids, tokenizer.eos_id, seed)
        trainer._batches = changed  # type: ignore[assignment]
        if knobs.layer_drop:
            _noise.skip_layers(model, knobs.layer_drop)
        outcome = trainer.run()
    half = len(prepared.dev) // 2
    fit, score = prepared.dev[:half], prepared.dev[half:]
    size = int(tokenizer.byte_lengths[score].sum())
    members: dict[str, Any] = {"neural": model}
    for name, weights in snapshots.items():
        members[name] = build(parse_config(shape.config), seed)
        with torch.no_grad():
            for parameter, kept in zip(members[name].parameters(), weights, strict=True):
                parameter.copy_(kept)
        members[name].eval()
    mixture = MixtureModel.of({**members, "ngram": prepared.ngram})
    mixture.fit_weights(fit, eos_id=tokenizer.eos_id)
    frozen = mixture.evidence(score, mixture.context_length, False, tokenizer.eos_id)
    learning = mixture.evidence(score, mixture.context_length, True, tokenizer.eos_id, neural=frozen)
    return {
        "alone": bits_per_byte(score_stream(model, score, eos_id=tokenizer.eos_id), size),
        "mixture": bits_per_byte(mixture.mix(frozen, False), size),
        "prequential": bits_per_byte(mixture.mix(learning, True), size),
        "n-gram": bits_per_byte(prepared.ngram.scan(score, True, tokenizer.eos_id)[0], size),
        "train": outcome.curve[-1].train_bpb,
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "parameters": model.num_parameters(),
        "plan": f"{shape.plan.optimizer}, {shape.plan.rows} x {shape.plan.context} tokens, "
        f"decay of weights {shape.plan.weight_decay:.2f}, {shape.plan.precision}",
    }


def changed(recipe: Recipe, knobs: Knobs, setting: str, value: str) -> tuple[Recipe, Knobs]:
    """The recipe and the knobs with one of them set."""
    if hasattr(knobs, setting):
        kind = type(getattr(knobs, setting))
        return recipe, replace(knobs, **{setting: kind(value)})
    fields = recipe.model_dump(mode="json")
    *groups, name = setting.split(".")
    place = fields
    for group in groups:
        place = place[group]
    place[name] = value if setting == "size" or not value[0].isdigit() else json.loads(value)
    return Recipe.model_validate(fields), knobs


def main() -> None:
    """Runs the experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument(
        "--vary", nargs="*", default=[], help="FIELD=VALUE,VALUE...; the dial's choice always runs too"
    )
    parser.add_argument(
        "--cell",
        nargs="+",
        action="append",
        default=[],
        help="FIELD=VALUE... that are set together; may be repeated",
    )
    parser.add_argument("--base", nargs="*", default=[], help="FIELD=VALUE in every run")
    parser.add_argument("--arch", default="transformer")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor, for each training")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--bytes", type=int, default=10**9, help="of the text, at most")
    options = parser.parse_args()
    loop_module.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment]
    text = read_text(options.text).encode("utf-8")[: options.bytes].decode("utf-8", "ignore")
    base = Recipe(architecture=options.arch)
    knobs = Knobs()
    for words in options.base:
        base, knobs = changed(base, knobs, *words.split("=", 1))
    cells = [("as the dial chooses", base, knobs)]
    for words in options.vary:
        setting, values = words.split("=", 1)
        cells += [
            (f"{setting} {value}", *changed(base, knobs, setting, value)) for value in values.split(",")
        ]
    for together in options.cell:
        recipe, turned = base, knobs
        for words in together:
            recipe, turned = changed(recipe, turned, *words.split("=", 1))
        cells.append((", ".join(together).replace("=", " "), recipe, turned))
    kept: dict[TokenizerSettings, Prepared] = {}
    rows = []
    for name, recipe, turned in cells:
        if recipe.tokenizer not in kept:
            kept[recipe.tokenizer] = prepare(text, recipe.tokenizer)
        prepared = kept[recipe.tokenizer]
        runs = [
            run(prepared, options.arch, recipe, turned, options.seconds, seed)
            for seed in range(options.seeds)
        ]
        row = {"setting": name, **summary(runs)}
        rows.append(row)
        print(json.dumps(row, ensure_ascii=False), file=sys.stderr, flush=True)
    keep(options, rows)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of the scores; the rest of the last run."""
    row: dict[str, Any] = {}
    for key, value in runs[-1].items():
        values = [each[key] for each in runs]
        if isinstance(value, str | int):
            row[key] = value
        elif key in ("alone", "mixture", "prequential") and len(values) > 1:
            row[key] = f"{mean(values):.4f} ± {stdev(values):.4f}"
        else:
            row[key] = round(mean(values), 4 if math.fabs(value) < 10 else 1)
    return row


def keep(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Adds the rows to those of other experiments."""
    path = RESULTS / "recipe.json"
    before = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    facts = {
        "text": options.text.name,
        "seconds": options.seconds,
        "model": options.arch,
        "base": " ".join(options.base),
    }
    added = [{**facts, **row} for row in rows]
    keys = ("text", "seconds", "model", "base", "setting")
    known = {tuple(row[key] for key in keys) for row in added}
    kept = [row for row in before if tuple(row[key] for key in keys) not in known]
    record(
        "recipe",
        claim="What each part of the recipe is worth: bits per byte on text between the training and the test text.",
        packages=("torch", "numpy"),
        rows=kept + added,
    )


if __name__ == "__main__":
    main()
