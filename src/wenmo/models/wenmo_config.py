"""The shape of a Transformer with wenmo's own additions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from wenmo.models.layers import Activation
from wenmo.models.transformer_config import TransformerConfig
from wenmo.models.transformer_config import count_parameters as count_transformer

GATE_INPUTS = 32
"""Features of the residual stream that the gate of the value embeddings reads, at most."""


class WenmoConfig(TransformerConfig):
    """Shape of a Transformer with additions, each of which can be switched off.

    With all of them off it is a Transformer in the layout of Qwen3. On by default are those that lowered the held-out
    loss at no cost in time (docs/lab.md, 2026-11-25).
    """

    architecture: Literal["wenmo"] = "wenmo"  # type: ignore[assignment]
    layout: Literal["qwen3"] = "qwen3"
    """RMSNorm, rotary positions, normed queries and keys."""
    residual_scalars: bool = True
    """Before each layer x becomes s x + i x0 with two learned numbers; x0 is the input of the first layer."""
    value_embeddings: bool = False
    """On every second layer, counted from the last, a table gives each token a vector that is added to its attention
    values through a learned gate for each head."""
    bigrams: Annotated[int, Field(ge=0)] = 1024
    """Rows of a table of pairs of neighbouring tokens, added to the input; 0 is none. Pairs share rows where there are
    fewer rows than pairs."""
    activation: Literal["swiglu", "relu2"] = "swiglu"
    """Nonlinearity of the feed-forward network."""

    @property
    def ffn_activation(self) -> Activation:
        """Nonlinearity of the feed-forward network."""
        return self.activation

    def has_value_embedding(self, layer: int) -> bool:
        """Whether a layer adds value embeddings."""
        return self.value_embeddings and (self.layers - 1 - layer) % 2 == 0


def count_parameters(config: WenmoConfig) -> int:
    """Returns the number of parameters that `WenmoModel(config)` has, without building it."""
    c = config
    total = count_transformer(c) + c.bigrams * c.width + (2 * c.layers if c.residual_scalars else 0)
    tables = sum(c.has_value_embedding(layer) for layer in range(c.layers))
    row = c.kv_heads * c.head_size
    return total + tables * (c.vocab_size * row + c.kv_heads * min(GATE_INPUTS, c.width))
