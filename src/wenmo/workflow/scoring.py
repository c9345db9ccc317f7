"""The final scores of a run: every model and every baseline on the same held-out bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.evaluation.evaluate import protocol
from wenmo.models.base import LanguageModel
from wenmo.models.likelihood import bits_per_byte, score_stream
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramModel
from wenmo.tokenization.stream import spread
from wenmo.workflow.clock import Cost
from wenmo.workflow.members import Member
from wenmo.workflow.mixing import MOST_FITTED_TOKENS, score_mixture
from wenmo.workflow.rivals import LEAST_SCORED_TOKENS, Rivals
from wenmo.workflow.texts import Texts


@dataclass(frozen=True)
class Scores:
    """Bits per byte on the same test bytes.

    Attributes:
        static: Of the whole model, frozen.
        prequential: Of the whole model when its adaptive members learn on; equals `static` when none does.
        members: Static score of each member.
        weights: Mean weight of each member of a mixture, and of its cache, over the test tokens.
        gains: Bits per byte that each of them saves under `protocol`: what the mixture needs without it, less what it
            needs.
        baselines: PPMd, xz and the n-gram model; PPMd, xz and n-gram learn on while they code, as they always do.
        bytes: UTF-8 bytes scored.
        unread: Which baselines have not read all of the training text, a sentence each.
        protocol: How `prequential` (or, without an adaptive member, `static`) was made.
    """

    static: float
    prequential: float
    members: dict[str, float]
    weights: dict[str, float]
    gains: dict[str, float]
    baselines: dict[str, float]
    unread: list[str]
    bytes: int
    protocol: str


@contextmanager
def placed(members: list[Member], device: str) -> Iterator[None]:
    """Puts the neural members where they were trained, so that they are scored at the speed that was measured there."""
    neural = [member.model for member in members if member.model.trainable]
    for model in neural:
        model.to(device)
    try:
        yield
    finally:
        for model in neural:
            model.to("cpu")


def mix(members: list[Member], texts: Texts, seconds: float, cost: Cost) -> LanguageModel:
    """Makes a mixture whose weights are fitted on the held-out text.

    Args:
        members: The members; a single one, which is neural, gets a cache of its own and is calibrated.
        texts: The texts.
        seconds: Time for it; fewer tokens are scored where it is short.
        cost: What it costs.

    Returns:
        The mixture; a single member as it is, where neither cache nor calibration pay on this text.
    """
    eos_id = texts.tokenizer.eos_id
    count = cost.tokens(seconds, min(len(texts.valid.ids), MOST_FITTED_TOKENS))
    ids = spread(texts.valid.ids, max(count, LEAST_SCORED_TOKENS)).astype(np.int64)
    mixture = MixtureModel.of({member.name: member.model for member in members})
    mixture.fit_weights(ids, eos_id=eos_id)
    if len(members) == 1 and not mixture.logistic:
        return members[0].model
    return mixture


def score(model: LanguageModel, members: list[Member], texts: Texts, rivals: Rivals) -> Scores:
    """Scores the model and its members on the test text that the rivals were scored on."""
    eos_id = texts.tokenizer.eos_id
    ids, num_bytes = rivals.ids, rivals.num_bytes

    def bpb(nats: npt.NDArray[np.float64]) -> float:
        return bits_per_byte(nats, num_bytes)

    learning = rivals.learning
    adaptive = any(isinstance(member.model, NgramModel) for member in members)
    weights: dict[str, float] = {}
    gains: dict[str, float] = {}
    if isinstance(model, MixtureModel):
        found = score_mixture(model, ids, eos_id, adaptive)
        by_member = {name: bpb(row) for name, row in zip(model.members, found.members, strict=True)}
        static, prequential, weights = bpb(found.static), bpb(found.prequential), found.shares
        gains = {name: bpb(np.array([nats])) for name, nats in found.gains.items()}
        model.held_out = None
    else:
        static = bpb(score_stream(model, ids, eos_id=eos_id))
        by_member = {members[0].name: static}
        prequential = bpb(learning) if isinstance(model, NgramModel) else static
    context = max(member.model.context_length for member in members)
    return Scores(
        static=static,
        prequential=prequential,
        members=by_member,
        weights=weights,
        gains=gains,
        baselines=rivals.baselines,
        unread=rivals.unread,
        bytes=num_bytes,
        protocol=protocol(
            context,
            adaptive=adaptive,
            cached=model.cached if isinstance(model, MixtureModel) else 0,
        ),
    )
