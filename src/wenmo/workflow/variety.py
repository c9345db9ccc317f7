"""How varied a trained model writes, and how much it copies, beside the people who wrote the held-out text."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenmo.config import GenerationSettings
from wenmo.evaluation.diversity import (
    Diversity,
    copied_share,
    cut_alike,
    measure_diversity,
    repetition_warning,
)
from wenmo.evaluation.metrics import longest_copy
from wenmo.generation.decoding import continue_each
from wenmo.models.base import LanguageModel
from wenmo.tokenization.stream import stretches
from wenmo.workflow.texts import Texts

FEWEST_TEXTS, MOST_TEXTS = 4, 32
"""Places of the test text that are continued; fewer where the time is short, so that the texts are not, and more where
the rest of the run took less than was planned."""
PROMPT_TOKENS, WRITTEN_TOKENS = 32, 120
FEWEST_WRITTEN_TOKENS = 30
"""Shorter texts than this say nothing of variety; so much is written even when no time is left."""
PROBED_TOKENS = 3
FEWEST_SEARCHED_BYTES = 400_000
"""Training text in which copies are looked for even when no time is left."""
PROBED_BYTES = 200_000


@dataclass(frozen=True)
class Variety:
    """Scores of texts of equal length that continue the same places of the test text.

    Attributes:
        model: Of what the model wrote.
        people: Of how the test text goes on there.
        searched: Share of the training text in which copies were looked for.
    """

    model: Diversity
    people: Diversity
    searched: float

    @property
    def warning(self) -> str | None:
        """See `repetition_warning`."""
        return repetition_warning(self.model, self.people)


def measure_variety(
    model: LanguageModel, texts: Texts, settings: GenerationSettings, seconds: float
) -> Variety | None:
    """Continues places of the test text, all at once, and scores the texts.

    Args:
        model: The trained model, in evaluation mode.
        texts: Its texts.
        settings: How it writes.
        seconds: Time, half of it for writing and half for looking for copies. There are fewer texts, then shorter ones,
            where it is short.

    Returns:
        The scores; None when the test text is too short for a few places.
    """
    ids = texts.test.ids
    most = min(MOST_TEXTS, len(ids) // (PROMPT_TOKENS + WRITTEN_TOKENS))
    if most < FEWEST_TEXTS:
        return None
    began = time.monotonic()
    starts = np.linspace(0, len(ids) - PROMPT_TOKENS - WRITTEN_TOKENS, most).astype(np.int64)
    prompts = ids[starts[:, None] + np.arange(PROMPT_TOKENS)].astype(np.int64)
    cost = writing_cost(model, texts, prompts[:2], settings)
    going_on = [_document(texts, ids[start : start + WRITTEN_TOKENS]) for start in starts + PROMPT_TOKENS]
    # Where documents are short, so are the texts, and there is the time for more of them.
    length = max(sum(map(len, going_on)) / most, FEWEST_WRITTEN_TOKENS)
    count = min(max(int(seconds / 2 / (cost * length)), FEWEST_TEXTS), most)
    chosen = np.linspace(0, most - 1, count).astype(np.int64)
    left = seconds / 2 - (time.monotonic() - began)
    written = _written(model, texts, prompts[chosen], settings, left)
    people = [texts.tokenizer.decode(going_on[place]) for place in chosen]
    own, others = cut_alike(written, people)
    left = seconds - (time.monotonic() - began)
    searched, share = searched_texts(
        texts, max(int(left / max(_search_cost(texts, own), 1e-9)), FEWEST_SEARCHED_BYTES)
    )
    try:
        return Variety(measure_diversity(own, searched), measure_diversity(others, searched), share)
    except ValueError:  # nothing but punctuation, or nothing at all, was written
        return None


def writing_cost(
    model: LanguageModel, texts: Texts, prompts: npt.NDArray[np.int64], settings: GenerationSettings
) -> float:
    """Seconds for one token of one text when the prompts are continued together, timed."""
    chosen = settings.model_copy(update={"max_tokens": PROBED_TOKENS + 1, "seed": 0, "ignore_eos": True})
    steps = continue_each(model, texts.tokenizer, prompts, chosen)
    for _ in prompts:  # reading the prompts is not counted
        next(steps)
    began = time.monotonic()
    drawn = sum(1 for _ in steps)
    return max(time.monotonic() - began, 1e-6) / max(drawn, 1)


def _search_cost(texts: Texts, written: list[str]) -> float:
    """Seconds to look for copies, of the model and of people, in a byte of training text, timed."""
    began = time.monotonic()
    probed, share = searched_texts(texts, PROBED_BYTES)
    longest_copy("".join(written), probed)
    copied_share(written, probed)
    return 2.0 * (time.monotonic() - began) / max(share * texts.train.num_bytes, 1.0)


def _written(
    model: LanguageModel,
    texts: Texts,
    prompts: npt.NDArray[np.int64],
    settings: GenerationSettings,
    seconds: float,
) -> list[str]:
    chosen = settings.model_copy(update={"max_tokens": WRITTEN_TOKENS, "seed": 0})
    pieces: list[list[str]] = [[] for _ in prompts]
    ends = time.monotonic() + seconds
    for step in continue_each(model, texts.tokenizer, prompts, chosen):
        pieces[step.row].append(step.text)
        if time.monotonic() > ends and len(pieces[step.row]) >= FEWEST_WRITTEN_TOKENS:
            break
    return ["".join(parts) for parts in pieces]


def _document(texts: Texts, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Tokens up to the end of the document (T,), T up to their number."""
    ended = np.flatnonzero(ids == texts.tokenizer.eos_id)
    return ids[: ended[0]] if len(ended) else ids


def searched_texts(texts: Texts, num_bytes: int) -> tuple[list[str], float]:
    """Stretches from all over the training text, of about so many bytes together, and their share of it.

    A NUL character stands for each end of a document.
    """
    ids = texts.train.ids
    chosen = stretches(ids, max(int(num_bytes / texts.bytes_per_token), 1))
    # A stretch may begin and end within a character.
    found = [texts.bytes_of(each).decode("utf-8", "ignore") for each in chosen]
    return found, sum(map(len, chosen)) / max(len(ids), 1)
