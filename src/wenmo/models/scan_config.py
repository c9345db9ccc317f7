"""The shape of a model whose recurrence is linear in its state."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wenmo.models.base import ModelConfig
from wenmo.models.layers import feed_forward_parameters

Positive = Annotated[int, Field(ge=1)]


class ScanConfig(ModelConfig):
    """Shape of a model of minGRU, minLSTM or RG-LRU blocks."""

    architecture: Literal["mingru", "minlstm", "rglru"]
    """Cell."""
    layers: Positive
    """Number of blocks."""
    width: Positive
    """Size of the residual stream."""
    state_size: Positive
    """Size of the state of each layer."""
    ffn: Positive
    """Hidden size of the feed-forward network."""
    heads: Positive = 1
    """Blocks on the diagonal of the gates' matrices (rglru); divides `state_size`."""
    convolution: Annotated[int, Field(ge=1)] = 4
    """Tokens that the causal convolution before the cell reads; 1 is none."""
    gated: bool = True
    """Whether the state is multiplied by GELU of another projection of the input."""
    activation: Literal["swiglu", "relu2"] = "swiglu"
    """Nonlinearity of the feed-forward network."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the embedding and of what recurrence and feed-forward add to the residual stream."""
    tied: bool = True
    """Whether the output layer is the embedding."""
    norm_epsilon: float = 1e-6
    """Added to the variance in the norms."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.state_size % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide state_size ({self.state_size})")
        if self.architecture != "rglru" and self.heads != 1:
            raise ValueError(f"{self.architecture} has no heads")
        return self

    @property
    def projections(self) -> tuple[int, ...]:
        """Rows of each matrix that reads the residual stream: gates and candidate, or the cell's input; the branch."""
        cell = {"mingru": 2, "minlstm": 3, "rglru": 1}[self.architecture]
        return (self.state_size,) * (cell + (1 if self.gated else 0))

    @property
    def convolved(self) -> int:
        """Features that the convolution reads: RG-LRU's input, or the residual stream before the others' matrices."""
        return self.state_size if self.architecture == "rglru" else self.width

    @property
    def memory(self) -> int:
        """Numbers a layer remembers: the state, and what the convolution still needs."""
        return self.state_size + (self.convolution - 1) * self.convolved


def count_parameters(config: ScanConfig) -> int:
    """Returns the number of parameters that `ScanModel(config)` has, without building it."""
    c = config
    rows = sum(c.projections)
    layer = 2 * c.width + c.width * rows + c.state_size * c.width
    layer += feed_forward_parameters(c.width, c.ffn, c.activation)
    layer += (c.convolution + 1) * c.convolved if c.convolution > 1 else 0
    gates = {"mingru": 1, "minlstm": 2, "rglru": 2}[c.architecture]
    layer += gates * c.state_size  # biases
    if c.architecture == "rglru":
        layer += 2 * c.state_size * (c.state_size // c.heads) + c.state_size
    return c.vocab_size * c.width * (1 if c.tied else 2) + c.width + c.layers * layer
