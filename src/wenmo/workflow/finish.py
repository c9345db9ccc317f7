"""What the end of a run will take, measured before its last training: scoring, writing, saving, leaving."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wenmo.config import GenerationSettings
from wenmo.evaluation.metrics import longest_copy
from wenmo.models.base import LanguageModel
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramModel
from wenmo.workflow.clock import LEAVING_SHARE, SAMPLES_SHARE, Clock, Cost
from wenmo.workflow.mixing import MOST_FITTED_TOKENS, score_mixture
from wenmo.workflow.texts import Texts
from wenmo.workflow.variety import FEWEST_SEARCHED_BYTES, searched_texts, writing_cost

SAMPLES = 2
SAMPLE_TOKENS, FEWEST_SAMPLE_TOKENS = 150, 50
SEARCHED_BYTES = 40_000_000
"""Most training text in which a copied stretch of a sample is looked for."""
PROBE_TOKENS = 2_000
WARMING_TOKENS = 64
REHEARSED_TOKENS = (400, 400, 2_000)
"""Held-out tokens on which a mixture is fitted and scored: first to compile what that needs, then to time it twice."""
PROBED_BYTES = 400_000
REPORT_SECONDS = 0.15
"""Drawing the page and the card."""


@dataclass(frozen=True)
class Rehearsed:
    """What it costs to fit the weights of a mixture on a long text, and to score one with it."""

    fitting: Cost
    scoring: Cost

    def fitting_all(self, texts: Texts) -> float:
        """Seconds for all the text that the weights may be fitted on."""
        return self.fitting.of(min(len(texts.valid.ids), MOST_FITTED_TOKENS))


def measured_scoring(model: LanguageModel, texts: Texts, mixed: bool = False) -> float:
    """Bytes that a member scores in a second, timed on the text that steers; what it has learned does not matter.

    An n-gram model is scored twice, frozen and learning on.

    Args:
        model: The member.
        texts: The texts.
        mixed: Whether a network becomes part of a mixture, which needs more from it than its score.
    """
    probe: npt.NDArray[np.int64] = np.asarray(texts.valid.ids[:PROBE_TOKENS], dtype=np.int64)
    alone = MixtureModel.of({"member": model})
    ways = (False, True) if isinstance(model, NgramModel) else (False,)

    def score(ids: npt.NDArray[np.int64]) -> None:
        for adaptive in ways:
            alone.evidence(ids, alone.context_length, adaptive, texts.tokenizer.eos_id, decisions=mixed)

    score(probe[:WARMING_TOKENS])  # loads kernels
    started = time.monotonic()
    score(probe)
    return max(texts.num_bytes(probe), 1) / max(time.monotonic() - started, 1e-6)


def plan_finish(
    clock: Clock,
    texts: Texts,
    model: LanguageModel,
    settings: GenerationSettings,
    *,
    fitting: float,
    scoring: float,
    saving: float,
    starting: float,
) -> None:
    """Tells the clock what the stages after the last training are expected to take.

    Args:
        clock: The clock of the run.
        texts: The texts.
        model: The whole model, on the CPU; its weights need not be trained.
        settings: How the model writes.
        fitting: Seconds that fitting the weights of a mixture is expected to take, on all that it may be fitted on.
        scoring: Seconds that the scores are expected to take.
        saving: Seconds that saving the members takes.
        starting: Seconds from the start of the process to the first stage; 0 where the process goes on afterwards.
    """
    token = writing_seconds(model.eval(), texts, settings)
    most = float("inf") if clock.budget is None else SAMPLES_SHARE * clock.budget
    copying, whole = copy_seconds(texts), texts.train.num_bytes
    wanted, least = (
        SAMPLES * (tokens * token + copying * min(whole, searched))
        for tokens, searched in (
            (SAMPLE_TOKENS, SEARCHED_BYTES),
            (FEWEST_SAMPLE_TOKENS, FEWEST_SEARCHED_BYTES),
        )
    )
    clock.plan_finish(
        {
            "weights": min(fitting, clock.scoring),
            "scores": scoring,
            "samples": max(min(wanted, most), least),
            "variety": clock.variety,
            "saving": saving + REPORT_SECONDS,
            "leaving": LEAVING_SHARE * starting,
        }
    )


def rehearse(mixture: MixtureModel, texts: Texts, device: str) -> Rehearsed:
    """Fits and scores a mixture of untrained members as it will be done at the end; leaves it fitted.

    Everything that this needs is compiled by then, however the members will be mixed. What the members have learned
    does not change how long it takes.

    Args:
        mixture: The mixture, on the CPU.
        texts: The texts; the one that steers is read.
        device: Where the members are scored.
    """
    eos_id = texts.tokenizer.eos_id
    adaptive = any(isinstance(member, NgramModel) for member in mixture.members.values())
    neural = [member for member in mixture.members.values() if not isinstance(member, NgramModel)]
    timed: list[tuple[int, float, float]] = []
    for member in neural:
        member.to(device)
    for tokens in REHEARSED_TOKENS:
        ids = np.asarray(texts.valid.ids[:tokens], dtype=np.int64)
        started = time.monotonic()
        mixture.fit_weights(ids, eos_id=eos_id)
        fitting = time.monotonic() - started
        if not mixture.logistic:  # untrained members may not need it, and trained ones will
            mixture.fit_weights(ids, eos_id=eos_id, mixing="logistic")
        started = time.monotonic()
        score_mixture(mixture, ids, eos_id, adaptive)
        timed.append((max(len(ids), 1), fitting, time.monotonic() - started))
    (fewer, *short), (more, *long) = timed[-2:]
    filling = mixture.filling_seconds(more) if mixture.logistic else 0.0
    for member in neural:
        member.to("cpu")
    mixture.held_out = None
    costs = [Cost.through(fewer, brief, more, whole) for brief, whole in zip(short, long, strict=True)]
    return Rehearsed(*(replace(cost, token=cost.token + filling) for cost in costs))


def writing_seconds(model: LanguageModel, texts: Texts, settings: GenerationSettings) -> float:
    """Seconds for one token of one text, timed."""
    prompts: npt.NDArray[np.int64] = np.asarray(texts.valid.ids[:8], dtype=np.int64)[None]
    return writing_cost(model, texts, prompts, settings)


def copy_seconds(texts: Texts) -> float:
    """Seconds to look for a copied stretch in a byte of training text, timed on some of it."""
    started = time.monotonic()
    probed, share = searched_texts(texts, PROBED_BYTES)
    longest_copy(texts.tokenizer.decode(texts.valid.ids[:SAMPLE_TOKENS]), probed)
    return (time.monotonic() - started) / max(share * texts.train.num_bytes, 1.0)
