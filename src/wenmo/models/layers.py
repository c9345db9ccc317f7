"""Parts that layers of several families share: the norm and the feed-forward network."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenmo.models.fused import gelu, rms_norm, swiglu
from wenmo.models.low_precision import product, unbiased

Activation = Literal["swiglu", "gelu", "relu2"]
"""SwiGLU (Shazeer, 2020, https://arxiv.org/abs/2002.05202), GELU by its tanh formula, or the square of ReLU (So et al.,
2021, https://arxiv.org/abs/2109.08668)."""


class RMSNorm(nn.Module):
    """Root-mean-square norm of the last dimension (Zhang & Sennrich, 2019, https://arxiv.org/abs/1910.07467)."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Returns x / rms(x) * weight."""
        return rms_norm(x, self.weight, self.epsilon)


class FeedForward(nn.Module):
    """Two linear layers with a nonlinearity in between.

    Args:
        width: Size of the residual stream.
        ffn: Hidden size.
        activation: The nonlinearity; SwiGLU has two matrices up, its gate first.
        bias: Whether the linear layers have one.
    """

    def __init__(self, width: int, ffn: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.activation = activation
        rows = (ffn, ffn) if activation == "swiglu" else (ffn,)
        self.up = nn.Linear(width, sum(rows), bias=bias)
        self.up.weight.muon_split = rows  # type: ignore[attr-defined]
        self.down = nn.Linear(ffn, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the feed-forward network adds to x (..., width)."""
        if self.activation == "swiglu":
            hidden = swiglu(product(self.up, x))
        elif self.activation == "relu2":
            hidden = F.relu(self.up(x)).square()
        else:
            hidden = gelu(*unbiased(self.up, x))
        added: Tensor = self.down(hidden)
        return added


def feed_forward_parameters(width: int, ffn: int, activation: Activation, bias: bool = False) -> int:
    """Returns the number of parameters of `FeedForward`, without building it."""
    up = 2 * ffn if activation == "swiglu" else ffn
    return width * (up + ffn) + (up + width if bias else 0)
