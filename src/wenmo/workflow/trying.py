"""What `wenmo compare` and `--arch auto` share: which families there are, and how each is tried."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from wenmo.comparison.experiment import SCORING_SHARE
from wenmo.comparison.trials import FEWEST_BLOCK_TOKENS, Candidate, Judge
from wenmo.config import Recipe
from wenmo.errors import InputError
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.likelihood import bits_per_byte, score_stream
from wenmo.models.ngram import NgramModel
from wenmo.models.registry import architectures, model_class
from wenmo.tokenization.stream import spread
from wenmo.training import hardware
from wenmo.workflow.decision import decide
from wenmo.workflow.texts import Texts

COUNTED_TOKENS = 1_000_000
"""Training tokens from which their frequencies are taken."""
FEWEST_SCORED_TOKENS = 2_000
"""Held-out tokens that are scored however slow the machine is."""


def neural_families() -> tuple[str, ...]:
    """Names of all architectures that learn by gradients, as the registry has them."""
    return tuple(name for name in architectures() if issubclass(model_class(name), NeuralLanguageModel))


def candidate(
    family: str,
    share: float,
    recipe: Recipe,
    texts: Texts,
    machine: hardware.Machine,
    seconds: float | None,
) -> tuple[Candidate, float]:
    """Decides how a family is trained in a trial: as `wenmo train --arch FAMILY` would train it in that time.

    Args:
        family: The architecture.
        share: Length as a share of the longest trials.
        recipe: Size, shape and training as far as they were asked for; steps and epochs are of the longest trials.
        texts: What is trained on.
        machine: The measured machine.
        seconds: Length of the longest trials; None where steps or epochs decide.

    Returns:
        The candidate, and its speed of training in tokens per second.
    """
    training = recipe.training
    scaled = {
        "steps": training.steps and max(1, round(training.steps * share)),
        "epochs": training.epochs and training.epochs * share,
    }
    short = recipe.model_copy(update={"training": training.model_copy(update=scaled)})
    length = math.inf if seconds is None else seconds * share
    shape = decide(family, short, texts, machine, length, training.seed)
    made = Candidate(family, shape.config, shape.plan, shape.parameters, shape.memory)
    return made, shape.tokens_per_second


def scored_tokens(speeds: Iterable[float], seconds: float) -> int:
    """Held-out tokens that the slowest family scores in its share of a trial.

    A forward pass is a third of a training step, and windows that slide by half read every token twice.
    """
    return max(FEWEST_SCORED_TOKENS, int(1.5 * min(speeds) * SCORING_SHARE * seconds))


def make_judge(texts: Texts, count: int, ngram: NgramModel) -> Judge:
    """Takes the held-out text that steers training, `count` tokens from all over it; the test text stays unseen.

    Raises:
        InputError: When there is too little of it.
    """
    ids = np.asarray(spread(texts.valid.ids, count), dtype=np.int64)
    least = 2 * FEWEST_BLOCK_TOKENS
    if len(ids) < least:
        raise InputError(
            f"{texts.corpus.path} holds out only {len(ids)} tokens to compare on, and {least} are needed; "
            "give more text, or prepare it with a larger --valid-fraction"
        )
    eos_id = texts.tokenizer.eos_id
    nats = score_stream(ngram, ids, eos_id=eos_id)
    counts = np.bincount(spread(texts.train.ids, COUNTED_TOKENS), minlength=texts.tokenizer.vocab_size) + 0.5
    rare = -np.log(counts / counts.sum())
    frequencies = bits_per_byte(rare[ids], max(texts.num_bytes(ids), 1))
    return Judge(ids, texts.tokenizer.byte_lengths, eos_id, nats, frequencies)
