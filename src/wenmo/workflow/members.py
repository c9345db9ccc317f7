"""Training of the single models of a run."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wenmo.config import Recipe
from wenmo.errors import Interrupted, ModelError, OptionError, ResourceError
from wenmo.files import write_text
from wenmo.models.base import LanguageModel, NeuralLanguageModel
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config, build_model, parse_config
from wenmo.models.sizes import parse_size
from wenmo.models.storage import load_model, save_model
from wenmo.progress import duration, quantity, track
from wenmo.tokenization.stream import spread
from wenmo.training import budget as dial
from wenmo.training.plan import TrainingPlan
from wenmo.training.outcome import CurveRow, Stopped
from wenmo.training.trainer import Trainer
from wenmo.workflow.clock import COUNTING_SHARE, Clock
from wenmo.workflow.run import Run
from wenmo.workflow.texts import Texts

NGRAM_BYTES_PER_SECOND = 400_000
"""Speed of counting on one slow core; used only to bound the text where the budget is short."""
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
    known = ("transformer", "lstm", "gru", "rnn", "ngram")
    names: list[str] = []
    for family in recipe.members:
        if family not in known:
            raise OptionError(f"--members {family}: unknown family; choose from {', '.join(known)}")
        count = sum(name.split("-")[0] == family for name in names)
        names.append(f"{family}-{count + 1}" if count else family)
    if not names:
        raise OptionError("--members names no family; name at least one, such as transformer,ngram")
    return names


def train_ngram(texts: Texts, clock: Clock, tell: Callable[[str], None], progress: bool) -> Member:
    """Counts the n-gram model over the training text; over stretches from all of it when the budget is short."""
    started = time.monotonic()
    ids = texts.train.ids
    seconds = COUNTING_SHARE * clock.left
    most = (
        int(NGRAM_BYTES_PER_SECOND * seconds / max(texts.bytes_per_token, 1e-9))
        if math.isfinite(seconds)
        else None
    )
    if most is not None and len(ids) > most:
        ids = spread(ids, most)
        tell(f"ngram: time for {quantity(texts.num_bytes(ids), 'B')} of the text, taken from all over it")
    config = NgramConfig(vocab_size=texts.tokenizer.vocab_size, context_length=NGRAM_CONTEXT)
    model = NgramModel(config)
    with track("n-gram model", float(len(ids)), "tokens", progress) as shown:
        model.fit(np.asarray(ids), texts.tokenizer.token_bytes, progress=shown)
    spent = time.monotonic() - started
    return Member("ngram", model, [], None, None, spent, 1.0, len(ids) / max(spent, 1e-9))


@dataclass(frozen=True)
class Shape:
    """What is decided before a neural training.

    Attributes:
        config: Fields of the model's configuration.
        plan: The resolved numbers.
        tokens_per_second: Measured speed.
        parameters: Parameters of the model.
        memory: Bytes that training needs.
        epochs: Passes over the text that the budget allows.
    """

    config: dict[str, Any]
    plan: TrainingPlan
    tokens_per_second: float
    parameters: int
    memory: float
    epochs: float

    def summary(self, name: str, seconds: float | None) -> str:
        """One line for people."""
        plan = self.plan
        steps = plan.steps or round((seconds or 0.0) * self.tokens_per_second / (plan.rows * plan.context))
        estimate = steps * plan.rows * plan.context / self.tokens_per_second if plan.steps else seconds or 0.0
        return (
            f"{name}: {quantity(self.parameters, 'parameters')}, context {plan.context}, {plan.optimizer}, "
            f"about {steps:,} steps of {plan.rows * plan.context:,} tokens ({self.epochs:.1f} epochs), "
            f"{self.tokens_per_second:,.0f} tokens/s, {duration(estimate)}, {quantity(self.memory, 'B')} of memory"
        )


def decide(
    architecture: str, recipe: Recipe, texts: Texts, machine: dial.Machine, seconds: float, seed: int
) -> Shape:
    """Derives size, shape and plan of a neural model from the text, the machine and the time.

    Raises:
        OptionError: When the settings contradict each other.
        ResourceError: When training cannot fit into memory.
    """
    settings, training = recipe.model, recipe.training.model_copy(update={"seed": seed})
    train_tokens = len(texts.train.ids)
    timed = math.isfinite(seconds)
    horizon = seconds if timed else 600.0
    context = dial.choose_context(train_tokens, texts.bytes_per_token, horizon, settings)
    pinned = parse_size(recipe.size) if recipe.size else None
    rate = machine.flops * dial.EFFICIENCY[architecture]
    parameters = pinned
    for attempt in range(2):
        if pinned is None:
            parameters = dial.choose_parameters(architecture, rate, horizon, train_tokens)
        assert parameters is not None
        # A vocabulary alone may need more than the law asks for.
        if pinned is None:
            parameters = max(parameters, texts.tokenizer.vocab_size * 64 + 100_000)
        batch = recipe.training.batch_tokens or dial.choose_batch_tokens(parameters, train_tokens, horizon)
        speed = rate / (6.0 * parameters)
        epochs = _epochs(training.steps, training.epochs, batch, speed * horizon, train_tokens)
        dropout, decay = dial.regularisation(epochs, architecture)
        shaped = settings.model_copy(
            update={
                "context": context,
                "dropout": dropout if settings.dropout is None else settings.dropout,
                "recurrent_dropout": dropout
                if settings.recurrent_dropout is None
                else settings.recurrent_dropout,
            }
        )
        config = build_config(
            architecture, vocab_size=texts.tokenizer.vocab_size, settings=shaped, parameters=parameters
        )
        model = _build(config, seed)
        steps = training.steps
        if training.epochs is not None:
            steps = max(1, round(training.epochs * train_tokens / batch))
        plan = dial.resolve_plan(
            model, training, context=context, batch_tokens=batch, weight_decay=decay,
            seconds=seconds if timed else None, steps=steps, valid_tokens=0, machine=machine,
        )  # fmt: skip
        memory = dial.training_memory(model, plan)
        available = dial.available_memory(machine.device)
        if memory > available:
            raise ResourceError(
                f"training a {architecture} of {quantity(model.num_parameters(), 'parameters')} needs "
                f"{quantity(memory, 'B')} of memory and {quantity(available, 'B')} is free; "
                "choose a smaller --size or --training.micro-batch-tokens"
            )
        speed = dial.measure_speed(model.to(machine.device), plan)
        actual = model.num_parameters()
        if attempt or pinned is not None or 0.67 < speed * 6.0 * parameters / rate < 1.5:
            break
        rate = speed * 6.0 * parameters
    plan = plan.model_copy(
        update={"valid_tokens": _valid_tokens(speed, horizon, training.evaluations, texts)}
    )
    epochs = _epochs(steps, None, plan.rows * plan.context, speed * horizon, train_tokens)
    return Shape(config.model_dump(mode="json"), plan, speed, actual, memory, epochs)


def _epochs(steps: int | None, epochs: float | None, batch: int, tokens: float, train_tokens: int) -> float:
    if epochs is not None:
        return epochs
    return (steps * batch if steps is not None else tokens) / max(train_tokens, 1)


def _valid_tokens(speed: float, seconds: float, evaluations: int, texts: Texts) -> int:
    """Held-out tokens of one evaluation: all evaluations together take about a twelfth of the training time."""
    forward = 1.5 * speed  # a forward pass is a third of a step, and each token is read twice
    return int(min(len(texts.valid.ids), max(2_000, forward * seconds / 12.0 / (evaluations + 2))))


def _build(config: Any, seed: int) -> NeuralLanguageModel:
    torch.manual_seed(seed)
    model = build_model(config)
    assert isinstance(model, NeuralLanguageModel)
    return model


def train_neural(
    name: str,
    run: Run,
    texts: Texts,
    machine: dial.Machine,
    seconds: float,
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
        seconds: Time for it; infinite when steps or epochs decide.
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
        shape = _read_decision(record)
    else:
        seed = run.recipe.training.seed + number
        shape = decide(architecture, run.recipe, texts, machine, seconds, seed)
        fields = {**vars(shape), "plan": shape.plan.model_dump(mode="json")}
        write_text(record, json.dumps(fields, indent=2))
    tell(shape.summary(name, seconds if math.isfinite(seconds) else None))
    model = _build(parse_config(shape.config), shape.plan.seed).to(machine.device)
    trainer = Trainer(
        model, texts.train, texts.valid, shape.plan, byte_lengths=texts.tokenizer.byte_lengths,
        eos_id=texts.tokenizer.eos_id, directory=directory, show_progress=progress, name=name,
    )  # fmt: skip
    if trainer.checkpoint_path.is_file():
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


def _read_decision(path: Path) -> Shape:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Shape(**{**fields, "plan": TrainingPlan.model_validate(fields["plan"])})
    except (json.JSONDecodeError, TypeError, KeyError, ValueError) as error:
        raise ModelError(f"{path} is damaged; delete the folder of the run and train again") from error


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
