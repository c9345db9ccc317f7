"""Attention written out, with its weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wenmo.models.dropout import dropout


def mix(scores: Tensor, value: Tensor, mask: Tensor | None, p: float) -> tuple[Tensor, Tensor]:
    """Mixes values by the softmax of scores.

    Args:
        scores: (B, H, T, S).
        value: (B, H, S, D).
        mask: Added to the scores, broadcast to their shape: 0 or minus infinity.
        p: Dropout of the weights.

    Returns:
        Mixed values (B, H, T, D), and the weights before dropout (B, H, T, S).
    """
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return torch.matmul(dropout(weights, p, p > 0), value), weights


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, p: float) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention (Vaswani et al., 2017).

    Written out because sentences are short: PyTorch's fused kernel has no dropout on CPUs and gains nothing there.

    Args:
        query: (B, H, T, D).
        key: (B, H, S, D).
        value: (B, H, S, E).
        mask: See `mix`.
        p: See `mix`.

    Returns:
        See `mix`.
    """
    scaled = query * (1.0 / math.sqrt(query.shape[-1]))
    return mix(torch.matmul(scaled, key.transpose(-1, -2)), value, mask, p)
