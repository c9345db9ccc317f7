"""Rotary position embedding (Su et al., 2021, https://arxiv.org/abs/2104.09864): the angles."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RotaryTable(nn.Module):
    """Cosines and sines of the angles of all positions, extended when longer text comes.

    Args:
        head_size: Size D of a head (even).
        theta: Base of the wavelengths.
        length: Positions computed at first.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, head_size: int, theta: float, length: int) -> None:
        super().__init__()
        self.head_size = head_size
        self.theta = theta
        for name, table in zip(("cos", "sin"), self._tables(length), strict=True):
            self.register_buffer(name, table, persistent=False)

    def _tables(self, length: int) -> tuple[Tensor, Tensor]:
        exponents = torch.arange(0, self.head_size, 2, dtype=torch.float32) / self.head_size
        frequencies = 1.0 / self.theta**exponents
        angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
        return angles.cos(), angles.sin()

    def forward(self, positions: Tensor, end: int) -> tuple[Tensor, Tensor]:
        """Returns cosines and sines (..., T, 1, D/2) for positions (..., T), all below `end`."""
        if end > len(self.cos):
            cos, sin = self._tables(max(end, 2 * len(self.cos)))
            self.cos, self.sin = cos.to(self.cos), sin.to(self.sin)
        return self.cos[positions].unsqueeze(-2), self.sin[positions].unsqueeze(-2)
