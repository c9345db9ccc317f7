"""The samples of a report: how the model goes on from beginnings of lines of the test text, and what it copied."""

from __future__ import annotations

import time

from wenmo.config import GenerationSettings
from wenmo.evaluation.metrics import longest_copy
from wenmo.evaluation.report import Sample
from wenmo.generation.decoding import complete
from wenmo.models.base import LanguageModel
from wenmo.workflow.finish import (
    FEWEST_SAMPLE_TOKENS,
    SAMPLE_TOKENS,
    SAMPLES,
    SEARCHED_BYTES,
    copy_seconds,
    writing_seconds,
)
from wenmo.workflow.texts import Texts
from wenmo.workflow.variety import FEWEST_SEARCHED_BYTES, searched_texts

PROMPT_CHARS = 8


def write_samples(
    model: LanguageModel, texts: Texts, settings: GenerationSettings, seconds: float
) -> list[Sample]:
    """Writes samples and looks for copied stretches in them.

    Args:
        model: The trained model, in evaluation mode.
        texts: Its texts.
        settings: How it writes.
        seconds: Time for all; the samples are shorter, and copies are looked for in less of the training text, where it
            is short.
    """
    ends = time.monotonic() + seconds
    cost = writing_seconds(model, texts, settings)
    length = int(min(max(seconds / 2 / SAMPLES / cost, FEWEST_SAMPLE_TOKENS), SAMPLE_TOKENS))
    chosen = settings.model_copy(update={"max_tokens": length, "n": 1, "beams": 1})
    prompts = [_opening(texts, (number + 1) / (SAMPLES + 1)) for number in range(SAMPLES)]
    written = [
        complete(
            model, texts.tokenizer, texts.tokenizer.encode(prompt), chosen.model_copy(update={"seed": seed})
        )[0].text
        for seed, prompt in enumerate(prompts)
    ]
    left = max(ends - time.monotonic(), 0.0)
    room = int(min(left / SAMPLES / max(copy_seconds(texts), 1e-12), SEARCHED_BYTES))
    searched, share = searched_texts(texts, max(room, FEWEST_SEARCHED_BYTES))
    return [
        Sample(text=text, prompt=prompt, longest_copy=len(longest_copy(text, searched).text), searched=share)
        for prompt, text in zip(prompts, written, strict=True)
    ]


def _opening(texts: Texts, share: float) -> str:
    """The first words of a line of the test text, at a share of the way through it; of a rest, where none begins."""
    ids = texts.test.ids
    start = int(share * len(ids))
    rest, *lines = texts.tokenizer.decode(ids[start : start + 400]).split("\n")
    # What is left of a line may begin within a character.
    lines.append(rest.lstrip("\ufffd"))
    line = next((line.strip() for line in lines if len(line.strip()) >= PROMPT_CHARS), "")
    words = line[: 2 * PROMPT_CHARS].split(" ")
    return " ".join(words[:-1]) if len(words) > 2 else line[:PROMPT_CHARS]
