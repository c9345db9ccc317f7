"""What is decided before a neural training: size, shape and plan, from the text, the machine and the time."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wenmo.config import Recipe, TrainingSettings
from wenmo.errors import ModelError, ResourceError
from wenmo.files import write_text
from wenmo.models.base import ModelConfig, NeuralLanguageModel
from wenmo.models.registry import build_config, build_model
from wenmo.models.sizes import parse_size
from wenmo.progress import duration, quantity
from wenmo.training import budget as dial
from wenmo.training import hardware, sampled_softmax
from wenmo.training.embedding_init import initialise_embedding
from wenmo.training.heap import return_freed_memory
from wenmo.training.memory import fitted, memory_advice, training_memory
from wenmo.training.plan import TrainingPlan
from wenmo.workflow import team
from wenmo.workflow.texts import Texts


@dataclass(frozen=True)
class Shape:
    """What is decided before a neural training.

    Attributes:
        config: Fields of the model's configuration.
        plan: The resolved numbers.
        tokens_per_second: Measured speed.
        parameters: Parameters of the model.
        memory: Bytes that the process holds while it trains.
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
        processes = f"{plan.processes} processes ({plan.parallel}), " if plan.processes > 1 else ""
        return (
            f"{name}: {processes}{quantity(self.parameters, '')} parameters, context {plan.context}, {plan.optimizer}, "
            f"about {steps:,} steps of {plan.rows * plan.context:,} tokens ({self.epochs:.1f} epochs), "
            f"{self.tokens_per_second:,.0f} tokens/s, {duration(estimate)}, {quantity(self.memory, 'B')} of memory"
        )

    def lasting(self, seconds: float) -> Shape:
        """The same with the time that is left when everything is decided; unchanged where steps decide."""
        if self.plan.seconds is None:
            return self
        return replace(self, plan=self.plan.model_copy(update={"seconds": seconds}))

    def write(self, path: Path) -> None:
        """Keeps the decision, so that an interrupted training goes on with the same one."""
        fields = {**vars(self), "plan": self.plan.model_dump(mode="json")}
        write_text(path, json.dumps(fields, indent=2))

    @classmethod
    def read(cls, path: Path) -> Shape:
        """Reads what `write` wrote.

        Raises:
            ModelError: When the file is damaged.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**fields, "plan": TrainingPlan.model_validate(fields["plan"])})
        except (json.JSONDecodeError, TypeError, KeyError, ValueError) as error:
            raise ModelError(f"{path} is damaged; delete the folder of the run and train again") from error


def decide(
    architecture: str, recipe: Recipe, texts: Texts, machine: hardware.Machine, seconds: float, seed: int
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
    parameters = pinned or 0
    vocab_size = texts.tokenizer.vocab_size
    may_pay = dial.sampling_may_pay(training, vocab_size, machine)
    sampled = dial.may_sample(training, machine.device, machine.processes)
    counted_vocab = dial.counted_vocab(vocab_size) if sampled and pinned is None else vocab_size

    def shaped(parameters: int, dropout: float) -> ModelConfig:
        free = {name for name in ("dropout", "recurrent_dropout") if getattr(settings, name) is None}
        chosen = settings.model_copy(update={"context": context, **dict.fromkeys(free, dropout)})
        return build_config(
            architecture,
            vocab_size=vocab_size,
            settings=chosen,
            parameters=parameters,
            counted_vocab=counted_vocab,
        )

    for attempt in range(2):
        if pinned is None:
            wanted = dial.choose_parameters(architecture, rate, horizon, train_tokens)
            # A vocabulary alone may need more than the law asks for.
            parameters = max(wanted, counted_vocab * 64 + 100_000)
        batch = recipe.training.batch_tokens or dial.choose_batch_tokens(parameters, train_tokens, horizon)
        speed = rate / (6.0 * parameters)
        epochs = _epochs(training.steps, training.epochs, batch, speed * horizon, train_tokens)
        dropout, decay = dial.regularisation(epochs, architecture)
        config = shaped(parameters, dropout)
        model = build(config, seed)
        steps = training.steps
        if training.epochs is not None:
            steps = max(1, round(training.epochs * train_tokens / batch))
        plan = dial.resolve_plan(
            model, training, context=context, batch_tokens=batch, weight_decay=decay,
            seconds=seconds if timed else None, steps=steps, valid_tokens=0, machine=machine,
        )  # fmt: skip
        return_freed_memory()
        held, available = hardware.resident_memory(machine.device), hardware.available_memory(machine.device)
        if machine.device == "cpu":
            available /= machine.processes
        plan = fitted(model, plan, training, available)
        needed = training_memory(model, plan)
        if needed > available:
            raise ResourceError(
                f"training a {architecture} of {quantity(model.num_parameters(), '')} parameters needs "
                f"{quantity(needed, 'B')} of memory and {quantity(available, 'B')} is free; "
                f"{memory_advice(model, plan, available)}"
            )
        measure = functools.partial(team.speed, model, device=machine.device, text=texts.train.ids)
        plan, speed = _fastest(plan, measure, training, machine, may_pay, horizon)
        actual = model.num_parameters()
        gained = dial.SAMPLING_GAIN if plan.softmax == "sampled" else 1.0
        reached = speed * 6.0 * parameters / gained
        if attempt or pinned is not None or 0.67 < reached / rate < 1.5:
            break
        rate = reached
    plan = plan.model_copy(
        update={"valid_tokens": _valid_tokens(speed, horizon, training.evaluations, texts)}
    )
    epochs = _epochs(steps, training.epochs, plan.rows * plan.context, speed * horizon, train_tokens)
    # The passes are known only now: the speed that the shape was chosen by is an estimate.
    dropout, decay = dial.regularisation(epochs, architecture)
    config = shaped(parameters, dropout)
    plan = dial.decayed(plan, training, decay, dial.embedding_share(epochs))
    if training.embedding_init == "text":
        counted = dial.embedding_tokens(train_tokens, plan.seconds, epochs)
        plan = plan.model_copy(update={"embedding_tokens": counted})
    memory = held + training_memory(model, plan)  # the threads are known only now
    return Shape(config.model_dump(mode="json"), plan, speed, actual, memory, epochs)


def _fastest(
    plan: TrainingPlan,
    measure: Callable[[TrainingPlan], float],
    training: TrainingSettings,
    machine: hardware.Machine,
    sampling: bool,
    seconds: float,
) -> tuple[TrainingPlan, float]:
    """Chooses by timing how steps are computed, and whether the softmax is sampled; with the tokens per second."""
    if machine.device == "cpu" and machine.processes == 1:
        plan, speed = hardware.choose_execution(
            plan,
            measure,
            precision=training.precision,
            workers=training.workers,
            worker_kind=training.worker_kind,
            seconds=seconds,
        )
    else:
        speed = measure(plan)
    if sampling and hardware.time_for_trials(plan, speed, seconds):
        sampled = plan.model_copy(update={"softmax": "sampled"})
        faster = measure(sampled)
        if faster > sampled_softmax.LEAST_GAIN * speed:
            return sampled, faster
    return plan, speed


def _epochs(steps: int | None, epochs: float | None, batch: int, tokens: float, train_tokens: int) -> float:
    if epochs is not None:
        return epochs
    return (steps * batch if steps is not None else tokens) / max(train_tokens, 1)


def _valid_tokens(speed: float, seconds: float, evaluations: int, texts: Texts) -> int:
    """Held-out tokens of one evaluation: all evaluations together take about a twelfth of the training time."""
    forward = 1.5 * speed  # a forward pass is a third of a step, and each token is read twice
    return int(min(len(texts.valid.ids), max(2_000, forward * seconds / 12.0 / (evaluations + 2))))


def build(config: ModelConfig, seed: int) -> NeuralLanguageModel:
    """Builds a neural model with the initial weights of a seed."""
    torch.manual_seed(seed)
    model = build_model(config)
    assert isinstance(model, NeuralLanguageModel)
    return model


def initial_model(
    config: ModelConfig, plan: TrainingPlan, ids: npt.NDArray[np.unsignedinteger[Any]]
) -> NeuralLanguageModel:
    """Builds a neural model with the weights that its training begins with.

    Args:
        config: Shape.
        plan: Seed, and how much of the text the embedding is taken from.
        ids: Token ids of the training text (N,).
    """
    model = build(config, plan.seed)
    initialise_embedding(model, ids, plan.seed, plan.embedding_tokens)
    return model
