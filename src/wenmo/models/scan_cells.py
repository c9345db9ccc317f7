"""Cells whose gates depend on the input alone: h[t] = a[t] * h[t - 1] + b[t], with a and b computed for all t at once.

| cell | a | b | paper |
|---|---|---|---|
| minGRU | sigmoid(-z) | (1 - a) n | Feng et al., 2024, https://arxiv.org/abs/2410.01201 |
| minLSTM | f / (f + i) | (1 - a) n | the same |
| RG-LRU | exp(-8 softplus(L) r) | sqrt(1 - a^2) i x | De et al., 2024, https://arxiv.org/abs/2402.19427 |

Here z, f, i, r are gates and n is a candidate. All that follows is computed in float32 at least: a state of thousands
of steps loses its memory in a lower precision.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenmo.models import loops
from wenmo.models.linear_recurrence import linear_recurrence
from wenmo.models.loop_dispatch import array, compiles, divided, parts, vector
from wenmo.models.scan_config import ScanConfig

_TINY = 1e-20
"""Keeps f / (f + i) defined where both gates are closed."""
_SHARPNESS = 8.0
"""The constant c of RG-LRU."""
_MEMORY = (0.9, 0.999)
"""Range of a of RG-LRU at the start, where its gate is open."""


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class MinimalCell(nn.Module):
    """minGRU, or minLSTM with gates that sum to one.

    The bias of the gates begins with memories between one and `longest` steps long, evenly by their logarithm.

    Args:
        config: Shape.
        longest: Longest memory at the start, in steps.
    """

    def __init__(self, config: ScanConfig, longest: float) -> None:
        super().__init__()
        size = config.state_size
        self.forget = config.architecture == "minlstm"
        self.inputs = (3 if self.forget else 2) * size
        self.bias = nn.Parameter(torch.empty((2 if self.forget else 1) * size))
        self.size = size
        self.longest = longest

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Sets the initial weights."""
        memory = torch.exp(torch.linspace(0.0, math.log(self.longest), self.size))
        if self.forget:
            self.bias.zero_()
            self.bias[: self.size] = torch.log(memory)
        else:
            self.bias.copy_(-torch.log(memory))

    def fuses(self, x: Tensor, before: Tensor) -> bool:
        """Whether `fused.gated_recurrence` can stand for the cell and its branch: minGRU on a CPU.

        Args:
            x: What the matrices read, (T, B, width).
            before: State before, (B, R).
        """
        return not self.forget and before.numel() > 0 and compiles(x, self.bias, before)

    def forward(self, inputs: Tensor, before: Tensor) -> Tensor:
        """Returns all states (T, B, R).

        Args:
            inputs: (T, B, 2 R): z and n; for minLSTM (T, B, 3 R): f, i and n.
            before: State before, (B, R).
        """
        gates, candidate = torch.split(_wide(inputs), [self.inputs - self.size, self.size], -1)
        gates = gates + self.bias
        if self.forget:
            forget, entry = torch.sigmoid(gates).add(_TINY).chunk(2, -1)
            decay = forget / (forget + entry)
        else:
            decay = torch.sigmoid(-gates)
        return linear_recurrence(decay, torch.addcmul(candidate, decay, candidate, value=-1.0), before)


class RealGatedCell(nn.Module):
    """The real-gated linear recurrent unit; its gates read the input through block-diagonal matrices.

    Args:
        config: Shape.
    """

    def __init__(self, config: ScanConfig) -> None:
        super().__init__()
        size = config.state_size
        self.heads, self.head_size = config.heads, size // config.heads
        self.inputs = size
        # Rows: the recurrence gate's blocks, then those of the input gate; each block is a matrix of its own.
        self.weight = nn.Parameter(torch.empty(2 * size, self.head_size))
        self.weight.muon_split = (self.head_size,) * (2 * self.heads)  # type: ignore[attr-defined]
        self.bias = nn.Parameter(torch.empty(2 * size))
        self.memory = nn.Parameter(torch.empty(size))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Sets the initial weights."""
        nn.init.normal_(self.weight, std=self.head_size**-0.5)
        nn.init.zeros_(self.bias)
        decay = torch.linspace(*_MEMORY, len(self.memory))
        # a = exp(-8 softplus(memory) r) at r = 1, solved for memory.
        self.memory.copy_(torch.log(torch.expm1(-torch.log(decay) / _SHARPNESS)))

    def forward(self, inputs: Tensor, before: Tensor) -> Tensor:
        """Returns all states (T, B, R) from the inputs (T, B, R) and the state before, (B, R)."""
        if self.heads == 1:
            gates = F.linear(inputs, self.weight)
        else:
            weight = self.weight.view(2, self.heads, self.head_size, self.head_size)
            blocks = inputs.view(*inputs.shape[:-1], self.heads, self.head_size)
            gates = torch.einsum("tbhi,ghoi->tbgho", blocks, weight).flatten(2)
        recurrence, entry = torch.sigmoid(_wide(gates) + self.bias).chunk(2, -1)
        log_decay = recurrence * (-_SHARPNESS * F.softplus(self.memory))
        # At zero the slope of the square root is infinite: a closed gate must not make the gradient undefined.
        scale = torch.sqrt((-torch.expm1(2.0 * log_decay)).clamp(min=1e-24))
        return linear_recurrence(torch.exp(log_decay), scale * entry * _wide(inputs), before)


class CausalConvolution(nn.Module):
    """Each feature's own convolution over the current token and those before it.

    Args:
        features: Number of features.
        width: Tokens read, at least 2.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, features))
        self.bias = nn.Parameter(torch.empty(features))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Begins close to the identity: the current token passes, those before it a little."""
        nn.init.normal_(self.weight, std=0.1)
        self.weight[-1] += 1.0
        nn.init.zeros_(self.bias)

    def forward(self, padded: Tensor) -> Tensor:
        """Returns (T, B, D) from (width - 1 + T, B, D): the tokens, after the last ones that were read before."""
        convolved: Tensor = _Convolve.apply(padded, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return convolved


class _Convolve(torch.autograd.Function):
    """Adds up in place: autograd's own chain would make a tensor as large as the text for each place and direction."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        width, steps = len(weight), len(padded) - len(weight) + 1
        ctx.save_for_backward(padded, weight)
        if compiles(padded, weight, bias):
            out = padded.new_empty(steps, *padded.shape[1:])
            read = array(padded), vector(weight), vector(bias)
            count = parts(steps, width * out.numel())
            divided(loops.convolve, steps, count, *read, out.numpy())
            return out
        low = weight.to(padded.dtype)  # autocast: the text may be in low precision
        total = torch.addcmul(bias.to(padded.dtype), padded[:steps], low[0])
        for place in range(1, width):
            total.addcmul_(padded[place : place + steps], low[place])
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (gradient,) = gradients
        padded, weight = ctx.saved_tensors
        if compiles(gradient, padded, weight):
            rows = padded.shape[1]
            count = parts(rows, len(weight) * padded.numel())
            grad_padded = torch.empty(padded.shape)
            by_weight, by_bias = (
                padded.new_zeros(count, *weight.shape),
                padded.new_zeros(count, weight.shape[1]),
            )
            read = array(gradient), array(padded), vector(weight)
            written = grad_padded.numpy(), by_weight.numpy(), by_bias.numpy()
            divided(loops.convolve_backward, rows, count, *read, *written)
            return grad_padded, by_weight.sum(0), by_bias.sum(0)
        steps, low = len(gradient), weight.to(gradient.dtype)
        grad_padded, grad_weight = torch.zeros_like(padded), torch.empty_like(weight)
        for place, row in enumerate(low):
            part = slice(place, place + steps)
            grad_padded[part].addcmul_(gradient, row)
            grad_weight[place] = (gradient * padded[part]).sum((0, 1))
        return grad_padded, grad_weight, gradient.sum((0, 1)).to(weight.dtype)
