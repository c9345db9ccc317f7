"""Small models and vocabularies whose every probability is known, fulfilling the contract."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wenmo.models.base import LanguageModel, ModelConfig, State


class ByteVocabulary:
    """Token 0 ends the text; token b + 1 is byte b."""

    eos_id = 0
    end_ids = frozenset({0})
    token_bytes = (b"", *(bytes([b]) for b in range(256)))

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64) + 1

    def decode(self, ids) -> str:
        return b"".join(self.token_bytes[int(i)] for i in ids).decode("utf-8", "replace")


class WordVocabulary:
    """Token 0 ends the text; the others are the given pieces."""

    eos_id = 0
    end_ids = frozenset({0})

    def __init__(self, pieces: list[bytes]) -> None:
        self.token_bytes = [b"", *pieces]


@dataclass
class HistoryState(State):
    ids: Tensor
    counts: Tensor

    @property
    def lengths(self) -> Tensor:  # type: ignore[override]
        return self.counts

    def select(self, rows: Tensor) -> HistoryState:
        return HistoryState(self.ids[rows], self.counts[rows])

    def truncate(self, lengths: Tensor) -> HistoryState:
        raise NotImplementedError


class HashModel(LanguageModel):
    """Random logits that depend on the last `order` tokens and nothing else; notes the shapes it reads."""

    architecture = "hash"

    def __init__(self, vocab_size: int, order: int = 3, max_positions: int | None = None, scale: float = 3.0):
        super().__init__()
        self.config = ModelConfig(vocab_size=vocab_size, context_length=16)
        self.order, self.scale = order, scale
        self.limit = max_positions
        if max_positions is not None:
            self.max_positions = max_positions
        self.calls: list[tuple[int, int]] = []
        self.register_buffer("dummy", torch.zeros(1))

    def row(self, context: list[int]) -> np.ndarray:
        entropy = [len(context[-self.order :]), *context[-self.order :]]
        return (self.scale * np.random.default_rng(entropy).standard_normal(self.vocab_size)).astype(
            np.float32
        )

    def initial_state(self, batch: int) -> HistoryState:
        return HistoryState(torch.zeros(batch, 0, dtype=torch.int64), torch.zeros(batch, dtype=torch.int64))

    def forward(self, ids, state=None, lengths=None):
        assert lengths is None
        state = state or self.initial_state(len(ids))
        self.calls.append(tuple(ids.shape))
        history = torch.cat([state.ids, ids], 1)
        before = state.ids.shape[1]
        assert self.limit is None or history.shape[1] <= self.limit
        logits = np.stack(
            [[self.row(row[: before + t + 1]) for t in range(ids.shape[1])] for row in history.tolist()]
        )
        return torch.from_numpy(logits), HistoryState(history, state.counts + ids.shape[1])


class ScriptModel(LanguageModel):
    """Writes given tokens after the prompt, one after another, with near certainty, then the end."""

    architecture = "script"

    def __init__(self, script: list[int], vocab_size: int = 257, prompt: int = 1) -> None:
        super().__init__()
        self.config = ModelConfig(vocab_size=vocab_size, context_length=16)
        self.script, self.prompt = script, prompt
        self.register_buffer("dummy", torch.zeros(1))

    def initial_state(self, batch: int) -> HistoryState:
        return HistoryState(torch.zeros(batch, 0, dtype=torch.int64), torch.zeros(batch, dtype=torch.int64))

    def forward(self, ids, state=None, lengths=None):
        state = state or self.initial_state(len(ids))
        logits = torch.full((*ids.shape, self.vocab_size), -50.0)
        for t in range(ids.shape[1]):
            place = state.ids.shape[1] + t + 1 - self.prompt
            token = self.script[place] if 0 <= place < len(self.script) else 0
            logits[:, t, token] = 50.0
        history = torch.cat([state.ids, ids], 1)
        return logits, HistoryState(history, state.counts + ids.shape[1])
