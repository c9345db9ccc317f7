"""The contract of encoder-decoder models: read a source once, then predict a target token by token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from wenmo.models.base import copy_tensors


class Seq2SeqConfig(BaseModel):
    """Shape of an encoder-decoder model: all that is needed to build it with random weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    vocab_size: int = Field(ge=2)
    """Number of tokens V, shared by source and target: embeddings and output layer are one matrix."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of the embeddings and of what each layer adds."""


class Memory(ABC):
    """What the encoder made of a batch of sources; opaque to callers.

    Attributes:
        lengths: Tokens of each source, int64 (B,).
    """

    lengths: Tensor


class DecoderState(ABC):
    """What the decoder remembers of the target tokens read so far, for a batch of rows; opaque to callers.

    Attributes:
        lengths: Target tokens read by each row, int64 (N,).
    """

    lengths: Tensor

    @abstractmethod
    def select(self, rows: Tensor) -> DecoderState:
        """Returns the state of the given rows (int64 (M,), repeats allowed); each goes on reading its own source."""


class Seq2SeqModel(nn.Module, ABC):
    """A distribution over target texts given a source text.

    Token 0 ends every source and every target and stands before the first target token.

    Attributes:
        architecture: Name in the registry.
        config: Shape of the model.
    """

    architecture: ClassVar[str]
    config: Seq2SeqConfig

    @abstractmethod
    def encode(self, ids: Tensor, lengths: Tensor) -> Memory:
        """Reads sources.

        Args:
            ids: Token ids, int64 (B, S), right-padded with anything.
            lengths: Valid tokens of each source, int64 (B,), at least 1. Padding never influences a result.
        """

    @abstractmethod
    def start(self, memory: Memory, beams: int = 1) -> DecoderState:
        """Returns the state of B * beams rows that have read nothing: row b * beams + k reads source b."""

    @abstractmethod
    def decode(
        self, ids: Tensor, state: DecoderState, need_state: bool = True
    ) -> tuple[Tensor, DecoderState | None]:
        """Reads target tokens and predicts the one after each.

        Args:
            ids: Target tokens, int64 (N, T), T >= 1.
            state: What was read before.
            need_state: False in training, where nothing is read afterwards.

        Returns:
            Hidden vectors (N, T, D), from which `logits` makes predictions of the next tokens, and the new state.
        """

    @abstractmethod
    def attention(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor | None:
        """How much the model looks at each source token when it reads each target token.

        Args:
            source: Token ids, int64 (B, S).
            lengths: Valid tokens of each source, int64 (B,).
            target: Target tokens as read, int64 (B, T).

        Returns:
            Weights (B, T, S) whose rows sum to one over the valid source tokens; None without attention.
        """

    @property
    @abstractmethod
    def output_weight(self) -> Tensor:
        """Output matrix (V, D), the embedding itself. The output layer has no bias."""

    @abstractmethod
    def matrices(self) -> list[nn.Parameter]:
        """2-D hidden weights that Muon may optimise (no embeddings, no vectors)."""

    @abstractmethod
    def flops_per_pair(self, source: float, target: float) -> float:
        """Returns the operations of one forward pass over a pair of these lengths (matrix products only)."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Returns logits float32 (..., V) of hidden vectors (..., D)."""
        return (hidden @ self.output_weight.T).float()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def num_parameters(self) -> int:
        """Number of distinct trainable numbers (tied ones counted once)."""
        return sum(p.numel() for p in self.parameters())

    def saved_tensors(self) -> dict[str, Tensor]:
        """Returns the tensors to save, by name, each of them once."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    @classmethod
    def restore(cls, config: Any, tensors: dict[str, Tensor]) -> Self:
        """Builds the model whose `config` and `saved_tensors()` are given.

        Raises:
            ValueError: When a tensor is missing, unknown or of another shape.
        """
        model = cls(config)
        copy_tensors(model.saved_tensors(), tensors)
        return model


def padding_mask(lengths: Tensor, size: int) -> Tensor:
    """Returns True where a token is valid, bool (B, size)."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]
