"""The shape of a recurrent model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import ModelConfig

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
"""Blocks of `hidden_size` rows in a layer's weights, in PyTorch's order: LSTM i, f, g, o; GRU r, z, n."""


class RecurrentConfig(ModelConfig):
    """Shape of a recurrent model.

    With `tied` and different sizes, a projection (without bias) leads from the hidden state to the embedding
    size; untied, the output layer reads the hidden state itself.
    """

    architecture: Literal["rnn", "lstm", "gru"]
    """Cell."""
    embedding_size: int = Field(ge=1)
    """Size E of the token embedding."""
    hidden_size: int = Field(ge=1)
    """Size H of the hidden state of every layer."""
    layers: int = Field(ge=1)
    """Number of layers."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Locked dropout on embeddings, between layers and on the output: one mask for all time steps."""
    recurrent_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the hidden-to-hidden weights dropped in each forward pass of training."""
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Nonlinearity of the Elman network; the gates of the others have their own."""
    tied: bool = True
    """Share the embedding with the output layer."""

    @property
    def projected(self) -> bool:
        """Whether a projection stands between the last layer and the tied output layer."""
        return self.tied and self.embedding_size != self.hidden_size


def count_parameters(config: RecurrentConfig) -> int:
    """Returns the number of parameters that `RecurrentModel(config)` has, without building it."""
    size, gates = config.hidden_size, GATES[config.architecture]
    total = config.vocab_size * config.embedding_size
    for layer in range(config.layers):
        inputs = size if layer else config.embedding_size
        total += gates * size * (inputs + size + 2)
    if config.projected:
        total += config.embedding_size * size
    if not config.tied:
        total += config.vocab_size * size
    return total
