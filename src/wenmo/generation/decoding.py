"""From a prompt to completions: step-by-step sampling of several rows at once.

Everything here knows a model only by its contract, so that a recurrent network, a Transformer, an n-gram
model and a mixture of them write in the same way. Every context begins with the end-of-text token, as in
training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from wenmo.config import GenerationSettings
from wenmo.generation.reader import Ids, Logits, Reader
from wenmo.generation.sampling import build_sampler, random_generators
from wenmo.generation.streaming import TextStream
from wenmo.models.base import LanguageModel

FinishReason = Literal["stop", "length"]


class Vocabulary(Protocol):
    """What decoding needs of a tokenizer."""

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """Bytes of every token id."""

    @property
    def eos_id(self) -> int:
        """The end-of-text token."""

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end a text: the end-of-text token and, in a model of conversations, the end of a turn."""


@dataclass(frozen=True)
class Completion:
    """One continuation of a prompt.

    Attributes:
        text: The new text, without the prompt and without the stop string.
        tokens: Every id drawn, the one that ended the text and those of a stop string included.
        logprobs: Natural log-probability of each token under the model, before any sampler.
        finish_reason: "stop" at the end of a document or turn, or at a stop string, "length" at `max_tokens`.
        notes: What the reader should know, such as a prompt that was cut.
        precision: Number format of the weights while this was written.
    """

    text: str
    tokens: list[int]
    logprobs: list[float]
    finish_reason: FinishReason
    notes: tuple[str, ...] = ()
    precision: str = "fp32"


@dataclass(frozen=True)
class Step:
    """One token of one sample.

    Attributes:
        row: Number of the sample.
        token: The id drawn.
        logprob: Its natural log-probability under the model.
        text: Text that may be shown now; "" while a character or a possible stop string is incomplete.
        finish_reason: None unless this is the sample's last step.
    """

    row: int
    token: int
    logprob: float
    text: str
    finish_reason: FinishReason | None


def generate_steps(
    model: LanguageModel, vocabulary: Vocabulary, prompt: Ids, settings: GenerationSettings
) -> Iterator[Step]:
    """Samples `settings.n` continuations token by token, all rows in step.

    The prompt is read once. Sample i of a seed is the same whatever `n` is.

    Args:
        model: Any language model, in evaluation mode.
        vocabulary: Its tokenizer.
        prompt: Ids of the prompt; empty is the beginning of a document.
        settings: How to sample and when to stop.

    Yields:
        A step for every token of every sample, in the order in which they are drawn.

    Raises:
        OptionError: When an option is wrong or would do nothing.
    """
    return read_steps(Reader(model, prompt, vocabulary.eos_id), vocabulary, settings)


def read_steps(
    reader: Reader, vocabulary: Vocabulary, settings: GenerationSettings, *, nonempty: bool = False
) -> Iterator[Step]:
    """Samples from where a reader stands; see `generate_steps`.

    Args:
        reader: Has read one prompt, or one for each of `settings.n` samples. At the end it has read all that was
            drawn but the last token.
        vocabulary: The tokenizer.
        settings: How to sample and when to stop.
        nonempty: No end of text is drawn before there is text other than white space.
    """
    ends = vocabulary.end_ids
    banned = banned_tokens(reader, vocabulary, settings)
    sampler = build_sampler(settings, vocabulary, banned)
    opening = build_sampler(settings, vocabulary, sorted({*banned, *ends}))
    silent = set(range(settings.n)) if nonempty else set()  # samples that have said nothing yet
    generators = random_generators(settings.seed, settings.n)
    streams = [TextStream(vocabulary.token_bytes, settings.stop) for _ in range(settings.n)]
    live = list(range(settings.n))
    several = len(reader.logits) > 1  # a prompt for each sample
    place = (
        list(range(settings.n)) if several else [0] * settings.n
    )  # row of the reader that holds each live sample
    for count in range(1, settings.max_tokens + 1):
        going: list[int] = []
        tokens: list[int] = []
        parents: list[int] = []
        for sample, row in zip(live, place, strict=True):
            chosen = opening if sample in silent else sampler
            token = chosen.draw(reader.logits[row], reader.history[row], generators[sample])
            if sample in silent and vocabulary.token_bytes[token].decode("utf-8", "replace").strip():
                silent.remove(sample)
            stream = streams[sample]
            text = stream.feed(token)
            reason: FinishReason | None = None
            if token in ends or stream.stopped:
                reason = "stop"
            elif count == settings.max_tokens:
                reason = "length"
            else:
                going.append(sample)
                tokens.append(token)
                parents.append(row)
            if reason is not None:
                text += stream.close(cut=reason == "length")
                reason = "stop" if stream.stopped else reason
            yield Step(sample, token, log_probability(reader.logits[row], token), text, reason)
        if not going:
            return
        reader.advance(parents, tokens)
        live, place = going, list(range(len(going)))


def banned_tokens(reader: Reader, vocabulary: Vocabulary, settings: GenerationSettings) -> list[int]:
    """Returns the ids never to be drawn: those that stand for no text, and the ends of text when they are ignored."""
    ends = frozenset() if settings.ignore_eos else vocabulary.end_ids
    silent = [token for token, data in enumerate(vocabulary.token_bytes) if not data and token not in ends]
    return [*silent, *range(len(vocabulary.token_bytes), reader.logits.shape[1])]


def log_probability(logits: Logits, token: int) -> float:
    """Returns log_softmax(logits)[token] in nats."""
    top = logits.max()
    return float(logits[token] - top) - float(np.log(np.exp(logits - top).sum()))


@dataclass
class _Sample:
    text: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    reason: FinishReason = "length"


def continue_each(
    model: LanguageModel, vocabulary: Vocabulary, prompts: Ids, settings: GenerationSettings
) -> Iterator[Step]:
    """Samples one continuation of each of several prompts of one length, all in step.

    Args:
        model: Any language model, in evaluation mode.
        vocabulary: Its tokenizer.
        prompts: Ids, int64 (B, T).
        settings: How to sample; `n` is taken to be B.

    Yields:
        See `generate_steps`; `row` is the number of the prompt.
    """
    settings = settings.model_copy(update={"n": len(prompts), "beams": 1})
    return read_steps(Reader(model, prompts, vocabulary.eos_id), vocabulary, settings)


def collect(steps: Iterable[Step], n: int, reader: Reader) -> list[Completion]:
    """Returns the completions, (n), that steps make up."""
    samples = [_Sample() for _ in range(n)]
    for step in steps:
        sample = samples[step.row]
        sample.text.append(step.text)
        sample.tokens.append(step.token)
        sample.logprobs.append(step.logprob)
        sample.reason = step.finish_reason or "length"
    return [
        Completion("".join(s.text), s.tokens, s.logprobs, s.reason, reader.notes, reader.precision)
        for s in samples
    ]


def complete(
    model: LanguageModel, vocabulary: Vocabulary, prompt: Ids, settings: GenerationSettings
) -> list[Completion]:
    """Returns `settings.n` completions: by beam search when `settings.beams` > 1, else by sampling.

    Args:
        model: Any language model, in evaluation mode.
        vocabulary: Its tokenizer.
        prompt: Ids of the prompt; empty is the beginning of a document.
        settings: How to decode and when to stop.

    Raises:
        OptionError: When an option is wrong or would do nothing.
    """
    reader = Reader(model, prompt, vocabulary.eos_id)
    if settings.beams > 1:
        from wenmo.generation.beam import beam_search

        return beam_search(reader, vocabulary, settings)
    return collect(read_steps(reader, vocabulary, settings), settings.n, reader)
