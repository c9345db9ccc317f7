"""What the end of a run will take, measured before its last training: scoring, writing, saving, leaving."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from wenmo.config import GenerationSettings
from wenmo.evaluation.metrics import longest_copy
from wenmo.models.base import LanguageModel
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramModel
from wenmo.workflow.clock import LEAVING_SHARE, SAMPLES_SHARE, Clock
from wenmo.workflow.rivals import Rivals
from wenmo.workflow.texts import Texts
from wenmo.workflow.variety import writing_cost

SAMPLES = 2
SAMPLE_TOKENS, FEWEST_SAMPLE_TOKENS = 150, 50
SEARCHED_CHARS = 20_000_000
"""Most characters of training text in which a copied stretch of a sample is looked for."""
PROBE_TOKENS = 2_000
WARMING_TOKENS = 64
FITTED_TOKENS = 256
PROBED_CHARS = 200_000
REPORT_SECONDS = 0.15
"""Drawing the page and the card."""


def measured_scoring(model: LanguageModel, texts: Texts) -> float:
    """Bytes that a member scores in a second, timed on the text that steers; what it has learned does not matter.

    An n-gram model is scored twice, frozen and learning on.
    """
    probe: npt.NDArray[np.int64] = np.asarray(texts.valid.ids[:PROBE_TOKENS], dtype=np.int64)
    alone = MixtureModel.of({"member": model})
    ways = (False, True) if isinstance(model, NgramModel) else (False,)

    def score(ids: npt.NDArray[np.int64]) -> None:
        for adaptive in ways:
            alone.evidence(ids, alone.context_length, adaptive, texts.tokenizer.eos_id, decisions=True)

    score(probe[:WARMING_TOKENS])  # loads kernels
    started = time.monotonic()
    score(probe)
    return max(texts.num_bytes(probe), 1) / max(time.monotonic() - started, 1e-6)


def plan_finish(
    clock: Clock,
    texts: Texts,
    models: dict[str, LanguageModel],
    rivals: Rivals,
    settings: GenerationSettings,
    *,
    saving: float,
    starting: float,
) -> None:
    """Tells the clock what the stages after the last training are expected to take.

    Args:
        clock: The clock of the run; it knows how fast every member scores.
        texts: The texts.
        models: Members of the model, in evaluation mode on the CPU; their weights need not be trained.
        rivals: The test text.
        settings: How the model writes.
        saving: Seconds that saving the members takes.
        starting: Seconds from the start of the process to the first stage; 0 where the process goes on afterwards.
    """
    steering = texts.corpus.bytes("valid")
    model = next(iter(models.values()))
    if len(models) > 1:
        mixture = MixtureModel.of(models)
        # Mixing is compiled at its first use, which must not fall into the time of the real one.
        mixture.fit_weights(np.asarray(texts.valid.ids[:FITTED_TOKENS]), eos_id=texts.tokenizer.eos_id)
        model = mixture
    token = writing_seconds(model.eval(), texts, settings)
    most = float("inf") if clock.budget is None else SAMPLES_SHARE * clock.budget
    copying = copy_seconds(texts) * min(searchable(texts), SEARCHED_CHARS)
    clock.plan_finish(
        {
            "weights": clock.scoring_seconds(steering) if len(models) > 1 else 0.0,
            "scores": clock.scoring_seconds(rivals.num_bytes),
            "samples": min(SAMPLES * SAMPLE_TOKENS * token + copying, most),
            "variety": clock.variety,
            "saving": saving + REPORT_SECONDS,
            "leaving": LEAVING_SHARE * starting,
        }
    )


def writing_seconds(model: LanguageModel, texts: Texts, settings: GenerationSettings) -> float:
    """Seconds for one token of one text, timed."""
    prompts: npt.NDArray[np.int64] = np.asarray(texts.valid.ids[:8], dtype=np.int64)[None]
    return writing_cost(model, texts, prompts, settings)


def copy_seconds(texts: Texts) -> float:
    """Seconds to look for a copied stretch in a character of training text, timed on the beginning of the text."""
    text = next(iter(texts.corpus.texts("train")))[:PROBED_CHARS]
    started = time.monotonic()
    longest_copy(texts.tokenizer.decode(texts.valid.ids[:SAMPLE_TOKENS]), [text])
    return (time.monotonic() - started) / max(len(text), 1)


def searchable(texts: Texts) -> float:
    """About the number of characters of the training text."""
    text = next(iter(texts.corpus.texts("train")))[:PROBED_CHARS]
    return texts.corpus.bytes("train") * len(text) / max(len(text.encode()), 1)
