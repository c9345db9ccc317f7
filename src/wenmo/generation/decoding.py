"""From a prompt to completions: step-by-step sampling of several rows at once.

Everything here knows a model only by its contract, so that a recurrent network, a Transformer, an n-gram
model and a mixture of them write in the same way. Every context begins with the end-of-text token, as in
training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch

from wenmo.config import GenerationSettings
from wenmo.generation.runtime import DecodeRuntime
from wenmo.generation.sampling import build_sampler, random_generators
from wenmo.generation.streaming import TextStream
from wenmo.models.base import LanguageModel, NeuralLanguageModel, State

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]
FinishReason = Literal["stop", "length"]

_PREFILL_LOGITS = 1 << 24
"""Most logits computed at once while a model without a hidden layer reads the prompt: 64 MB."""


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


class Reader:
    """Rows of text that a model reads in step; holds its state and its prediction of the next token.

    A model with an attribute `max_positions` knows positions, and is read no further than that or, when it is
    None, than the context it was trained with: at the end of this window its last half is read again, without
    the end-of-text token, as in a window of training. A model without the attribute reads on for ever.

    Args:
        model: Any language model, in evaluation mode.
        prompt: Ids, (T,) or (B, T), without the leading end-of-text token.
        eos_id: The end-of-text token, which begins the context.

    Attributes:
        logits: Of the next token, float32 (B, V); one row at first unless the prompt has more.
        history: Every id read, int64 (B, T).
        notes: "" or what was left out of the prompt.
    """

    def __init__(self, model: LanguageModel, prompt: Ids, eos_id: int) -> None:
        self._model = model
        self._device = model.device
        self._window = position_window(model)
        self._eos_id = eos_id
        self.notes: tuple[str, ...] = ()
        self.precision: str = getattr(model, "precision", "fp32")
        self._begin(prompt)

    def _begin(self, prompt: Ids) -> None:
        """Reads a prompt from nothing."""
        rows = np.atleast_2d(prompt)
        context = np.concatenate([np.full((len(rows), 1), self._eos_id), rows], axis=1).astype(np.int64)
        if self._window is not None and context.shape[1] > self._window:
            self.notes = (
                f"the prompt has {rows.shape[1]} tokens, the model reads {self._window}: its end was used",
            )
        self._buffer = context
        self._length = context.shape[1]
        self._state: State | None = None
        self._read = 0
        self.logits = self._predict(context if self._window is None else context[:, -self._window :])

    def move(self, prompt: Ids) -> int:
        """Goes to another prompt; what it has in common with the text read so far is not read again.

        For a reader of one row, such as a conversation's: each turn begins with all that was said before.

        Args:
            prompt: Ids, (T,), without the leading end-of-text token.

        Returns:
            Number of tokens that were kept.
        """
        context = np.concatenate([[self._eos_id], prompt]).astype(np.int64)
        kept = self._kept(context)
        self.notes = ()
        if not kept or self._state is None:
            self._begin(prompt)
            return 0
        try:
            self._state = self._state.truncate(torch.tensor([kept], device=self._state.lengths.device))
        except ValueError:  # the state has forgotten that far back
            self._begin(prompt)
            return 0
        self._buffer, self._length, self._read = context[None].copy(), len(context), kept
        self.logits = self._predict(context[None, kept:])
        return kept

    def _kept(self, context: Ids) -> int:
        """Tokens of a new context that the state holds; at least one is left to be read, for its prediction."""
        if len(self._buffer) != 1 or self._read != self._length:  # several rows, or the window has moved
            return 0
        if self._window is not None and len(context) > self._window:
            return 0
        old = self.history[0]
        most = min(len(old), len(context) - 1)
        differ = np.flatnonzero(old[:most] != context[:most])
        return int(differ[0]) if len(differ) else most

    @property
    def history(self) -> Ids:
        """Every id read, int64 (B, T); a view."""
        return self._buffer[:, : self._length]

    def advance(self, parents: Sequence[int], tokens: Sequence[int]) -> None:
        """Continues row parents[i] with tokens[i]; the rows are then as many as `parents`."""
        index = np.asarray(parents, dtype=np.int64)
        same = len(index) == len(self._buffer) and bool((index == np.arange(len(index))).all())
        if not same:
            self._buffer = self._buffer[index]
        if self._length == self._buffer.shape[1]:
            self._buffer = np.concatenate([self._buffer, np.zeros_like(self._buffer)], axis=1)
        self._buffer[:, self._length] = tokens
        self._length += 1
        if self._window is not None and self._read + 1 > self._window:
            self._state, self._read = None, 0
            self.logits = self._predict(self.history[:, -max(self._window // 2, 1) :])
            return
        if not same and self._state is not None:
            with torch.inference_mode():
                self._state = self._state.select(torch.from_numpy(index).to(self._device))
        self.logits = self._predict(self.history[:, -1:])

    def _predict(self, ids: Ids) -> Logits:
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(ids)).to(self._device)
            logits, self._state = last_logits(self._model, tensor, self._state)
            self._read += ids.shape[1]
            return np.asarray(logits.float().cpu().numpy())


def position_window(model: LanguageModel) -> int | None:
    """Returns how many tokens may be read before a window must move; None for a model without positions."""
    windows = []
    for member in model.modules():  # a mixture reads no further than its members
        if isinstance(member, LanguageModel) and hasattr(member, "max_positions"):
            limit = cast("int | None", member.max_positions)
            windows.append(member.context_length if limit is None else limit)
    return min(windows, default=None)


def last_logits(
    model: LanguageModel, ids: torch.Tensor, state: State | None
) -> tuple[torch.Tensor, State | None]:
    """Reads ids (B, T); returns the logits after the last one, (B, V), and the state, in bounded memory."""
    if ids.shape[1] > 1 and isinstance(model, DecodeRuntime):
        model = model.precise
    if ids.shape[1] > 1 and isinstance(model, NeuralLanguageModel):
        hidden, state = model.hidden(ids, state)
        return (hidden[:, -1] @ model.output_weight.T).float(), state
    piece = max(1, _PREFILL_LOGITS // (len(ids) * model.vocab_size))
    for start in range(0, ids.shape[1], piece):
        logits, state = model(ids[:, start : start + piece], state)
    return logits[:, -1], state


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
    return _steps(Reader(model, prompt, vocabulary.eos_id), vocabulary, settings)


def _steps(reader: Reader, vocabulary: Vocabulary, settings: GenerationSettings) -> Iterator[Step]:
    ends = vocabulary.end_ids
    sampler = build_sampler(settings, vocabulary, banned_tokens(reader, vocabulary, settings))
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
            token = sampler.draw(reader.logits[row], reader.history[row], generators[sample])
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
    return _steps(Reader(model, prompts, vocabulary.eos_id), vocabulary, settings)


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
    return collect(_steps(reader, vocabulary, settings), settings.n, reader)
