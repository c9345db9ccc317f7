"""Training of the single models of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wenmo.config import Recipe
from wenmo.errors import Interrupted, OptionError
from wenmo.models.base import LanguageModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import member_architectures, parse_config
from wenmo.models.storage import load_model, save_model
from wenmo.progress import quantity, track
from wenmo.tokenization.stream import shuffled, spread
from wenmo.training import hardware
from wenmo.training.outcome import CurveRow, Stopped
from wenmo.training.plan import TrainingPlan
from wenmo.training.trainer import Trainer
from wenmo.workflow import team
from wenmo.workflow.clock import COUNTING_SHARE, Clock
from wenmo.workflow.decision import Shape, build, decide
from wenmo.workflow.run import Run
from wenmo.workflow.texts import Texts

NGRAM_BYTES_PER_SECOND = 400_000
"""Speed of counting on one slow core; used only to bound the text where the budget is short."""
NGRAM_LEAST_TOKENS = 20_000
"""Tokens that are counted even when the budget is used up: a fraction of a second."""
NGRAM_MOST_TOKENS = 1 << 28
"""Most tokens that are counted, whatever the time: they are put in order in memory; the tables are full long before."""
NGRAM_CONTEXT = 16
"""Context length written into the n-gram model, which remembers fewer tokens than any neural member."""


@dataclass
class Member:
    """A trained model of a run.

    Attributes:
        name: Its architecture, numbered when there are several of one family.
        model: The model with its best weights.
        curve: Its evaluations during training; empty for the n-gram model.
        stopped: Why its training ended.
        plan: The resolved numbers of its training; None for the n-gram model.
        seconds: Training time.
        epochs: Passes over the text.
        tokens_per_second: Speed of its training.
    """

    name: str
    model: LanguageModel
    curve: list[CurveRow]
    stopped: Stopped | None
    plan: TrainingPlan | None
    seconds: float
    epochs: float
    tokens_per_second: float


def member_names(recipe: Recipe) -> list[str]:
    """Names of the models to train: families, numbered where one is named more than once.

    Raises:
        OptionError: When a mixture names an unknown family or has no member.
    """
    if recipe.architecture not in ("auto", "mixture"):
        return [recipe.architecture]
    known = member_architectures()
    names: list[str] = []
    for family in recipe.members:
        if family not in known:
            raise OptionError(f"--members {family}: unknown family; choose from {', '.join(known)}")
        count = sum(name.split("-")[0] == family for name in names)
        names.append(f"{family}-{count + 1}" if count else family)
    if not names:
        raise OptionError("--members names no family; name at least one, such as transformer,ngram")
    return names


def train_ngram(texts: Texts, clock: Clock, seed: int, tell: Callable[[str], None], progress: bool) -> Member:
    """Counts the n-gram model over the training text; over stretches from all of it when the budget is short.

    Several documents are read in blocks of random order: the model adapts, and what it read last, such as the last of
    two languages, would count most. A single text is read as it runs.
    """
    started = time.monotonic()
    ids = texts.train.ids
    seconds = COUNTING_SHARE * clock.left
    most = min(NGRAM_BYTES_PER_SECOND * seconds / max(texts.bytes_per_token, 1e-9), NGRAM_MOST_TOKENS)
    if len(ids) > most:
        ids = spread(ids, max(int(most), NGRAM_LEAST_TOKENS))
        tell(f"ngram: counts {quantity(texts.num_bytes(ids), 'B')} of the text, taken from all over it")
    if texts.train.num_documents > 1:
        ids = shuffled(ids, seed)
    config = NgramConfig(vocab_size=texts.tokenizer.vocab_size, context_length=NGRAM_CONTEXT)
    model = NgramModel(config)
    with track("n-gram model", float(len(ids)), "tokens", progress) as shown:
        model.fit(np.asarray(ids), texts.tokenizer.token_bytes, progress=shown)
    spent = time.monotonic() - started
    return Member("ngram", model, [], None, None, spent, 1.0, len(ids) / max(spent, 1e-9))


def train_neural(
    name: str,
    run: Run,
    texts: Texts,
    machine: hardware.Machine,
    clock: Clock,
    waiting: int,
    number: int,
    tell: Callable[[str], None],
    progress: bool,
) -> Member:
    """Trains one neural model, or goes on where it was interrupted.

    Args:
        name: Name of the member; its family stands before the hyphen.
        run: The run.
        texts: What to train on.
        machine: The measured machine.
        clock: The clock of the run.
        waiting: Neural models still to be trained, with this one.
        number: Position among the members, which sets the seed apart.
        tell: Told what was decided.
        progress: Whether to show a progress line.

    Raises:
        Interrupted: After Ctrl-C; the checkpoint is saved.
    """
    directory = run.part(f"members/{name}")
    record = directory / "decision.json"
    architecture = name.split("-")[0]
    if record.is_file():
        shape = Shape.read(record)
        clock.scoring_speeds[name] = scoring_speed(name, shape.tokens_per_second, texts)
    else:
        seed = run.recipe.training.seed + number
        shape = decide(architecture, run.recipe, texts, machine, clock.training(waiting), seed)
        clock.scoring_speeds[name] = scoring_speed(name, shape.tokens_per_second, texts)
        shape = shape.lasting(clock.training(waiting, undecided=waiting - 1))
        shape.write(record)
    tell(shape.summary(name, shape.plan.seconds))
    model = build(parse_config(shape.config), shape.plan.seed)
    world = team.together(model, shape.plan, machine.device, run.directory, name, progress)
    device = world.device(machine.device)
    if world.alone or shape.plan.parallel == "ddp":
        model.to(device)
    trainer = Trainer(
        model, texts.train, texts.valid, shape.plan, byte_lengths=texts.tokenizer.byte_lengths,
        eos_id=texts.tokenizer.eos_id, directory=directory, show_progress=progress, name=name,
        world=world, device=device,
    )  # fmt: skip
    if trainer.has_checkpoint:
        trainer.resume()
    outcome = trainer.run()
    if outcome.stopped == "interrupted":
        raise Interrupted(
            f"interrupted after {outcome.steps} steps of {name}; everything is saved in {run.directory}. "
            f"Go on with: wenmo train --resume {run.output}"
        )
    speed = outcome.tokens / max(outcome.seconds, 1e-9)
    return Member(
        name,
        model.to("cpu"),
        outcome.curve,
        outcome.stopped,
        shape.plan,
        outcome.seconds,
        outcome.epochs,
        speed,
    )


def scoring_speed(name: str, tokens_per_second: float, texts: Texts) -> float:
    """Bytes of text that a member scores in a second, from the speed at which it is trained.

    An n-gram model learns as fast as it scores, and reads the test text twice: frozen, and learning on. A forward pass
    of a neural model is a third of a training step, and windows that slide by half read every token twice.
    """
    share = 0.5 if name == "ngram" else 1.5
    return share * tokens_per_second * texts.bytes_per_token


def keep(member: Member, run: Run, texts: Texts) -> None:
    """Saves a finished member inside the run, so that an interruption later loses nothing."""
    facts = {k: v for k, v in vars(member).items() if k not in ("model", "curve", "plan")}
    info = {
        "member": facts,
        "curve": [vars(row) for row in member.curve],
        "plan": member.plan.model_dump(mode="json") if member.plan else None,
    }
    save_model(member.model, run.part(f"finished/{member.name}"), tokenizer=texts.tokenizer, info=info)


def finished(name: str, run: Run) -> Member | None:
    """Loads a member that `keep` saved, or returns None."""
    directory = run.part(f"finished/{name}")
    if not (directory / "wenmo.json").is_file():
        return None
    loaded = load_model(directory)
    info = loaded.info
    plan = TrainingPlan.model_validate(info["plan"]) if info["plan"] else None
    return Member(
        model=loaded.model, curve=[CurveRow(**row) for row in info["curve"]], plan=plan, **info["member"]
    )
