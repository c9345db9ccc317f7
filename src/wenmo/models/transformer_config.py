"""The shape of a Transformer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wenmo.models.base import ModelConfig
from wenmo.models.layers import Activation, feed_forward_parameters

Positive = Annotated[int, Field(ge=1)]


class TransformerConfig(ModelConfig):
    """Shape of a Transformer."""

    architecture: Literal["transformer"] = "transformer"
    layout: Literal["qwen3", "llama", "gpt2"] = "qwen3"
    """Which of the three layouts."""
    layers: Positive
    """Number of layers."""
    width: Positive
    """Size of the residual stream."""
    heads: Positive
    """Query heads."""
    kv_heads: Positive
    """Key-value heads; divides `heads`, equals it for gpt2."""
    head_size: Positive
    """Size of a head; even for rotary positions, width / heads for gpt2."""
    ffn: Positive
    """Hidden size of the feed-forward network."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the embedding and of what attention and feed-forward add to the residual stream."""
    tied: bool = True
    """Whether the output layer is the embedding."""
    rope_theta: float = 10000.0
    """Base of the rotary wavelengths."""
    norm_epsilon: float = 1e-6
    """Added to the variance in the norms."""

    @property
    def ffn_activation(self) -> Activation:
        """Nonlinearity of the feed-forward network."""
        return "gelu" if self.layout == "gpt2" else "swiglu"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        if self.layout == "gpt2":
            if self.kv_heads != self.heads or self.head_size * self.heads != self.width:
                raise ValueError("gpt2 needs kv_heads = heads and width = heads x head_size")
        elif self.head_size % 2:
            raise ValueError(f"head_size ({self.head_size}) must be even for rotary positions")
        return self


def count_parameters(config: TransformerConfig) -> int:
    """Returns the number of parameters that `TransformerModel(config)` has, without building it."""
    c = config
    queries, keys = c.heads * c.head_size, c.kv_heads * c.head_size
    gpt2 = c.layout == "gpt2"
    layer = c.width * (2 * queries + 2 * keys) + 2 * c.width
    layer += feed_forward_parameters(c.width, c.ffn, c.ffn_activation, bias=gpt2)
    total = c.vocab_size * c.width * (1 if c.tied else 2) + c.width
    if gpt2:
        layer += queries + 2 * keys + c.width + 2 * c.width
        total += c.context_length * c.width + c.width
    elif c.layout == "qwen3":
        layer += 2 * c.head_size
    return total + c.layers * layer
