"""A Transformer with additions that help where text is small and fixed.

They are known from the speed runs on GPT-2 (Jordan et al., modded-nanogpt; Karpathy, nanochat), and each is a field of
`WenmoConfig`:

* residual scalars: before each layer x <- s x + i x0 with two learned numbers, x0 being the input of the first layer;
* value embeddings: tokens have vectors of their own that are added to the attention values on every second layer,
  through a gate for each head (value residual learning is Zhou et al., 2024, https://arxiv.org/abs/2410.17897);
* bigrams: a table of pairs of neighbouring tokens, added to the input;
* the square of ReLU instead of SwiGLU (So et al., 2021, https://arxiv.org/abs/2109.08668).

A saved model is one of wenmo's own, not of `transformers`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from wenmo.models.base import LanguageModel, ModelConfig
from wenmo.models.cache import CacheState, Reading
from wenmo.models.transformer import Block, TransformerModel
from wenmo.models.wenmo_config import GATE_INPUTS, WenmoConfig, count_parameters

__all__ = ["WenmoConfig", "WenmoModel", "count_parameters"]


class WenmoBlock(Block):
    """A layer of the Transformer with residual scalars and value embeddings.

    Args:
        config: Shape.
        layer: Its number, from 0.
    """

    def __init__(self, config: WenmoConfig, layer: int) -> None:
        # With bigrams the first place of the cache holds the tokens themselves.
        super().__init__(config, layer + (1 if config.bigrams else 0))
        self.stream_scale: nn.Parameter | None = None
        self.input_scale: nn.Parameter | None = None
        if config.residual_scalars:
            self.stream_scale = nn.Parameter(torch.ones(1))
            self.input_scale = nn.Parameter(torch.zeros(1))
        self.value_embedding: nn.Embedding | None = None
        self.value_gate: nn.Linear | None = None
        self.gate_inputs = min(GATE_INPUTS, config.width)
        self.value_shape = (config.kv_heads, config.head_size)
        if config.has_value_embedding(layer):
            self.value_embedding = nn.Embedding(config.vocab_size, config.kv_heads * config.head_size)
            self.value_gate = nn.Linear(self.gate_inputs, config.kv_heads, bias=False)

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor] | None,
        reading: Reading,
        start: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        """Returns the residual stream after the layer.

        Args:
            x: Residual stream (B, T, width).
            angles: Rotary cosines and sines.
            reading: Keys and values of the tokens read before.
            start: Input of the first layer (B, T, width); always given.
            ids: The tokens (B, T); always given.
        """
        assert start is not None and ids is not None
        if self.stream_scale is not None and self.input_scale is not None:
            x = self.stream_scale * x + self.input_scale * start
        normed = self.attention_norm(x)
        x = x + self._drop(self.attention(normed, angles, reading, self._values(normed, ids)))
        return self._feed_forward(x)

    def _values(self, normed: Tensor, ids: Tensor) -> Tensor | None:
        if self.value_embedding is None or self.value_gate is None:
            return None
        # Twice the sigmoid: a gate of zeros, as it begins, lets the embedding through as it is.
        gate = 2.0 * torch.sigmoid(self.value_gate(normed[..., : self.gate_inputs]))
        values: Tensor = self.value_embedding(ids).unflatten(-1, self.value_shape) * gate.unsqueeze(-1)
        return values


class WenmoModel(TransformerModel):
    """A decoder-only Transformer with additions.

    Initialisation as in `TransformerModel`, and:

    | parameter | value |
    |---|---|
    | scalars | 1 for the stream, 0 for the input |
    | value embeddings | normal, 1 / sqrt(width) |
    | gates of the value embeddings, bigrams | 0 |

    Args:
        config: Shape.
    """

    architecture: ClassVar[str] = "wenmo"
    config: WenmoConfig

    def __init__(self, config: WenmoConfig) -> None:
        super().__init__(config)
        self.bigrams: nn.Embedding | None = None
        if config.bigrams:
            self.bigrams = nn.Embedding(config.bigrams, config.width)
            nn.init.zeros_(self.bigrams.weight)
        for block in self._layers():
            if block.value_gate is not None:
                nn.init.zeros_(block.value_gate.weight)

    def _block(self, layer: int) -> Block:
        return WenmoBlock(self.config, layer)

    def _layers(self) -> list[WenmoBlock]:
        return [block for block in self.blocks if isinstance(block, WenmoBlock)]

    def matrices(self) -> list[nn.Parameter]:
        """See `NeuralLanguageModel.matrices`."""
        tables = {
            id(module.weight)
            for block in self._layers()
            for module in (block.value_embedding, block.value_gate)
            if module is not None
        }
        return [weight for weight in super().matrices() if id(weight) not in tables]

    def vocabulary_tables(self) -> list[Tensor]:
        """See `NeuralLanguageModel.vocabulary_tables`."""
        values = [
            block.value_embedding.weight for block in self._layers() if block.value_embedding is not None
        ]
        return [*super().vocabulary_tables(), *values]

    def lookup_tables(self) -> list[Tensor]:
        """See `NeuralLanguageModel.lookup_tables`."""
        pairs = [] if self.bigrams is None else [self.bigrams.weight]
        return [*super().lookup_tables(), *pairs]

    def config_json(self) -> dict[str, Any]:
        """See `LanguageModel.config_json`."""
        return LanguageModel.config_json(self)

    def saved_tensors(self) -> dict[str, Tensor]:
        """See `LanguageModel.saved_tensors`."""
        return LanguageModel.saved_tensors(self)

    @classmethod
    def restore(
        cls, config: ModelConfig, tensors: dict[str, Tensor], members: dict[str, LanguageModel]
    ) -> Self:
        """See `LanguageModel.restore`."""
        assert isinstance(config, WenmoConfig)
        model = cls(config)
        model._load(tensors)
        return model

    def _embed(self, ids: Tensor, reading: Reading, state: CacheState | None) -> Tensor:
        embedded = super()._embed(ids, reading, state)
        if self.bigrams is None:
            return embedded
        before = torch.cat([self._last(ids, reading, state), ids[:, :-1]], 1)
        if reading.keep or not reading.first:
            # The cache keeps the tokens as it keeps keys and values: as one more layer, of one head of size one.
            self._remember(ids, reading)
        added = self.bigrams(pair_index(before.clamp(min=0), ids) % self.config.bigrams)
        summed: Tensor = embedded + added * (before >= 0).unsqueeze(-1)
        return summed

    def _last(self, ids: Tensor, reading: Reading, state: CacheState | None) -> Tensor:
        """The token before those of this call, (B, 1); -1 where there is none."""
        if reading.first or state is None:
            return torch.full_like(ids[:, :1], -1)
        kept = reading.storage.layers[0][0][:, 0, :, 0]
        place = (state.lengths - 1).clamp(min=0).unsqueeze(1)
        return torch.where(state.lengths.unsqueeze(1) > 0, kept.gather(1, place), -1)

    def _remember(self, ids: Tensor, reading: Reading) -> None:
        column = ids[:, None, :, None]
        reading.extend(0, column, column)

    def _stack(
        self, x: Tensor, ids: Tensor, angles: tuple[Tensor, Tensor] | None, reading: Reading
    ) -> Tensor:
        start = x
        for block in self.blocks:
            x = block(x, angles, reading, start, ids)
        return x


def pair_index(first: Tensor, second: Tensor) -> Tensor:
    """Numbers pairs of tokens: each pair of numbers below V gets a number of its own below V * V.

    The pairing of Szudzik (2006, "An elegant pairing function"); it does not depend on V, so that a vocabulary can
    grow.

    Args:
        first: int64, at least 0.
        second: int64 of the same shape, at least 0.
    """
    return torch.where(first < second, second * second + first, first * first + first + second)
