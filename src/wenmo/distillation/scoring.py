"""The student and its teacher on the same test bytes, beside the baselines."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from wenmo.evaluation.evaluate import protocol
from wenmo.models.base import LanguageModel
from wenmo.models.likelihood import bits_per_byte, score_stream
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramModel
from wenmo.tokenization.stream import spread
from wenmo.workflow.mixing import score_mixture
from wenmo.workflow.rivals import LEAST_SCORED_TOKENS, compressors, unread
from wenmo.workflow.scoring import Scores
from wenmo.workflow.texts import Texts

PROBE_TOKENS = 2_000


def adapts(model: LanguageModel) -> bool:
    """Whether a model, or a member of it, goes on learning from what it scores."""
    return any(not each.trainable for each in (model.saved_members() or {"": model}).values())


def score(
    student: LanguageModel, teacher: LanguageModel, texts: Texts, seconds: float
) -> tuple[Scores, float, float]:
    """Scores both on the test text, as much of it as the time allows.

    Args:
        student: The student, alone or in a mixture with its cache.
        teacher: The model it was made from.
        texts: The texts.
        seconds: Time for it; infinite scores everything.

    Returns:
        Scores of the student and of the baselines; bits per byte of the teacher, frozen, and learning on.
    """
    members = (teacher.saved_members() or {"": teacher}).values()
    ngram = next((member for member in members if isinstance(member, NgramModel)), None)
    wanted: dict[str, tuple[LanguageModel, bool]] = {"student": (student, False), "teacher": (teacher, False)}
    if adapts(teacher):
        wanted["learning"] = (teacher, True)
    if ngram is not None:
        wanted["ngram"] = (ngram, True)

    eos_id, name, weights, gains, cached = texts.tokenizer.eos_id, student.architecture, {}, {}, 0

    def scored(ids: npt.NDArray[np.int64]) -> dict[str, float]:
        return {
            each: bits_per_byte(
                score_stream(model, ids, eos_id=eos_id, adaptive=adaptive), texts.num_bytes(ids)
            )
            for each, (model, adaptive) in wanted.items()
        }

    probe = np.asarray(texts.test.ids[:PROBE_TOKENS], np.int64)
    started = time.monotonic()
    scored(probe)
    rate = len(probe) / max(time.monotonic() - started, 1e-6)
    count = min(len(texts.test.ids), max(LEAST_SCORED_TOKENS, rate * min(seconds, 1e9)))
    ids = spread(texts.test.ids, int(count)).astype(np.int64)
    num_bytes = texts.num_bytes(ids)
    held = texts.bytes_of(ids)
    if isinstance(student, MixtureModel):
        del wanted["student"]  # read once, for the scores with and without its cache
        mixed = score_mixture(student, ids, eos_id, False)
        student.held_out = None
        (name,), weights, cached = student.members, mixed.shares, student.cached
        static, alone = (bits_per_byte(nats, num_bytes) for nats in (mixed.static, mixed.members[0]))
        gains = {each: bits_per_byte(np.array([nats]), num_bytes) for each, nats in mixed.gains.items()}
        found = scored(ids)
    else:
        found = scored(ids)
        static = alone = found["student"]
    teaching = found["teacher"]
    scale = len(held) / num_bytes
    coders = compressors(texts, seconds)
    rivals = {each: value * scale for each, value in coders.score(held).items()}
    if ngram is not None:
        rivals["ngram"] = found["ngram"]
    scores = Scores(
        static=static,
        prequential=static,
        members={name: alone},
        weights=weights,
        gains=gains,
        baselines=rivals,
        unread=unread(coders, texts),
        bytes=num_bytes,
        protocol=protocol(student.context_length, adaptive=False, cached=cached),
    )
    return scores, teaching, found.get("learning", teaching)
