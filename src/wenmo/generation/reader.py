"""Rows of text that a model reads in step, and its prediction of what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from wenmo.generation.runtime import DecodeRuntime
from wenmo.models.base import LanguageModel, NeuralLanguageModel, State

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]

_PREFILL_LOGITS = 1 << 24
"""Most logits computed at once while a model without a hidden layer reads the prompt: 64 MB."""


class Reader:
    """Rows of text that a model reads in step; holds its state and its prediction of the next token.

    The state is told which tokens were given and which the model wrote itself (`State.writing`). A conversation that
    has to be read from its beginning again is given as a whole.

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
        self._given = self._length
        self._state: State | None = None
        self._read = 0
        self.logits = self._predict(context if self._window is None else context[:, -self._window :])
        self._write()

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
            kept_state = self._state.truncate(torch.tensor([kept], device=self._state.lengths.device))
        except ValueError:  # the state has forgotten that far back
            self._begin(prompt)
            return 0
        self._state = kept_state.writing(False)
        self._buffer, self._length, self._read = context[None].copy(), len(context), kept
        self._given = self._length
        self.logits = self._predict(context[None, kept:])
        self._write()
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
            self._read_again(max(self._window // 2, 1))
            return
        if not same and self._state is not None:
            with torch.inference_mode():
                self._state = self._state.select(torch.from_numpy(index).to(self._device))
        self.logits = self._predict(self.history[:, -1:])

    def _read_again(self, count: int) -> None:
        """Reads the last `count` tokens from nothing."""
        ids = self.history[:, -count:]
        given = max(0, self._given - (self._length - count))
        self._state, self._read = None, 0
        if given:
            self.logits = self._predict(ids[:, :given])
        else:
            self._state = self._model.initial_state(len(ids))
        self._write()
        if given < count:
            self.logits = self._predict(ids[:, given:])

    def _write(self) -> None:
        """What is read from here on was written by the model."""
        if self._state is not None:
            self._state = self._state.writing(True)

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
