"""The text for the final score, chosen before the last training, and what the rivals need for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.evaluation import baselines
from wenmo.models.likelihood import bits_per_byte
from wenmo.models.ngram import NgramModel
from wenmo.models.side_by_side import beside
from wenmo.progress import quantity
from wenmo.tokenization.stream import spread
from wenmo.workflow.clock import XZ_BYTES_PER_SECOND, Clock, Cost
from wenmo.workflow.texts import Texts

LEAST_SCORED_TOKENS = 2_000


@dataclass(frozen=True)
class Rivals:
    """The test text and the scores of compressors and of the n-gram model on it.

    Attributes:
        ids: Tokens that are scored, int64 (N,).
        num_bytes: Their UTF-8 bytes.
        learning: Nats of every token under the n-gram model that learns on, float64 (N,).
        known: Contexts that it knew before each token, int64 (N,).
        baselines: Bits per byte of `ppmd`, `xz` and `ngram`, which all learn on while they code.
        unread: Which of them have not read all of the training text, a sentence each.
    """

    ids: npt.NDArray[np.int64]
    num_bytes: int
    learning: npt.NDArray[np.float64]
    known: npt.NDArray[np.int64]
    baselines: dict[str, float]
    unread: list[str]


def compressors(texts: Texts, seconds: float) -> baselines.Compressors:
    """Compressors that have read the training text.

    Args:
        texts: The texts.
        seconds: Time in which xz should read, on a slow core; it reads the end of the text where all takes longer.
    """
    tokens = math.ceil(baselines.PRIMING_BYTES / texts.bytes_per_token)
    prior = texts.bytes_of(np.asarray(texts.train.ids[-tokens:]))
    read = int(min(max(XZ_BYTES_PER_SECOND * seconds, 1), baselines.PRIMING_BYTES))
    return baselines.Compressors(prior, texts.test.num_bytes + texts.test.num_documents, read)


def unread(coders: baselines.Compressors, texts: Texts) -> list[str]:
    """Which compressors have not read all of the training text: nobody should take them for weaker than they are."""
    whole = texts.train.num_bytes
    return [
        f"{name} has read only the last {quantity(size, 'B')} of the {quantity(whole, 'B')} to learn from"
        for name, size in coders.read.items()
        if size < whole
    ]


def compressors_memory(texts: Texts, clock: Clock) -> float:
    """Bytes of memory that compressors hold at most: of xz, two that know the text to be coded as well."""
    read = min(texts.train.num_bytes, baselines.PRIMING_BYTES, XZ_BYTES_PER_SECOND * clock.xz)
    return baselines.PPMD_MEMORY + 2 * baselines.XZ_MEMORY * (read + texts.test.num_bytes)


def measure_rivals(
    ngram: NgramModel,
    texts: Texts,
    clock: Clock,
    cost: Cost | None,
    primed: baselines.Compressors | None = None,
) -> Rivals:
    """Chooses as much of the test text as can be scored in its share of the budget, and scores the rivals.

    They do not depend on the neural models, so that their time is spent, not guessed, when the training is given its
    own.

    Args:
        ngram: The counted model.
        texts: The texts.
        clock: The clock of the run; it knows how fast every member scores.
        cost: What it costs to score text with the whole model, where it was measured.
        primed: From `compressors`, where the training text was read before.
    """
    if cost is None:
        all_bytes = texts.corpus.bytes("test") or texts.corpus.bytes("valid")
        cost = Cost(0.0, clock.scoring_seconds(1.0) * all_bytes / max(len(texts.test.ids), 1))
    count = cost.tokens(clock.scoring, len(texts.test.ids))
    ids = spread(texts.test.ids, max(count, LEAST_SCORED_TOKENS)).astype(np.int64)
    num_bytes = texts.num_bytes(ids)
    held = texts.bytes_of(ids)

    def code() -> tuple[dict[str, float], list[str]]:
        coders = primed or compressors(texts, clock.xz)
        return coders.score(held), unread(coders, texts)

    (learning, known), ((coded, notes),) = beside(
        lambda: ngram.scan(ids, True, texts.tokenizer.eos_id), [code]
    )
    scale = len(held) / num_bytes  # a byte more is coded for each end of a document
    scores = {name: value * scale for name, value in coded.items()}
    scores["ngram"] = bits_per_byte(learning, num_bytes)
    return Rivals(ids, num_bytes, learning, known, scores, notes)
