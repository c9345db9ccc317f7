"""The dial: from minutes and text to the numbers of a training run.

The laws here were fitted on this project's own experiments (docs/lab.md): each constant names what it stands for.
"""

from __future__ import annotations

import re
from math import log2

from wenmo.config import ComparisonRecipe, DistilRecipe, ModelSettings, Recipe, TrainingSettings
from wenmo.errors import OptionError
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import kind
from wenmo.training.hardware import Machine, compiler
from wenmo.training.optimisation import prefers_muon
from wenmo.training.plan import TrainingPlan
from wenmo.training.sampled_softmax import LEAST_VOCAB, RATE

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def recipe_seconds(recipe: Recipe | DistilRecipe | ComparisonRecipe) -> float | None:
    """Returns the seconds that a recipe has for everything; None where steps or epochs decide, or nothing is said.

    Raises:
        OptionError: See `parse_duration`.
    """
    counted = recipe.training.steps is not None or recipe.training.epochs is not None
    return None if counted or recipe.budget is None else parse_duration(recipe.budget)


def parse_duration(text: str) -> float:
    """Reads `90s`, `10m`, `1h30m` or `2.5h` as seconds.

    Raises:
        OptionError: When it is not a duration above zero.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)", text.strip().lower())
    if not parts or "".join(n + u for n, u in parts) != re.sub(r"\s+", "", text.strip().lower()):
        raise OptionError(f"--budget {text!r} is not a time; write it like 90s, 10m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise OptionError(f"--budget {text!r} must be more than zero")
    return seconds


EFFICIENCY = {
    "transformer": 0.5, "wenmo": 0.5,
    "lstm": 0.45, "gru": 0.4, "rnn": 0.4,
    "mingru": 0.5, "minlstm": 0.5, "rglru": 0.45,
}  # fmt: skip
"""Share of the bare matrix-product rate that a training step reaches, before it is measured."""
TOKENS_PER_PARAMETER = {
    "transformer": 4.0, "wenmo": 4.0,
    "lstm": 6.0, "gru": 6.0, "rnn": 6.0,
    "mingru": 2.5, "minlstm": 4.0, "rglru": 4.0,
}  # fmt: skip
"""Tokens trained on per parameter at which the held-out loss after a fixed time was lowest. The number of the
Transformer stands for wenmo, minLSTM and RG-LRU too, whose layers have its shape; theirs is not measured. That of
minGRU was measured in the mixture, on texts that are seen about ten times (docs/lab.md, 2026-11-27)."""
BESIDE_MUON = {"mingru": 8e-3}
"""Learning rate of what AdamW moves beside Muon, embedding and vectors, where it is not 4e-3. A Transformer is within
0.2 % anywhere between 4e-3 and 1e-2 (docs/lab.md, 2026-11-25 and 2026-11-27)."""
LARGEST_EPOCHS = 30.0
"""More passes than this over fixed text overfit at any size; a larger model spends the time better."""
FREE_EPOCHS = 6.0
"""Passes over the text before strong weight decay pays."""
OFTEN = 32.0
"""Passes over the text from which weight decay grows as they do: at 63 passes 2 and 4 are better than 0.9 by 0.2 to
0.5 % in the mixture (docs/lab.md, 2026-11-29)."""
UNFORGOTTEN_EPOCHS = 3.0
"""Passes over the text before a decay of the embedding pays: at three passes it gains and costs nothing, at seven and
more it does what that of the matrices does (docs/lab.md, 2026-11-27). A row that is seen once has nothing to forget."""
UNDROPPED_EPOCHS = 16.0
"""Passes over the text before dropout pays."""
COMPILING_SECONDS = 600.0
"""Shortest training that is compiled on a GPU: compiling takes up to a minute before the first step."""
COUNTED_VOCAB = 4096
"""Size of the vocabulary with which the law of sizes was measured for a sampled softmax."""
SAMPLING_GAIN = 1.4
"""How many times as fast steps are with a sampled softmax of `COUNTED_VOCAB` tokens. The law of sizes counts the time
as if they were not: twice the parameters of its choice are worse by 0.7 % (docs/lab.md, 2026-11-29)."""
LEAST_COUNTED_TOKENS, MOST_COUNTED_TOKENS = 1 << 12, 1 << 21
"""Tokens that an embedding begins with: fewer say too little, more say hardly more."""
MOST_COUNTED_EPOCHS = 10.0
"""Passes over the text from which on an embedding begins with noise: at 8 the text gains 0.2 % in the mixture, at 16 it
loses 0.2 % (docs/lab.md, 2026-11-30)."""
COUNTED_TOKENS_PER_SECOND = 20_000.0
"""So many of them for a second of training: counting them and finding the vectors takes one or two microseconds
each."""
SMALLEST_PARAMETERS, LARGEST_PARAMETERS = 200_000, 1_000_000_000


def choose_parameters(architecture: str, flops: float, seconds: float, train_tokens: int) -> int:
    """Number of parameters that spends the time best.

    A step costs about 6 operations per parameter and token (Kaplan et al. 2020), so N parameters see
    flops * seconds / 6 N tokens; N is chosen so that this is a fixed multiple of N, or, when that would repeat a
    small text too often, so that the text is seen at most `LARGEST_EPOCHS` times.

    Args:
        architecture: A neural one (`registry.neural_architectures`).
        flops: Rate of bare matrix products, operations per second.
        seconds: Training time.
        train_tokens: Tokens of the training text.
    """
    operations = flops * EFFICIENCY[architecture] * seconds
    balanced = (operations / (6.0 * TOKENS_PER_PARAMETER[architecture])) ** 0.5
    repeated = operations / (6.0 * LARGEST_EPOCHS * max(train_tokens, 1))
    # Beyond the balance a larger model still learns more per token, but slower: go half of the way.
    wanted = balanced if repeated <= balanced else (balanced * repeated) ** 0.5
    return int(min(max(wanted, SMALLEST_PARAMETERS), LARGEST_PARAMETERS))


def counted_vocab(vocab_size: int) -> int:
    """The tokens that count in the size of a network whose softmax is sampled: the others cost next to nothing.

    A network that shares its parameters with 8,192 tokens instead of 4,096 is too small (docs/lab.md, 2026-11-29).
    """
    return min(vocab_size, COUNTED_VOCAB) + round(RATE * max(vocab_size - COUNTED_VOCAB, 0))


def choose_context(train_tokens: int, bytes_per_token: float, seconds: float, settings: ModelSettings) -> int:
    """Context length in tokens: longer with more time, never longer than a sixteenth of the text."""
    if settings.context is not None:
        return settings.context
    wanted = 128 if seconds < 180 else 256 if seconds < 3600 else 512
    if bytes_per_token < 1.5:
        wanted *= 2
    while wanted > 16 and wanted > train_tokens // 16:
        wanted //= 2
    return wanted


def choose_batch_tokens(parameters: int, train_tokens: int, seconds: float) -> int:
    """Tokens per step: enough steps in the time first, then the larger the better for the hardware."""
    wanted = 1024 if seconds < 45 else 2048 if seconds < 600 else 4096 if seconds < 3600 else 8192
    if parameters > 20_000_000:
        wanted *= 4
    return max(64, min(wanted, train_tokens))


def regularisation(epochs: float, architecture: str) -> tuple[float, float]:
    """Dropout and weight decay from the number of passes over the text.

    Models of a minute's or an hour's training are small: what they cannot hold they cannot memorise. Weight decay grows
    with the logarithm of the passes from `FREE_EPOCHS` on, and beyond `OFTEN` as the passes do; dropout only from
    `UNDROPPED_EPOCHS` on (at 14 passes 0.1 cost 4 %, at 26 passes 0.17 cost as much and 0.05 nothing: docs/lab.md,
    2026-11-25).
    """
    passes = max(epochs, 1.0)
    decay, strength = (
        max(0.0, min(log2(passes / free) / 4.0, 1.0)) for free in (FREE_EPOCHS, UNDROPPED_EPOCHS)
    )
    most = 0.5 if kind(architecture) == "recurrent" else 0.3
    return round(most * strength, 2), (0.1 + 0.9 * decay) * min(max(passes / OFTEN, 1.0), 4.0)


def embedding_share(epochs: float) -> float:
    """How fast the embedding shrinks, as a share of the matrices' rate, from the number of passes over the text."""
    passes = max(epochs, 1.0)
    return max(0.0, min(log2(passes / UNFORGOTTEN_EPOCHS), 1.0))


def bfloat16_pays(machine: Machine) -> bool:
    """Whether `--training.precision auto` takes bfloat16: where its products are faster.

    On a CPU a step is then timed in both formats (`hardware.choose_execution`): small models gain nothing.
    """
    return machine.bf16_ratio > 1.2


def compiling_pays(model: NeuralLanguageModel, machine: Machine, seconds: float | None) -> bool:
    """Whether `--training.compile auto` compiles: a Transformer on a GPU with time enough.

    Recurrent layers run whole sequences in one kernel of cuDNN, which the compiler would take apart into single steps.
    """
    if machine.device != "cuda" or not model.compilable or not compiler("cuda"):
        return False
    return seconds is None or seconds >= COMPILING_SECONDS


def hinders_sampling(settings: TrainingSettings, device: str, processes: int) -> list[str]:
    """Options and circumstances in which training cannot sample from the vocabulary.

    Args:
        settings: What was asked for.
        device: `cpu` or `cuda`.
        processes: How many train together.
    """
    hindrances = {
        "--training.device cuda": device != "cpu",
        "several processes": processes > 1,
        "--training.label-smoothing": settings.label_smoothing > 0.0,
        "--training.compile on": settings.compile == "on",
    }
    return [name for name, hinders in hindrances.items() if hinders]


def may_sample(settings: TrainingSettings, device: str, processes: int) -> bool:
    """Whether training samples the softmax, or tries how fast it is; see `hinders_sampling`."""
    return settings.softmax != "full" and not hinders_sampling(settings, device, processes)


def sampling_may_pay(settings: TrainingSettings, vocab_size: int, machine: Machine) -> bool:
    """Whether `--training.softmax auto` tries how fast training with a sample of the vocabulary is."""
    possible = may_sample(settings, machine.device, machine.processes)
    return settings.softmax == "auto" and vocab_size >= LEAST_VOCAB and possible


def resolve_plan(
    model: NeuralLanguageModel,
    settings: TrainingSettings,
    *,
    context: int,
    batch_tokens: int,
    weight_decay: float,
    embedding_share: float = 0.0,
    seconds: float | None,
    steps: int | None,
    valid_tokens: int,
    machine: Machine,
) -> TrainingPlan:
    """Fills in everything the settings leave open.

    Args:
        model: The model.
        settings: What was asked for.
        context: Tokens per row.
        batch_tokens: Tokens per step, where the settings do not say.
        weight_decay: Of the matrices, where the settings do not say.
        embedding_share: How fast the embedding shrinks beside them, where the settings do not say.
        seconds: Limit of the training; None where steps decide.
        steps: Optimiser steps; None where time decides.
        valid_tokens: Held-out tokens of an evaluation.
        machine: The measured machine.

    Raises:
        OptionError: When the settings contradict each other.
    """
    batch = settings.batch_tokens or batch_tokens
    if settings.micro_batch_tokens is not None and settings.micro_batch_tokens > batch:
        raise OptionError(
            f"--training.micro-batch-tokens {settings.micro_batch_tokens} exceeds the batch of {batch} tokens"
        )
    rows = max(1, round(batch / context))
    micro = max(1, (settings.micro_batch_tokens or batch) // context)
    optimizer = settings.optimizer
    if optimizer == "auto":
        optimizer = "muon" if prefers_muon(model, rows * context) else "adamw"
    lr = (
        settings.lr
        or {"adamw": 3e-3, "muon": BESIDE_MUON.get(model.architecture, 4e-3), "sgd": 1.0}[optimizer]
    )
    muon_lr = settings.muon_lr or 0.02
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and bfloat16_pays(machine))
    plan = TrainingPlan(
        optimizer=optimizer,
        lr=lr,
        muon_lr=muon_lr,
        weight_decay=weight_decay,
        schedule=settings.schedule,
        warmup=settings.warmup,
        decay=settings.decay,
        context=context,
        rows=rows,
        micro_rows=min(micro, rows),
        label_smoothing=settings.label_smoothing,
        softmax="sampled" if settings.softmax == "sampled" else "full",
        clip=settings.clip,
        averaging=settings.averaging,
        ema_share=settings.ema_share,
        seconds=None if steps is not None else seconds,
        steps=steps,
        evaluations=settings.evaluations,
        patience=settings.patience,
        valid_tokens=valid_tokens,
        checkpoint_seconds=settings.checkpoint_seconds,
        precision="bf16" if bf16 else "fp32",
        compile=(settings.compile == "on" and model.compilable)
        or (settings.compile == "auto" and compiling_pays(model, machine, seconds)),
        checkpoint_activations=settings.checkpoint_activations and model.architecture == "transformer",
        processes=machine.processes,
        seed=settings.seed,
    )
    return decayed(plan, settings, weight_decay, embedding_share)


def embedding_tokens(train_tokens: int, seconds: float | None, epochs: float) -> int:
    """Tokens of the text by whose neighbours the embedding begins.

    Args:
        train_tokens: Tokens of the training text.
        seconds: Time of the training; None where steps decide.
        epochs: Passes over the text.

    Returns:
        As many as a few percent of the time are enough for; 0 for a text that says too little, or is seen so often that
        noise is the better beginning.
    """
    if train_tokens < LEAST_COUNTED_TOKENS or epochs > MOST_COUNTED_EPOCHS:
        return 0
    affordable = MOST_COUNTED_TOKENS if seconds is None else int(COUNTED_TOKENS_PER_SECOND * seconds)
    return min(train_tokens, MOST_COUNTED_TOKENS, max(affordable, LEAST_COUNTED_TOKENS))


def decayed(
    plan: TrainingPlan, settings: TrainingSettings, weight_decay: float, embedding_share: float
) -> TrainingPlan:
    """The plan with the decay of its weights.

    Args:
        plan: The plan, with its optimiser and learning rates.
        settings: What was asked for.
        weight_decay: Of the matrices, where the settings do not say.
        embedding_share: How fast the embedding shrinks beside them, where the settings do not say.
    """
    decay = weight_decay if settings.weight_decay is None else settings.weight_decay
    # A step takes lr * decay of a weight. For SGD, where it is a penalty instead, it was not tried.
    rates = {"muon": plan.muon_lr / plan.lr, "adamw": 1.0, "sgd": 0.0}
    matched = embedding_share * decay * rates[plan.optimizer]
    chosen = matched if settings.embedding_decay is None else settings.embedding_decay
    return plan.model_copy(update={"weight_decay": decay, "embedding_decay": chosen})
