"""Counting of the n-gram member of a run, within its time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from wenmo.models.ngram import NgramConfig, NgramModel, compilations
from wenmo.progress import duration, quantity, track
from wenmo.tokenization.stream import shuffled, spread
from wenmo.workflow.clock import COUNTING_SHARE, Clock
from wenmo.workflow.members import Member
from wenmo.workflow.texts import Texts

PROBED_TOKENS = 8_000
"""Tokens that are counted to see how fast it goes, where the budget may be too short for all."""
LARGE_TABLES_SPEED = 0.75
"""Speed of counting a million tokens by that of the first few thousand, whose tables fit into the processor's cache."""
UNPROBED_BYTES_PER_SECOND = 130_000
"""Where a text would be counted in its time at this speed, the speed is not measured."""
NGRAM_LEAST_TOKENS = 20_000
"""Tokens that are counted even when the budget is used up: a fraction of a second."""
NGRAM_MOST_TOKENS = 1 << 28
"""Most tokens that are counted, whatever the time: they are put in order in memory; the tables are full long before."""
NGRAM_CONTEXT = 16
"""Context length written into the n-gram model, which remembers fewer tokens than any neural member."""


def train_ngram(
    texts: Texts,
    clock: Clock,
    seed: int,
    tell: Callable[[str], None],
    progress: bool,
    share: float = COUNTING_SHARE,
) -> Member:
    """Counts the n-gram model over the training text; over stretches from all of it when the budget is short.

    Args:
        texts: What to count.
        clock: The clock of the run.
        seed: Seed of the order.
        tell: Told what was decided.
        progress: Whether to show a progress line.
        share: Largest share of the time that is left.
    """
    return count(choose_counted(texts, clock, tell, share), texts, seed, progress)


def ngram_config(texts: Texts) -> NgramConfig:
    """The shape of the n-gram model of a run."""
    return NgramConfig(vocab_size=texts.tokenizer.vocab_size, context_length=NGRAM_CONTEXT)


def choose_counted(
    texts: Texts, clock: Clock, tell: Callable[[str], None], share: float = COUNTING_SHARE
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The tokens that there is the time to count: all of them, or stretches from all over the text.

    The compiled code that counts is loaded by then.

    Args:
        texts: What to count.
        clock: The clock of the run.
        tell: Told what was decided.
        share: Largest share of the time that is left.
    """
    ids = texts.train.ids
    config = ngram_config(texts)
    _load(config, texts, tell)
    seconds = share * clock.left
    most = (
        len(ids)
        if texts.train.num_bytes < UNPROBED_BYTES_PER_SECOND * seconds
        else _countable(config, texts, seconds)
    )
    most = min(most, NGRAM_MOST_TOKENS)
    if len(ids) > most:
        ids = spread(ids, max(int(most), NGRAM_LEAST_TOKENS))
        tell(f"ngram: counts {quantity(texts.num_bytes(ids), 'B')} of the text, taken from all over it")
    return ids


def count(ids: npt.NDArray[np.unsignedinteger[Any]], texts: Texts, seed: int, progress: bool) -> Member:
    """Counts tokens of the training text.

    Several documents are read in blocks of random order: the model adapts, and what it read last, such as the last of
    two languages, would count most. A single text is read as it runs.

    Args:
        ids: From `choose_counted`.
        texts: The texts.
        seed: Seed of the order.
        progress: Whether to show a progress line.
    """
    started = time.monotonic()
    if texts.train.num_documents > 1:
        ids = shuffled(ids, seed)
    model = NgramModel(ngram_config(texts))
    with track("n-gram model", float(len(ids)), "tokens", progress) as shown:
        model.fit(np.asarray(ids), texts.tokenizer.token_bytes, progress=shown)
    spent = time.monotonic() - started
    return Member("ngram", model, [], None, None, spent, 1.0, len(ids) / max(spent, 1e-9))


def _load(config: NgramConfig, texts: Texts, tell: Callable[[str], None]) -> None:
    """Loads the compiled code that counts, and tells what it took when it had to be compiled first."""
    started, before = time.monotonic(), compilations()
    NgramModel(config).fit(np.asarray(texts.train.ids[:64], np.int64), texts.tokenizer.token_bytes)
    if compilations() > before:
        took = duration(time.monotonic() - started)
        tell(
            f"ngram: its code was compiled, once after installation ({took}); `wenmo doctor` does so beforehand"
        )


def _countable(config: NgramConfig, texts: Texts, seconds: float) -> float:
    """Tokens that can be counted in a time, by counting a few; shaping the tree of tokens comes before."""
    shaping, ids = np.split(np.asarray(texts.train.ids[: 2 * PROBED_TOKENS], np.int64), [PROBED_TOKENS])
    if not len(ids):
        return math.inf
    model = NgramModel(config)
    started = time.monotonic()
    model.fit(shaping, texts.tokenizer.token_bytes)
    shaped = time.monotonic()
    model.fit(ids, texts.tokenizer.token_bytes)
    ended = time.monotonic()
    seconds -= ended - started + shaped - started  # the tree is shaped once more
    return max(0.0, LARGE_TABLES_SPEED * len(ids) * seconds / max(ended - shaped, 1e-6))
