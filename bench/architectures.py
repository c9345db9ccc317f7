"""Which architecture learns most from a small text in an equal number of steps, and in equal time.

A piece of the training part of each text is held out to choose by: the first 80 % is learned from, the next 10 % is
judged, the last 10 % is never read. All models have about the same number of parameters, unless they keep the shape of
the Transformer (`=`), and the same recipe; time is CPU time of the training steps.

    python bench/architectures.py --texts tinyshakespeare.txt hongloumeng.txt --only transformer wenmo lstm mingru
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _data import read_text
from _record import record
from wenmo.config import ModelSettings, TokenizerSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model
from wenmo.models.sizes import parse_size
from wenmo.tokenization.stream import spread
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.tokenization.training import train_tokenizer
from wenmo.training.held_out import HeldOut
from wenmo.training.plan import TrainingPlan
from wenmo.training.trainer import Trainer

CONTEXT = 128
OFF: dict[str, Any] = {
    "residual_scalars": False, "value_embeddings": False, "bigrams": 0, "activation": "swiglu",
}  # fmt: skip
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "transformer": ("transformer", {}),
    "transformer, wider": ("transformer", {"wider": 1.4}),
    "= scalars": ("wenmo", {**OFF, "residual_scalars": True}),
    "= values": ("wenmo", {**OFF, "value_embeddings": True}),
    "= bigrams": ("wenmo", {**OFF, "bigrams": 4096}),
    "= bigrams 1024": ("wenmo", {**OFF, "bigrams": 1024}),
    "= bigrams 16384": ("wenmo", {**OFF, "bigrams": 16384}),
    "= relu2": ("wenmo", {**OFF, "activation": "relu2"}),
    "= all": ("wenmo", {"residual_scalars": True, "value_embeddings": True, "bigrams": 4096, "activation": "relu2"}),
    "= scalars, values, bigrams": ("wenmo", {"residual_scalars": True, "value_embeddings": True, "bigrams": 4096,
                                             "activation": "swiglu"}),
    "= scalars, values": ("wenmo", {**OFF, "residual_scalars": True, "value_embeddings": True}),
    "= scalars, bigrams": ("wenmo", {**OFF, "residual_scalars": True, "bigrams": 4096}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "mingru": ("mingru", {}),
    "mingru, no convolution": ("mingru", {"convolution": 1}),
    "mingru, no branch": ("mingru", {"gated": False}),
    "mingru, neither": ("mingru", {"convolution": 1, "gated": False}),
    "mingru, relu2": ("mingru", {"activation": "relu2"}),
    "minlstm": ("minlstm", {}),
    "rglru": ("rglru", {}),
    "rglru, no convolution": ("rglru", {"convolution": 1}),
    "rglru, no branch": ("rglru", {"gated": False}),
}  # fmt: skip


@dataclass
class Stream:
    """Tokens of one document."""

    ids: np.ndarray
    offsets: np.ndarray


@dataclass
class Text:
    """A text in its two pieces."""

    name: str
    tokenizer: Tokenizer
    train: Stream
    judged: Stream


def read(path: Path, vocab_size: int) -> Text:
    """Reads a text and cuts it; the tokenizer learns from the first piece alone."""
    text = read_text(path)
    first, second = text[: len(text) * 8 // 10], text[len(text) * 8 // 10 : len(text) * 9 // 10]
    settings = TokenizerSettings(kind="bpe", vocab_size=vocab_size)
    tokenizer = train_tokenizer(iter([first]), settings, len(first.encode()), progress=False)

    def stream(piece: str) -> Stream:
        ids = np.append(tokenizer.encode(piece), tokenizer.eos_id)
        return Stream(ids, np.array([0, len(ids)]))

    return Text(path.stem, tokenizer, stream(first), stream(second))


def build(variant: str, text: Text, size: int, seed: int, dropout: float) -> NeuralLanguageModel:
    """Builds the model of a variant."""
    architecture, fields = VARIANTS[variant]
    fields = dict(fields)
    size = round(size * fields.pop("wider", 1.0))
    vocab = text.tokenizer.vocab_size
    settings = ModelSettings(context=CONTEXT, dropout=dropout)
    config = build_config("transformer" if variant.startswith("=") else architecture, vocab_size=vocab,
                          settings=settings.model_copy(update={} if variant.startswith("=") else fields),
                          parameters=size)  # fmt: skip
    if variant.startswith("="):
        shape = config.model_dump(exclude={"architecture", "layout"})
        if fields["activation"] == "relu2":
            shape["ffn"] = round(1.5 * shape["ffn"])  # two matrices instead of three
        from wenmo.models.wenmo import WenmoConfig

        config = WenmoConfig(**{**shape, **fields})
    torch.manual_seed(seed)
    model = build_model(config)
    assert isinstance(model, NeuralLanguageModel)
    return model


def cell(variant: str, text: Text, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Trains once and returns a row."""
    model = build(variant, text, parse_size(options.size), seed, options.dropout)
    plan = TrainingPlan(
        optimizer="muon", lr=4e-3, muon_lr=0.02, weight_decay=0.1, context=CONTEXT, rows=options.rows,
        micro_rows=options.rows, steps=options.steps, evaluations=1, valid_tokens=options.judged, seed=seed,
    )  # fmt: skip
    lengths = text.tokenizer.byte_lengths
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model, text.train, text.judged, plan, byte_lengths=lengths, eos_id=text.tokenizer.eos_id,
            directory=Path(folder), show_progress=False,
        )  # fmt: skip
        started = time.process_time()
        outcome = trainer.run()
        spent = time.process_time() - started
    judged = spread(text.judged.ids, options.judged)
    held_out = HeldOut(judged, lengths, eos_id=text.tokenizer.eos_id, context=CONTEXT)
    started = time.process_time()
    held_out.loss(model)
    spent -= 2 * (time.process_time() - started)  # the averaged weights and the last ones are judged
    return {
        "text": text.name, "model": variant, "seed": seed, "parameters": model.num_parameters(),
        "bits per byte": round(outcome.best_bpb, 4), "ms per step": round(1000 * spent / options.steps, 2),
        "passes": round(outcome.epochs, 2), "training loss": round(outcome.curve[-1].train_loss, 3),
    }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds."""
    found = []
    for key in dict.fromkeys((row["text"], row["model"]) for row in rows):
        group = [row for row in rows if (row["text"], row["model"]) == key]
        scores = [row["bits per byte"] for row in group]
        found.append({
            "text": key[0], "model": key[1], "parameters": group[0]["parameters"],
            "bits per byte": round(statistics.mean(scores), 4), "seeds": len(group),
            "range": round(max(scores) - min(scores), 4),
            "ms per step": round(statistics.median(row["ms per step"] for row in group), 2),
        })  # fmt: skip
    return found


def main() -> None:
    """Runs all cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, nargs="+", required=True)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[1024, 2048], help="one for each text")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rows", type=int, default=16, help="rows of 128 tokens in a step")
    parser.add_argument(
        "--judged", type=int, default=30_000, help="tokens that are judged, from all over the piece"
    )
    parser.add_argument("--size", default="450k")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--name", default="architectures")
    options = parser.parse_args()
    if len(options.vocabularies) < len(options.texts):
        parser.error("--vocabularies must name one size for each text")
    torch.set_num_threads(1)
    rows = []
    for path, vocabulary in zip(options.texts, options.vocabularies, strict=False):
        text = read(path, vocabulary)
        for seed in options.seeds:
            for variant in options.only:
                rows.append(cell(variant, text, options, seed))
                print(rows[-1], flush=True)
    record(
        options.name,
        claim="held-out bits per byte of architectures after as many steps, and the CPU time of a step",
        rows=summary(rows),
        runs=rows,
        verdict="see docs/lab.md",
        size=options.size,
        steps=options.steps,
        tokens_per_step=options.rows * CONTEXT,
        data="first 80 % learned from, next 10 % judged, last 10 % not read",
    )


if __name__ == "__main__":
    main()
