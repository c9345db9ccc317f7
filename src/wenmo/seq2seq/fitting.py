"""From clean pairs to a trained translator."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wenmo.errors import ModelError
from wenmo.files import write_text
from wenmo.models.base import LanguageModel
from wenmo.progress import duration, quantity
from wenmo.seq2seq.base import Seq2SeqConfig
from wenmo.seq2seq.batches import TokenPairs
from wenmo.seq2seq.codec import Direction, PairCodec, train_codec
from wenmo.seq2seq.initialising import base_shape, begin_with, open_base
from wenmo.seq2seq.pairs import Pair
from wenmo.seq2seq.plan import PairPlan
from wenmo.seq2seq.recipe import (
    PASSES,
    Optimizer,
    choose_batch,
    choose_config,
    estimate,
    measured_rate,
    passes_in,
)
from wenmo.seq2seq.registry import build_model, parse_config
from wenmo.seq2seq.scores import chrf
from wenmo.seq2seq.search import search_all
from wenmo.seq2seq.training import CHECKPOINT, PairOutcome, PairTrainer
from wenmo.seq2seq.translator import Translator
from wenmo.training.hardware import choose_device, measure_machine

RESOLVED = "fit.json"
"""Shape and plan of an unfinished run, beside its checkpoint."""
SCORED = 400
"""Development sentences that are translated at each evaluation, at most; in a short run one for each second."""
FEWEST_SCORED = 30
"""Fewer would say too little."""
NOMINAL_FLOPS = 1e11
"""Rate of products by which the shape is chosen where steps are given: such a run is the same on every machine."""
DEFAULT_LR: dict[str, float] = {"muon": 3e-3, "adamw": 2e-3}


@dataclass(frozen=True)
class FitSettings:
    """What the caller fixes; None is chosen from the pairs and the time.

    Attributes:
        architecture: `auto` is a Transformer, or what the base model is.
        direction: Which way is translated.
        base: Folder of a language model to begin with.
        fields: Fields of the model's configuration.
        vocab_size: Tokens of the tokenizer.
        optimizer: Muon (with AdamW for embeddings and vectors), or AdamW.
        lr: Learning rate of AdamW.
        muon_lr: Learning rate of Muon.
        batch_tokens: Tokens of a batch.
        label_smoothing: Share of probability spread over the vocabulary.
        rdrop: Weight of R-Drop; 0 is off.
        steps: Optimiser steps instead of a time.
        evaluations: Evaluations during the training.
        patience: Evaluations without a better score before training stops.
        beams: Width of the beam the translator is used with.
        length_penalty: Exponent of the length.
        seed: Seed of initialisation, order and dropout.
    """

    architecture: str = "auto"
    direction: Direction = "forward"
    base: Path | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    vocab_size: int | None = None
    optimizer: Optimizer = "muon"
    lr: float | None = None
    muon_lr: float = 0.02
    batch_tokens: int | None = None
    label_smoothing: float = 0.1
    rdrop: float = 0.0
    steps: int | None = None
    evaluations: int = 16
    patience: int = 6
    beams: int = 5
    length_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """A trained translator and how it came about.

    Attributes:
        translator: With the best weights.
        outcome: The training run.
        plan: Its numbers.
    """

    translator: Translator
    outcome: PairOutcome
    plan: PairPlan


def fit_translator(
    train: Sequence[Pair],
    valid: Sequence[Pair],
    languages: tuple[str, str],
    settings: FitSettings,
    *,
    seconds: float,
    directory: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = lambda sentence: None,
    name: str = "training",
) -> Fitted:
    """Trains a translator within a time.

    Args:
        train: Training pairs, cleaned.
        valid: Pairs that steer: the weights with the best chrF on them are kept.
        languages: Names of the two sides.
        settings: What is fixed.
        seconds: Wall-clock time for everything from here.
        directory: Folder for checkpoints and the tokenizer; None writes nothing.
        resume: Whether to go on from a checkpoint in it, if there is one.
        progress: Whether progress is shown.
        say: Told the estimate and the choices, a sentence each.
        name: Name in the progress line.

    Raises:
        OptionError: When the base model does not fit.
        TrainingError: When the loss is not finite.
    """
    started = time.monotonic()
    base, tokenizer = None, None
    if settings.base is not None:
        base, tokenizer = open_base(settings.base, settings.architecture)
        say(f"the tokenizer is that of {settings.base} ({tokenizer.vocab_size:,} tokens)")
    first, second = [p.source for p in train], [p.target for p in train]
    if tokenizer is None:
        codec = train_codec(
            first, second, languages, settings.direction, vocab_size=settings.vocab_size, progress=progress
        )
    else:
        codec = PairCodec(tokenizer, languages, settings.direction)
    pairs = codec.pairs(first, second)
    held_out = codec.pairs([p.source for p in valid], [p.target for p in valid])
    device = choose_device("auto")
    resume = resume and directory is not None and (directory / CHECKPOINT).exists()
    if resume and directory is not None:
        config, plan = _resolved(directory)
        say("training goes on from the last checkpoint")
    else:
        config, plan = _choose(
            settings, base, codec, pairs, seconds - (time.monotonic() - started), device, say
        )
        if plan.steps is None:
            plan = plan.model_copy(update={"seconds": max(seconds - (time.monotonic() - started), 0.5)})
        if directory is not None:
            facts = {"config": config.model_dump(mode="json"), "plan": plan.model_dump(mode="json")}
            write_text(directory / RESOLVED, json.dumps(facts, indent=2))
    torch.manual_seed(settings.seed)
    model = build_model(config)
    if base is not None:
        share = begin_with(model, base)
        say(f"{share:.0%} of the parameters begin as those of {settings.base}")
    model = model.to(device)
    ratio = _largest_ratio(pairs)
    trainer = PairTrainer(
        model,
        pairs,
        held_out,
        plan,
        score=_scorer(codec, held_out, valid, ratio, min(SCORED, max(FEWEST_SCORED, round(seconds)))),
        directory=directory,
        progress=progress,
        name=name,
    )
    if resume:
        trainer.resume()
    outcome = trainer.run()
    longest = max((len(source) for source in pairs.sources), default=1)
    translator = Translator(
        model,
        codec,
        ratio=ratio,
        beams=settings.beams,
        length_penalty=settings.length_penalty,
        longest=longest,
    )
    return Fitted(translator, outcome, plan)


def _choose(
    settings: FitSettings,
    base: LanguageModel | None,
    codec: PairCodec,
    pairs: TokenPairs,
    seconds: float,
    device: str,
    say: Callable[[str], None],
) -> tuple[Seq2SeqConfig, PairPlan]:
    """Chooses the shape and the numbers of the training, and says what they will cost."""
    architecture, fields = settings.architecture, dict(settings.fields)
    if base is not None:
        architecture, fields = str(base.architecture), {**base_shape(base), **fields}
    elif architecture == "auto":
        architecture = "transformer"
    flops = NOMINAL_FLOPS
    if settings.steps is None:
        flops = measured_rate(
            architecture,
            codec.vocab_size,
            pairs,
            measure_machine(device).flops,
            seconds,
            fields,
            _plan(settings, pairs, PASSES, seconds),
            device,
        )
    config = choose_config(architecture, codec.vocab_size, pairs, flops, seconds, fields)
    plan = _plan(settings, pairs, passes_in(config, pairs, flops, seconds), seconds)
    cost = estimate(build_model(config).to(device), pairs, plan)
    planned = cost.step_seconds * plan.steps if plan.steps is not None else plan.seconds or 0.0
    say(
        f"{architecture}, {quantity(numbers(config), 'parameters')}, {codec.vocab_size:,} tokens, {plan.optimizer}, "
        f"batches of {plan.batch_tokens:,} tokens: about {cost.passes:.1f} passes over {len(pairs):,} pairs in "
        f"{duration(planned)}, {quantity(cost.memory, 'B')} of memory at most"
    )
    return config, plan


def _plan(settings: FitSettings, pairs: TokenPairs, passes: float, seconds: float) -> PairPlan:
    """The numbers of the training: as they are fixed, else chosen."""
    return PairPlan(
        optimizer=settings.optimizer,
        lr=settings.lr or DEFAULT_LR[settings.optimizer],
        muon_lr=settings.muon_lr,
        batch_tokens=settings.batch_tokens or choose_batch(pairs, passes),
        label_smoothing=settings.label_smoothing,
        rdrop=settings.rdrop,
        steps=settings.steps,
        evaluations=settings.evaluations,
        patience=settings.patience,
        seconds=None if settings.steps is not None else max(seconds, 0.5),
        seed=settings.seed,
    )


def _resolved(directory: Path) -> tuple[Seq2SeqConfig, PairPlan]:
    """Shape and plan of an interrupted run."""
    path = directory / RESOLVED
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return parse_config(facts["config"]), PairPlan.model_validate(facts["plan"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged ({error}); delete {directory} and train again") from error


def numbers(config: Seq2SeqConfig) -> int:
    """Number of parameters of a model of this shape."""
    with torch.device("meta"):
        return build_model(config).num_parameters()


def _largest_ratio(pairs: TokenPairs) -> float:
    """Target tokens per source token of nearly all pairs, and half as many again."""
    ratios = [(len(t) + 1) / len(s) for s, t in zip(pairs.sources, pairs.targets, strict=True)]
    return float(max(1.0, math.ceil(10 * 1.5 * float(np.quantile(ratios, 0.99))) / 10)) if ratios else 2.0


def _scorer(
    codec: PairCodec, held_out: TokenPairs, valid: Sequence[Pair], ratio: float, count: int
) -> Callable[[Any], float] | None:
    """Scores by chrF, on greedy translations of at most `count` development sentences, of every way alike."""
    if not len(held_out):
        return None
    texts: list[str] = []
    for backward in codec.backwards:
        texts += [p.source if backward else p.target for p in valid]
    chosen = list(range(0, len(held_out), max(1, -(-len(held_out) // count))))
    sources, references = [held_out.sources[i] for i in chosen], [texts[i] for i in chosen]

    def score(model: Any) -> float:
        outputs = [""] * len(sources)
        for place, found in search_all(
            model, sources, ratio=ratio, beams=1, length_penalty=1.0, banned=codec.banned
        ):
            outputs[place] = codec.decode(found[0].tokens)
        return chrf(outputs, references)

    return score
