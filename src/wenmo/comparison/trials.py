"""One trial: a family trained to the end of its schedule in a given time, scored on the common held-out text."""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from wenmo.config import GenerationSettings
from wenmo.errors import Interrupted, ModelError
from wenmo.files import write_text
from wenmo.generation.decoding import generate_steps
from wenmo.generation.runtime import choose_precision, decode_runtime
from wenmo.models.base import LanguageModel, NeuralLanguageModel
from wenmo.models.likelihood import score_stream
from wenmo.models.registry import build_model, parse_config
from wenmo.tokenization.stream import TokenStream
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.training.embedding_init import initialise_embedding
from wenmo.training.outcome import Stopped
from wenmo.training.plan import TrainingPlan
from wenmo.training.trainer import Trainer

Floats = npt.NDArray[np.float64]

MOST_BLOCKS, FEWEST_BLOCK_TOKENS = 200, 64
"""The held-out text is cut into at most this many blocks, none shorter than this many tokens."""
GENERATION_TOKENS, GENERATION_SECONDS = 200, 0.5
"""Writing is timed over so many tokens, or for so long."""
MIXING_ROUNDS = 40
"""Rounds of expectation-maximisation for the one weight between a network and the n-gram model."""


class TextPair(Protocol):
    """What families are trained on and judged by."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that all share."""

    @property
    def train(self) -> TokenStream:
        """Training text."""

    @property
    def valid(self) -> TokenStream:
        """Held-out text that steers training."""


@dataclass(frozen=True)
class Candidate:
    """A family as it is trained in a trial of one length.

    Attributes:
        name: Its architecture.
        config: Fields of the model's configuration.
        plan: The resolved numbers of the training; the seed is that of the trial.
        parameters: Parameters of the model.
        memory: Bytes that training needs, estimated.
    """

    name: str
    config: dict[str, Any]
    plan: TrainingPlan
    parameters: int
    memory: float


@dataclass(frozen=True)
class Trial:
    """What came of one training.

    Attributes:
        name: The architecture.
        share: Length as a share of the longest trials.
        seed: Seed of initialisation, order and dropout.
        seconds: Training time, its evaluations included.
        tokens: Tokens trained on.
        epochs: Passes over the text.
        stopped: Why it ended.
        nats: Loss on each block of the common held-out text.
        mixed_nats: The same in a mixture with the n-gram model.
        ngram_weight: Weight of the n-gram model in that mixture.
        scored_per_second: Tokens scored in a second.
        written_per_second: Tokens written in a second; None where it was not timed.
    """

    name: str
    share: float
    seed: int
    seconds: float
    tokens: int
    epochs: float
    stopped: Stopped
    nats: list[float]
    mixed_nats: list[float]
    ngram_weight: float
    scored_per_second: float
    written_per_second: float | None

    def write(self, path: Path) -> None:
        """Keeps the result, so that an interrupted comparison goes on behind it."""
        write_text(path, json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Trial:
        """Reads what `write` wrote.

        Raises:
            ModelError: When the file is damaged.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ModelError(f"{path} is damaged; delete it and go on: its training is done again") from error


@dataclass(frozen=True)
class Judge:
    """The held-out text that all trials are scored on, in blocks.

    Attributes:
        ids: Its tokens (T,).
        byte_lengths: UTF-8 bytes of each token of the vocabulary (V,).
        eos_id: The end-of-text token.
        ngram: Loss of the frozen n-gram model on each token (T,), nats.
        frequencies: Bits per byte when all that is known is how frequent each token is; infinite where that was not
            found out.
    """

    ids: npt.NDArray[np.int64]
    byte_lengths: npt.NDArray[np.int64]
    eos_id: int
    ngram: Floats
    frequencies: float = math.inf

    @property
    def edges(self) -> npt.NDArray[np.int64]:
        """Where each block begins (B,)."""
        return block_edges(len(self.ids))

    @property
    def block_bytes(self) -> Floats:
        """UTF-8 bytes of each block (B,)."""
        return np.add.reduceat(self.byte_lengths[self.ids].astype(np.float64), self.edges)

    def blocks(self, nats: Floats) -> Floats:
        """Loss of each block (B,) from that of each token (T,)."""
        return np.add.reduceat(nats, self.edges)


def block_edges(num_tokens: int) -> npt.NDArray[np.int64]:
    """Beginnings of consecutive blocks of nearly equal length, at least two of them."""
    count = max(2, min(MOST_BLOCKS, num_tokens // FEWEST_BLOCK_TOKENS))
    return np.linspace(0, num_tokens, count, endpoint=False).astype(np.int64)


def mix_two(first: Floats, second: Floats) -> tuple[Floats, float]:
    """Mixes the probabilities of two models with the one weight that is best on this text.

    Args:
        first: Losses of one model (T,), nats.
        second: Losses of the other (T,).

    Returns:
        Losses of the mixture (T,), and the weight of the second model.
    """
    lowest = np.minimum(first, second)
    one, other = np.exp(lowest - first), np.exp(lowest - second)
    weight = 0.5
    for _ in range(MIXING_ROUNDS):
        part = weight * other
        weight = float(np.clip((part / (part + (1.0 - weight) * one)).mean(), 1e-6, 1.0 - 1e-6))
    return lowest - np.log((1.0 - weight) * one + weight * other), weight


def run_trial(
    candidate: Candidate,
    share: float,
    seed: int,
    texts: TextPair,
    judge: Judge,
    device: str,
    directory: Path,
    *,
    title: str,
    timed: bool,
    progress: bool,
) -> Trial:
    """Trains, or goes on where it was interrupted, and scores.

    Args:
        candidate: What is trained.
        share: Length as a share of the longest trials.
        seed: Seed of the trial.
        texts: What it is trained on.
        judge: What it is scored on.
        device: Where.
        directory: Folder of its checkpoint; removed at the end.
        title: Name in the progress line.
        timed: Whether writing is timed too.
        progress: Whether to show a progress line.

    Raises:
        Interrupted: After Ctrl-C; the checkpoint is saved.
        TrainingError: When the loss is not finite.
    """
    plan = candidate.plan.model_copy(update={"seed": seed})
    torch.manual_seed(seed)
    model = build_model(parse_config(candidate.config))
    assert isinstance(model, NeuralLanguageModel)
    initialise_embedding(model, texts.train.ids, seed, plan.embedding_tokens)
    model.to(device)
    trainer = Trainer(
        model, texts.train, texts.valid, plan, byte_lengths=texts.tokenizer.byte_lengths,
        eos_id=texts.tokenizer.eos_id, directory=directory, show_progress=progress, name=title,
    )  # fmt: skip
    if trainer.has_checkpoint:
        trainer.resume()
    outcome = trainer.run()
    if outcome.stopped == "interrupted":
        raise Interrupted(f"interrupted after {outcome.steps} steps of {title}")
    started = time.monotonic()
    nats = score_stream(model, judge.ids, eos_id=judge.eos_id)
    scored = len(judge.ids) / max(time.monotonic() - started, 1e-9)
    mixed, weight = mix_two(nats, judge.ngram)
    written = writing_speed(model, texts.tokenizer, judge.ids[:8]) if timed else None
    shutil.rmtree(directory, ignore_errors=True)
    return Trial(
        name=candidate.name,
        share=share,
        seed=seed,
        seconds=round(outcome.seconds, 3),
        tokens=outcome.tokens,
        epochs=outcome.epochs,
        stopped=outcome.stopped,
        nats=judge.blocks(nats).tolist(),
        mixed_nats=judge.blocks(mixed).tolist(),
        ngram_weight=weight,
        scored_per_second=scored,
        written_per_second=written,
    )


def writing_speed(model: LanguageModel, tokenizer: Tokenizer, prompt: npt.NDArray[np.int64]) -> float:
    """Tokens that the model writes in a second, one text at a time, the first one not counted."""
    settings = GenerationSettings(max_tokens=GENERATION_TOKENS, ignore_eos=True, seed=0)
    runtime = decode_runtime(model.eval(), choose_precision(model, settings))
    count, begun, now = 0, 0.0, 0.0
    for _ in generate_steps(runtime, tokenizer, prompt, settings):
        now = time.perf_counter()
        if count == 0:
            begun = now
        count += 1
        if now - begun > GENERATION_SECONDS:
            break
    return (count - 1) / max(now - begun, 1e-9)
