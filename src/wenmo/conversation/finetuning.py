"""Fine-tuning: the plan, the training on answers alone, and going on after an interruption."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from wenmo.config import TrainingSettings
from wenmo.conversation.batches import ConversationBatches, HeldOutAnswers
from wenmo.conversation.encoding import Encoded, Example, encode_conversations
from wenmo.conversation.messages import Conversation
from wenmo.conversation.starting import (
    Base,
    chosen_context,
    grown_base,
    new_model,
    new_tokenizer,
)
from wenmo.conversation.template import CHAT_TEMPLATE, chat_tokenizer
from wenmo.errors import Interrupted, ModelError, ResourceError
from wenmo.files import atomic_directory, write_text
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_model, parse_config
from wenmo.progress import duration, quantity
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.training import budget as dial
from wenmo.training import hardware
from wenmo.training.distributed import measure_speed
from wenmo.training.loop import BatchTrainer
from wenmo.training.memory import training_memory
from wenmo.training.outcome import TrainingOutcome
from wenmo.training.plan import TrainingPlan

EPOCHS = 6.0
"""Most passes over the conversations when a trained model is fine-tuned."""
SCRATCH_EPOCHS = 30.0
"""The same for a new model, which has everything to learn."""
SPARE = 1.5
"""Passes end the training, not the time, where they would take this much less than it: speeds vary."""
FINE_TUNING_LR = 0.25
"""Peak learning rates of fine-tuning as a share of those a new model is trained with."""
EVALUATIONS = 12
DECISION, CHECKPOINT = "decision.json", "checkpoint.safetensors"


@dataclass(frozen=True)
class FineTuningSettings:
    """What the user may say about the training.

    Attributes:
        architecture: Family of a new model.
        size: Parameters of a new model.
        context: Tokens of a conversation.
        epochs: Passes over the conversations; decided when not given.
        lr_scale: Factor on the learning rates; decided when not given.
        batch_tokens: Tokens of a batch; decided when not given.
        seed: Seed of weights, order and dropout.
    """

    architecture: str = "transformer"
    size: str | None = None
    context: int | None = None
    epochs: float | None = None
    lr_scale: float | None = None
    batch_tokens: int | None = None
    seed: int = 0


@dataclass
class FineTuned:
    """What fine-tuning gives.

    Attributes:
        model: The model with the lowest held-out loss on answers.
        tokenizer: Its tokenizer, with the chat template.
        context: Tokens of a conversation that it reads.
        outcome: How the training ended.
        plan: Its numbers.
        encoded: The training conversations and what was cut of them.
        base: The model it began with.
    """

    model: NeuralLanguageModel
    tokenizer: Tokenizer
    context: int
    outcome: TrainingOutcome
    plan: TrainingPlan
    encoded: Encoded
    base: Base | None


def fine_tune(
    train: Sequence[Conversation],
    valid: Sequence[Conversation],
    base: Base | None,
    settings: FineTuningSettings,
    *,
    directory: Path,
    seconds: Callable[[], float],
    say: Callable[[str], None],
    progress: bool,
) -> FineTuned:
    """Trains a model on the answers of conversations, or goes on where it was interrupted.

    Args:
        train: Conversations to learn from.
        valid: Conversations held out: training ends early when the loss on their answers no longer falls.
        base: The model to begin with (see `starting.open_base`); None for a new one.
        settings: What the user asked for.
        directory: Folder of the unfinished run; a checkpoint there is gone on with.
        seconds: Returns the time that is left for training.
        say: Told what was decided.
        progress: Whether to show a progress line.

    Raises:
        Interrupted: After Ctrl-C; the checkpoint is saved.
        ModelError: When the model cannot read a context as long as was asked for.
        ResourceError: When training does not fit into memory.
    """
    if base is not None and base.tokenizer.chat_template not in (None, CHAT_TEMPLATE):
        say(f"the chat template of {base.directory} is replaced by this program's own")
    tokenizer = _tokenizer(base, train, directory / "tokenizer", progress)
    encoded = encode_conversations(tokenizer, train, 1 << 30, progress=progress)
    lengths = [len(each) for each in encoded.examples]
    model_of_base = None if base is None else base.model
    context = chosen_context(lengths, model_of_base, settings.context)
    if max(lengths) > context:
        encoded = encode_conversations(tokenizer, train, context, progress=progress)
    held_out = encode_conversations(tokenizer, valid, context).examples
    _tell_cuts(encoded, context, model_of_base, say)
    machine = hardware.measure_machine(hardware.choose_device("auto"))
    record = directory / DECISION
    if record.is_file() and (directory / CHECKPOINT).is_file():
        model, plan, batch_tokens = _read_decision(record)
    else:
        tokens = sum(lengths)
        if base is None:
            model = new_model(
                settings.architecture, tokenizer, context=context, tokens=tokens, size=settings.size,
                machine=machine, seconds=seconds(), seed=settings.seed,
            )  # fmt: skip
        else:
            torch.manual_seed(settings.seed)
            model, tokenizer = grown_base(base, context, _dropout(base.model, settings))
        model.to(machine.device)
        batch_tokens = settings.batch_tokens or dial.choose_batch_tokens(
            model.num_parameters(), max(tokens // 16, 64), seconds()
        )
        plan, speed = _plan(model, encoded.examples, settings, base, context, batch_tokens, machine, seconds)
        say(_summary(model, plan, batch_tokens, tokens, speed))
        _write_decision(record, model, plan, batch_tokens)
    batches = ConversationBatches(encoded.examples, tokens=batch_tokens, seed=plan.seed)
    say(f"one conversation in a row; {batches.padding:.0%} of a batch is padding")
    judged = _share(held_out, plan.valid_tokens)
    counted = sum(int(each.answers.sum()) for each in encoded.examples)
    trainer = BatchTrainer(
        model.to(machine.device), batches, HeldOutAnswers(judged), plan,
        bytes_per_token=sum(each.num_bytes for each in encoded.examples) / max(counted, 1),
        directory=directory, show_progress=progress, name="fine-tuning" if base else "training",
    )  # fmt: skip
    if (directory / CHECKPOINT).is_file():
        trainer.resume()
    outcome = trainer.run()
    if outcome.stopped == "interrupted":
        target = directory.with_name(directory.name.removesuffix(".run"))
        raise Interrupted(
            f"interrupted after {outcome.steps} steps; everything is saved in {directory}. "
            f"Go on with: wenmo train --resume {target}"
        )
    return FineTuned(model.to("cpu"), tokenizer, context, outcome, plan, encoded, base)


def _tokenizer(base: Base | None, train: Sequence[Conversation], path: Path, progress: bool) -> Tokenizer:
    if base is not None:
        return chat_tokenizer(base.tokenizer)
    if (path / "tokenizer.json").is_file():
        return Tokenizer.load(path)
    tokenizer = new_tokenizer(train, progress)
    with atomic_directory(path) as temporary:
        tokenizer.save(temporary)
    return tokenizer


def _tell_cuts(
    encoded: Encoded, context: int, base: NeuralLanguageModel | None, say: Callable[[str], None]
) -> None:
    if base is not None and context > base.context_length:
        say(f"the context grows from {base.context_length} to {context} tokens to hold the conversations")
    total = len(encoded.examples)
    if encoded.cut:
        say(
            f"{encoded.cut:,} of {total:,} conversations are longer than {context} tokens: their beginning was cut"
        )
    if encoded.cut_answers:
        say(f"{encoded.cut_answers:,} answers alone are longer than {context} tokens: their end was cut")


def _dropout(model: NeuralLanguageModel, settings: FineTuningSettings) -> float:
    """Dropout for the passes to come; never less than the model was trained with."""
    wanted, _ = dial.regularisation(settings.epochs or EPOCHS, model.architecture)
    return max(wanted, float(getattr(model.config, "dropout", 0.0)))


def _plan(
    model: NeuralLanguageModel,
    examples: Sequence[Example],
    settings: FineTuningSettings,
    base: Base | None,
    context: int,
    batch_tokens: int,
    machine: hardware.Machine,
    seconds: Callable[[], float],
) -> tuple[TrainingPlan, float]:
    width = min(max(map(len, examples)), context)
    training = TrainingSettings(seed=settings.seed, evaluations=EVALUATIONS, compile="off", softmax="full")
    plan = dial.resolve_plan(
        model, training, context=width, batch_tokens=batch_tokens, weight_decay=0.1,
        seconds=0.0, steps=None, valid_tokens=0, machine=machine,
    )  # fmt: skip
    memory = training_memory(model, plan)
    available = hardware.available_memory(machine.device)
    if memory > available:
        raise ResourceError(
            f"training {quantity(model.num_parameters(), '')} parameters needs {quantity(memory, 'B')} of memory "
            f"and {quantity(available, 'B')} is free; choose a smaller --batch-tokens or --size"
        )
    measure = functools.partial(measure_speed, copy.deepcopy(model))
    plan, speed = (
        hardware.choose_execution(plan, measure, seconds=max(seconds(), 1.0))
        if machine.device == "cpu"
        else (plan, measure(plan))
    )
    tokens = sum(map(len, examples))
    left = max(seconds(), 1.0)
    passes = settings.epochs or (EPOCHS if base is not None else SCRATCH_EPOCHS)
    steps: int | None = None
    limit: float | None = left
    if settings.epochs is not None or SPARE * passes * tokens / speed < left:
        per_epoch = ConversationBatches(examples, tokens=batch_tokens, seed=settings.seed).batches_per_epoch
        steps, limit = max(1, round(passes * per_epoch)), None
    scale = settings.lr_scale or (FINE_TUNING_LR if base is not None else 1.0)
    forward = 3.0 * speed
    valid_tokens = int(max(2_000.0, forward * (limit or left) / 10.0 / (EVALUATIONS + 2)))
    changed = {
        "lr": plan.lr * scale,
        "muon_lr": plan.muon_lr * scale,
        "seconds": limit,
        "steps": steps,
        "valid_tokens": valid_tokens,
        "micro_rows": 1 << 20,  # a batch is as many rows as fit into its tokens, in one pass
    }
    return plan.model_copy(update=changed), speed


def _summary(
    model: NeuralLanguageModel, plan: TrainingPlan, batch_tokens: int, tokens: int, speed: float
) -> str:
    steps = plan.steps * batch_tokens if plan.steps is not None else 0
    time = plan.seconds if plan.seconds is not None else steps / speed
    passes = f"about {time * speed / max(tokens, 1):.1f} passes in {duration(time)}"
    length = f"{plan.steps:,} steps, {passes}" if plan.steps is not None else passes
    memory = training_memory(model, plan.model_copy(update={"micro_rows": plan.rows}))
    memory += hardware.resident_memory(model.device.type)
    return (
        f"{model.architecture}: {quantity(model.num_parameters(), '')} parameters, {plan.optimizer}, batches of "
        f"{batch_tokens:,} tokens, {speed:,.0f} tokens/s, {length}; "
        f"{quantity(memory, 'B')} of memory"
    )


def _share(examples: Sequence[Example], tokens: int) -> list[Example]:
    """Conversations from all over `examples`, about `tokens` tokens of them, at least one."""
    total = sum(map(len, examples))
    every = max(1, round(total / max(tokens, 1)))
    return list(examples[::every])


def _write_decision(path: Path, model: NeuralLanguageModel, plan: TrainingPlan, batch_tokens: int) -> None:
    content = {
        "config": model.config.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
        "batch_tokens": batch_tokens,
    }
    write_text(path, json.dumps(content, indent=2))


def _read_decision(path: Path) -> tuple[NeuralLanguageModel, TrainingPlan, int]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model = build_model(parse_config(content["config"]))
        plan = TrainingPlan.model_validate(content["plan"])
        batch_tokens = int(content["batch_tokens"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged; delete the folder of the run and train again") from error
    assert isinstance(model, NeuralLanguageModel)
    return model, plan, batch_tokens
