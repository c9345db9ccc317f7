"""The held-out text of a training run."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wenmo.models.base import NeuralLanguageModel
from wenmo.models.likelihood import score_stream


class HeldOutLoss(Protocol):
    """What a training run is judged by."""

    def loss(self, model: NeuralLanguageModel) -> float:
        """Mean loss in nats per counted token; the model is left in training mode."""

    def bits_per_byte(self, loss: float) -> float:
        """A loss in nats per token as bits per UTF-8 byte of the counted text."""


class HeldOut:
    """Tokens that a run is judged by, scored under the same protocol as the final score.

    Args:
        ids: The tokens (T,).
        byte_lengths: UTF-8 bytes of each token of the vocabulary (V,).
        eos_id: The end-of-text token.
        context: Context window, tokens.

    Attributes:
        ids: The tokens, int64 (T,).
        num_bytes: Their UTF-8 bytes, at least 1.
        nats: Of every token (T,) at the last scoring; None before the first.
    """

    def __init__(
        self,
        ids: npt.NDArray[np.integer[Any]],
        byte_lengths: npt.NDArray[np.int64],
        *,
        eos_id: int,
        context: int,
    ) -> None:
        self.ids = ids.astype(np.int64)
        self.num_bytes = max(int(byte_lengths[self.ids].sum()), 1)
        self._eos_id = eos_id
        self._context = context
        self.nats: npt.NDArray[np.float64] | None = None

    def loss(self, model: NeuralLanguageModel) -> float:
        """Mean loss in nats per token; the model is left in training mode."""
        model.eval()
        self.nats = score_stream(model, self.ids, eos_id=self._eos_id, context=self._context)
        model.train()
        return float(self.nats.mean())

    def bits_per_byte(self, loss: float) -> float:
        """A loss in nats per token as bits per UTF-8 byte of the held-out text."""
        return loss / math.log(2.0) * len(self.ids) / self.num_bytes
