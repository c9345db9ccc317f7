"""`wenmo train --target` without a budget: how long will it take?"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from wenmo.config import Recipe
from wenmo.errors import Interrupted, OptionError
from wenmo.models.base import LanguageModel
from wenmo.models.likelihood import score_stream
from wenmo.models.ngram import NgramModel
from wenmo.models.registry import parse_config
from wenmo.progress import duration
from wenmo.tokenization.stream import spread
from wenmo.training import hardware
from wenmo.training.reach import Reach, joint_loss, joint_sharpness, needed_loss
from wenmo.training.trainer import Trainer
from wenmo.workflow.checks import check_recipe
from wenmo.workflow.clock import Clock
from wenmo.workflow.counting import train_ngram
from wenmo.workflow.decision import decide, initial_model
from wenmo.workflow.finish import measured_scoring
from wenmo.workflow.forecast import Probe, TimeEstimate, sentence
from wenmo.workflow.members import member_names
from wenmo.workflow.mixing import mixes
from wenmo.workflow.pipeline import Told
from wenmo.workflow.target import parse_target, whole_score
from wenmo.workflow.texts import Texts, load_texts, open_corpus

PROBES = (10.0, 40.0)
"""Seconds of the two trainings whose losses are extrapolated."""
SCORED_TOKENS = 8_000
"""Held-out tokens that the probes are scored on."""
LEAST_GROWTH = 0.5
"""Where time is spent half on size and half on tokens, as the dial does it with enough text."""
COUNTING_BUDGET = 240.0
"""Counting the n-gram model for the probe may take a quarter of this."""


@dataclass(frozen=True)
class Measured:
    """The end of one probe.

    Attributes:
        seconds: Its length.
        network: Bits per byte of the network alone on held-out text.
        whole: Of the whole model.
        passes: Passes over the text.
    """

    seconds: float
    network: float
    whole: float
    passes: float


def estimate(
    paths: Sequence[str], recipe: Recipe, *, progress: bool = True, started: float | None = None
) -> TimeEstimate:
    """Finds out how long a training must be for the target of the recipe, by two short ones.

    Nothing is kept. Both are made as `wenmo train` would make them in that time, and what training longer gives is
    extrapolated by the law of `wenmo.training.reach`.

    Raises:
        OptionError: When the recipe has no target, says itself how long to train, or nothing neural is trained.
        Interrupted: After Ctrl-C.
        WenmoError: For whatever else a user can mend.
    """
    if recipe.target is None:
        raise OptionError("--target is missing: say which score to reach, such as 1.9bpb")
    if recipe.training.steps is not None or recipe.training.epochs is not None:
        raise OptionError(
            "--training.steps and --training.epochs say how long to train, which is what is asked; leave them out"
        )
    check_recipe(recipe)
    names = member_names(recipe)
    neural = [name for name in names if name != "ngram"]
    clock = Clock(None, time.monotonic() if started is None else started)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    told = Told(progress)
    told(
        f"two trainings of {PROBES[0]:.0f} and {PROBES[1]:.0f} s will tell how long it takes; nothing of them is kept"
    )
    with tempfile.TemporaryDirectory(prefix="wenmo-") as name:
        folder = Path(name)
        corpus = open_corpus(list(paths), recipe, folder / "corpus", progress)
        texts = load_texts(corpus, recipe, folder, progress)
        clock.text_bytes = corpus.bytes("train")
        clock.held_out_bytes = max(corpus.bytes("valid"), corpus.bytes("test"))
        machine = hardware.measure_machine(hardware.choose_device(recipe.training.device))
        others: list[npt.NDArray[np.float64]] = []
        ids = spread(texts.valid.ids, SCORED_TOKENS).astype(np.int64)
        if "ngram" in names:
            counting = Clock(COUNTING_BUDGET, clock.now())
            ngram = train_ngram(texts, counting, recipe.training.seed, told, progress)
            assert isinstance(ngram.model, NgramModel)
            clock.scoring_speeds["ngram"] = measured_scoring(ngram.model, texts)
            others.append(ngram.model.scan(ids, True, texts.tokenizer.eos_id)[0])
        prepared = clock.elapsed
        measured = [_probe(member, recipe, texts, machine, seconds, ids, others, folder, clock, progress)
                    for member in neural[:1] for seconds in PROBES]  # fmt: skip
        goal = parse_target(recipe.target).bits_per_byte(len(ids), texts.num_bytes(ids))
        alone = whole_score(others, texts.num_bytes(ids)) if others else None
        return _forecast(goal, measured, alone, clock, prepared, len(neural))


def _probe(
    name: str,
    recipe: Recipe,
    texts: Texts,
    machine: hardware.Machine,
    seconds: float,
    ids: npt.NDArray[np.int64],
    others: list[npt.NDArray[np.float64]],
    folder: Path,
    clock: Clock,
    progress: bool,
) -> Measured:
    """One short training; the network's score and the whole model's."""
    shape = decide(name.split("-")[0], recipe, texts, machine, seconds, recipe.training.seed)
    model = initial_model(parse_config(shape.config), shape.plan, texts.train.ids).to(machine.device)
    trainer = Trainer(
        model, texts.train, texts.valid, shape.plan, byte_lengths=texts.tokenizer.byte_lengths,
        eos_id=texts.tokenizer.eos_id, directory=folder / f"probe-{seconds:.0f}", show_progress=progress,
        name=f"probe of {seconds:.0f} s",
    )  # fmt: skip
    outcome = trainer.run()
    if outcome.stopped == "interrupted":
        raise Interrupted(f"interrupted in the probe of {seconds:.0f} s; nothing was kept")
    clock.scoring_speeds[name] = measured_scoring(model, texts, mixes(recipe.architecture, [model]))
    nats = _nats(model, texts, ids)
    num_bytes = texts.num_bytes(ids)
    return Measured(
        outcome.seconds,
        whole_score([nats], num_bytes),
        whole_score([nats, *others], num_bytes),
        outcome.epochs,
    )


def _growth(short: Measured, long: Measured) -> float:
    """Power of the time with which the passes grew between the probes: less than 1 where the model grew too."""
    power = math.log(max(long.passes, 1e-9) / max(short.passes, 1e-9)) / math.log(
        long.seconds / short.seconds
    )
    return min(max(power, LEAST_GROWTH), 1.0)


def _nats(model: LanguageModel, texts: Texts, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return score_stream(model, ids, eos_id=texts.tokenizer.eos_id)


def _forecast(
    goal: float, measured: list[Measured], alone: float | None, clock: Clock, prepared: float, networks: int
) -> TimeEstimate:
    """Extrapolates; `alone` is the score of the n-gram model, `prepared` the seconds before the first training."""
    short, long = measured
    reach = Reach(
        short.seconds,
        short.network,
        long.seconds,
        long.network,
        passes=long.passes,
        growth=_growth(short, long),
    )
    if alone is None:
        needed, floor = goal, reach.floor_span()
        floors = (floor.likely, floor.low, floor.high)
    else:
        sharpness = joint_sharpness(long.network, alone, long.whole)
        needed, floor = needed_loss(goal, alone, sharpness), reach.floor_span()
        floors = tuple(joint_loss(each, alone, sharpness) for each in (floor.likely, floor.low, floor.high))  # type: ignore[assignment]
    if long.whole <= goal:
        likely = low = short.seconds if short.whole <= goal else long.seconds
        high = long.seconds
    else:
        span = reach.seconds_span(needed)
        likely, low, high = span.likely, span.low, span.high
    whole = [_whole_run(seconds, clock, prepared, networks) for seconds in (likely, low, high)]
    result = TimeEstimate(
        target_bits_per_byte=goal,
        reachable="yes" if math.isfinite(whole[2]) else "uncertain" if math.isfinite(whole[1]) else "no",
        seconds=_finite(whole[0]),
        seconds_low=_finite(whole[1]),
        seconds_high=_finite(whole[2]),
        floor=floors[0],
        floor_low=floors[1],
        floor_high=floors[2],
        probes=[Probe(seconds=m.seconds, network=m.network, bits_per_byte=m.whole) for m in measured],
        ngram=alone,
        spent=round(clock.elapsed, 2),
        sentence="",
    )
    return result.model_copy(update={"sentence": sentence(result, duration)})


def _whole_run(training: float, clock: Clock, prepared: float, networks: int) -> float:
    """Budget of the run in which each network trains for so many seconds."""
    if not math.isfinite(training):
        return math.inf
    budget = training * networks + prepared
    for _ in range(20):  # what scoring takes grows with the budget, by a share below one
        reserve = Clock(
            budget, 0.0, clock.text_bytes, clock.held_out_bytes, clock.scoring_speeds, now=lambda: prepared
        ).reserve()
        budget = training * networks + prepared + reserve
    return budget


def _finite(seconds: float) -> float | None:
    return round(seconds, 1) if math.isfinite(seconds) else None
