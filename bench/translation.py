"""Translation against a recurrent model without attention, trained on the same pairs in the same run.

Multi30k English-German by its published files (29,000 pairs; the development file steers, the 2016 test file is scored
once), and Tatoeba English-Chinese and English-French, whose last 1,000 distinct sources are held out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import _record
from _data import shared_data
from wenmo.progress import duration
from wenmo.seq2seq.cleaning import clean_pairs
from wenmo.seq2seq.fitting import FitSettings, Fitted, fit_translator
from wenmo.seq2seq.holding_out import by_source, hold_out
from wenmo.seq2seq.nearest import NearestPair
from wenmo.seq2seq.pairs import CHINESE, Pair, Pairs, read_pairs
from wenmo.seq2seq.scores import score_translations
from wenmo.text.scripts import han_share

HELD_OUT = 1000
BASELINE = FitSettings(architecture="gru", fields={"attention": "none"}, beams=5)
SETS = ("multi30k", "tatoeba.en-zh", "tatoeba.en-fr")


def multi30k(folder: Path) -> tuple[list[Pair], list[Pair], list[Pair], tuple[str, str], Pairs]:
    """The published split of Multi30k, English to German; only the training pairs are cleaned."""
    base = folder / "multi30k"

    def rows(name: str) -> Pairs:
        return read_pairs([base / f"{name}.en.gz", base / f"{name}.de.gz"])

    train = rows("train")
    cleaned = clean_pairs(train.rows)
    train.dropped += cleaned.dropped
    return cleaned.pairs, rows("val").rows, rows("test_2016_flickr").rows, train.languages, train


def tatoeba(folder: Path, name: str) -> tuple[list[Pair], list[Pair], list[Pair], tuple[str, str], Pairs]:
    """Tatoeba with its last distinct sources held out, and no sentence of them left in what is learned from."""
    file = folder / f"{name}.tsv"
    read = read_pairs([file if file.exists() else folder / f"{name}.tsv.gz"])
    cleaned = clean_pairs(read.rows, script="simplified" if name.endswith("zh") else "keep")
    read.dropped += cleaned.dropped
    order = list(dict.fromkeys(pair.source for pair in cleaned.pairs))
    last = set(order[-HELD_OUT:])
    test = [pair for pair in cleaned.pairs if pair.source in last]
    split = hold_out(cleaned.pairs, test=test, valid_share=0.02, test_share=0.0, seed=0)
    read.dropped += split.dropped
    return split.train, split.valid, test, read.languages, read


def measure(
    name: str,
    folder: Path,
    settings: FitSettings,
    seconds: float,
    share: float,
    keep: Callable[[dict[str, Any], dict[str, Any]], None],
) -> None:
    """Trains the model and the baseline on one set, and scores both and the nearest training pair.

    Args:
        name: Name of the set.
        folder: Where it is.
        settings: Of the model.
        seconds: Training time of the model.
        share: Training time of the baseline as a share of it.
        keep: Given each row of the result, as soon as it is known, and facts about the set.
    """
    train, valid, test, languages, read = multi30k(folder) if name == "multi30k" else tatoeba(folder, name)
    sources, references = by_source(test, backward=False)
    chinese = han_share("\n".join(row[0] for row in references)) > CHINESE
    facts: dict[str, Any] = {
        "train": len(train),
        "valid": len(valid),
        "test_sources": len(sources),
        "dropped": dict(read.dropped),
    }
    curves: dict[str, list[list[float]]] = {}
    for label, chosen, time_given in (
        ("this model", settings, seconds),
        ("GRU without attention", replace(BASELINE, seed=settings.seed), seconds * share),
    ):
        if time_given <= 0:
            continue
        wall, cpu = time.monotonic(), time.process_time()
        fitted = fit_translator(train, valid, languages, chosen, seconds=time_given)
        spent = {"minutes": (time.monotonic() - wall) / 60, "cpu_minutes": (time.process_time() - cpu) / 60}
        begun = time.monotonic()
        outputs = [one.text for one in fitted.translator.translate(sources)]
        scored = score_translations(sources, outputs, references, chinese=chinese)
        curves[label] = [[round(p.seconds / 60, 2), round(p.score, 2)] for p in fitted.outcome.curve]
        facts |= {"signatures": scored.signatures, "minutes_and_valid_chrf": curves}
        keep(
            {
                "set": name,
                "model": label,
                **scored.scores,
                **{key: round(value, 2) for key, value in spent.items()},
                "decoding_seconds": round(time.monotonic() - begun, 1),
                "parameters": fitted.translator.model.num_parameters(),
                "passes": round(fitted.outcome.epochs, 2),
                "steps": fitted.outcome.steps,
                "recipe": _recipe(fitted),
            },
            facts,
        )
        print(name, label, scored.scores, duration(60 * spent["minutes"]), file=sys.stderr)
    nearest = NearestPair([p.source for p in train], [p.target for p in train])
    copies = [nearest.translate(source) for source in sources]
    scores = score_translations(sources, copies, references, chinese=chinese).scores
    keep({"set": name, "model": "nearest training pair", **scores}, facts)


def _recipe(fitted: Fitted) -> str:
    """Shape and training in one line."""
    shape = fitted.translator.model.config.model_dump(mode="json")
    named = (
        "architecture",
        "vocab_size",
        "encoder_layers",
        "layers",
        "width",
        "hidden_size",
        "ffn",
        "dropout",
        "attention",
    )
    plan = fitted.plan
    words = [f"{name} {shape[name]}" for name in named if name in shape]
    return ", ".join(
        [*words, f"{plan.optimizer}", f"batch {plan.batch_tokens}", f"label smoothing {plan.label_smoothing}"]
    )


def main() -> None:
    """Reads the options and records the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=shared_data("translation"), help="folder with multi30k/ and tatoeba.*"
    )
    parser.add_argument("--sets", default="multi30k", help=f"which of {','.join(SETS)}")
    parser.add_argument(
        "--minutes", type=float, default=40.0, help="training time of the model, tokenizer included"
    )
    parser.add_argument("--share", type=float, default=0.25, help="training time of the baseline, as a share")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arch", default="auto", help="family of the model")
    parser.add_argument("--name", default="translation", help="name of the result")
    options = parser.parse_args()
    if not (options.data / "multi30k").is_dir():
        print("skipped: the folder with multi30k/ is not there; name it with --data")
        return
    torch.set_num_threads(options.threads)
    settings = FitSettings(architecture=options.arch, seed=options.seed, patience=100)
    rows: list[dict[str, Any]] = []
    data: dict[str, Any] = {}

    def keep(row: dict[str, Any], facts: dict[str, Any]) -> None:
        rows.append(row)
        data[row["set"]] = facts
        _record.record(
            options.name,
            claim="a small Transformer trained on a CPU in minutes translates far better than a recurrent model "
            "without attention and than looking up the most similar sentence",
            packages=("torch", "sacrebleu", "tokenizers"),
            data=data,
            rows=rows,
        )

    for name in options.sets.split(","):
        measure(name, options.data, settings, 60 * options.minutes, options.share, keep)


if __name__ == "__main__":
    main()
