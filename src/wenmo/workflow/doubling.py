"""What twice the text would give a run: the n-gram model on half of it, and the passes of the networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenmo.evaluation.doubling import (
    KEPT,
    KEPT_SPREAD,
    NINETY,
    TwiceTheText,
    network_fall,
    ngram_fall,
)
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.tokenization.stream import shuffled, spread
from wenmo.training.reach import REPETITION_SPREAD, joint_loss, joint_sharpness
from wenmo.workflow.clock import Clock
from wenmo.workflow.members import Member
from wenmo.workflow.scoring import Scores
from wenmo.workflow.texts import Texts

SHARE = 0.04
"""Largest share of the budget for counting half of the text once more."""
SCORED_TOKENS = 40_000


@dataclass(frozen=True)
class Halves:
    """Mean nats on text that steers of an n-gram model that learns on, after half of the training text and all."""

    half: float
    full: float


def pays(counting: float, clock: Clock) -> bool:
    """Whether there is the time to count half of the text, where all of it took so many seconds."""
    return clock.budget is None or 0.6 * counting <= SHARE * clock.budget


def half_nats(config: NgramConfig, texts: Texts, seed: int) -> float:
    """Mean nats on text that steers of an n-gram model that has counted the first half of the text, and learns on.

    Args:
        config: Of the n-gram model of the run.
        texts: The texts.
        seed: Seed of the order in which several documents are read.
    """
    first = texts.train.ids[: len(texts.train.ids) // 2]
    model = NgramModel(config.model_copy(update={"slot_bits": None}))
    model.fit(shuffled(first, seed) if texts.train.num_documents > 1 else first, texts.tokenizer.token_bytes)
    return _steering_nats(model, texts)


def measure_halves(ngram: NgramModel, half: float, texts: Texts) -> Halves:
    """Puts beside it what the n-gram model of the whole text needs.

    Args:
        ngram: The n-gram model of the run, which has counted all of the text.
        half: From `half_nats`.
        texts: The texts.
    """
    return Halves(half, _steering_nats(ngram, texts))


def _steering_nats(model: NgramModel, texts: Texts) -> float:
    """Mean nats on the held-out stretches of the first half: text from around them was counted both times."""
    ids = spread(texts.valid.ids[: max(len(texts.valid.ids) // 2, 1)], SCORED_TOKENS).astype(np.int64)
    return float(model.scan(ids, True, texts.tokenizer.eos_id)[0].mean())


def twice_the_text(members: list[Member], scores: Scores, halves: Halves | None) -> TwiceTheText | None:
    """Estimates the score with twice the text; None where an n-gram model could not be counted twice."""
    networks = [member for member in members if member.model.trainable]
    counts = any(not member.model.trainable for member in members)
    if counts and halves is None:
        return None
    best = min(networks, key=lambda member: scores.members[member.name], default=None)

    def score(sign: float) -> float:
        kept, scale = KEPT + sign * NINETY * KEPT_SPREAD, 1.0 + sign * NINETY * REPETITION_SPREAD
        ngram = scores.baselines["ngram"]
        grown = ngram * np.exp(-ngram_fall(halves.half, halves.full, max(kept, 0.0))) if halves else ngram
        if best is None:
            return float(grown)
        alone = scores.members[best.name]
        network = alone * np.exp(-network_fall(best.epochs, max(scale, 0.0)))
        if not counts:
            return float(network)
        return joint_loss(network, grown, joint_sharpness(alone, ngram, scores.prequential))

    parts = []
    if counts and halves is not None:
        gain = 1.0 - halves.full / halves.half
        parts.append(f"the second half of the text lowered the n-gram model's loss by {gain:.1%}")
    if best is not None:
        parts.append(f"{best.name} saw the text {best.epochs:.1f} times")
    now = scores.prequential if counts else scores.static
    likely, low, high = (min(score(sign), now) for sign in (0.0, 1.0, -1.0))
    return TwiceTheText(now=now, predicted=likely, low=low, high=high, method=", and ".join(parts))
