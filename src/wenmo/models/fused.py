"""Elementwise parts of a layer with gradients written by hand.

On a CPU these parts are bound by memory: autograd's own chain makes many passes over the activations, where the
compiled loops of `loops` make one. On other devices, under torch.compile, which fuses them by itself, and in other
precisions the plain formulas are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wenmo.models import loops
from wenmo.models.loop_dispatch import array, compiles, divided, parts, vector


def _by_hand(x: Tensor) -> bool:
    plain = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return plain and x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling()


def _rows(x: Tensor) -> Tensor:
    return x.contiguous().view(-1, x.shape[-1])


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        rows = _rows(x)
        out, scale = torch.empty_like(rows), rows.new_empty(len(rows))
        count = parts(len(rows), rows.numel())
        arrays = (array(rows), vector(weight), np.float32(epsilon), out.numpy(), scale.numpy())
        divided(loops.rms_norm, len(rows), count, *arrays)
        ctx.save_for_backward(rows, weight, scale)
        return out.view(x.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, weight, scale = ctx.saved_tensors
        count = parts(len(rows), rows.numel())
        grad_x, sums = torch.empty_like(rows), rows.new_zeros(count, len(weight))
        read = array(_rows(gradients[0])), array(rows), vector(weight), scale.numpy()
        divided(loops.rms_norm_backward, len(rows), count, *read, grad_x.numpy(), sums.numpy())
        return grad_x.view(gradients[0].shape), sums.sum(0), None


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root-mean-square norm of the last dimension (Zhang & Sennrich, 2019): x / rms(x) * weight."""
    if compiles(x, weight):
        normed: Tensor = _RMSNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
        return normed
    return F.rms_norm(x, weight.shape, weight.to(x.dtype), epsilon)  # autocast: the weight is float32


def _turn(x: Tensor, cos: Tensor, sin: Tensor, sign: float) -> Tensor:
    first, second = x.chunk(2, -1)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    out_first, out_second = out.chunk(2, -1)
    torch.mul(first, cos, out=out_first)
    out_first.addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=out_second)
    out_second.addcmul_(first, sin, value=sign)
    return out


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        # The inverse of a rotation is the rotation by the opposite angle.
        return _turn(gradients[0], cos, sin, -1.0), None, None


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates each pair (x[i], x[i + D/2]) of the last dimension: rotary position embedding.

    Args:
        x: Queries or keys (..., T, H, D).
        cos: Cosines of the angles, broadcast against (..., T, H, D/2).
        sin: Sines of the angles, of the same shape.
    """
    if _by_hand(x):
        rotated: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
        return rotated
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)  # autocast: queries stay in low precision
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        rows = _rows(hidden)
        out = rows.new_empty(len(rows), rows.shape[1] // 2)
        count = parts(len(rows), rows.numel())
        divided(loops.swiglu, len(rows), count, array(rows), array(out))
        ctx.save_for_backward(rows)
        return out.view(*hidden.shape[:-1], out.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        out = torch.empty_like(rows)
        count = parts(len(rows), rows.numel())
        arrays = [array(x) for x in (_rows(gradients[0]), rows, out)]
        divided(loops.swiglu_backward, len(rows), count, *arrays)
        return out.view(*gradients[0].shape[:-1], out.shape[1])


def swiglu(hidden: Tensor) -> Tensor:
    """Gated feed-forward activation (Shazeer, 2020): silu(gate) * up for hidden = (gate, up) (..., 2 F)."""
    if compiles(low=hidden):
        activated: Tensor = _SwiGLU.apply(hidden)  # type: ignore[no-untyped-call]
        return activated
    gate, up = hidden.chunk(2, -1)
    return F.silu(gate) * up


class _GELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, bias: Tensor | None) -> Tensor:
        rows = _rows(hidden)
        out, added = torch.empty_like(rows), rows.new_empty(0, dtype=torch.float32) if bias is None else bias
        count = parts(len(rows), rows.numel())
        divided(loops.gelu, len(rows), count, array(rows), vector(added), array(out))
        ctx.save_for_backward(rows, added)
        return out.view(hidden.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None]:
        rows, bias = ctx.saved_tensors
        count = parts(len(rows), rows.numel())
        out, sums = torch.empty_like(rows), bias.new_zeros(count, len(bias))
        read = array(_rows(gradients[0])), array(rows), vector(bias)
        divided(loops.gelu_backward, len(rows), count, *read, array(out), sums.numpy())
        return out.view(gradients[0].shape), sums.sum(0) if len(bias) else None


def gelu(hidden: Tensor, bias: Tensor | None = None) -> Tensor:
    """GELU (Hendrycks & Gimpel, 2016, https://arxiv.org/abs/1606.08415) of hidden (..., F) + bias, by tanh."""
    if compiles(*([] if bias is None else [bias]), low=hidden):
        activated: Tensor = _GELU.apply(hidden, bias)  # type: ignore[no-untyped-call]
        return activated
    return F.gelu(hidden if bias is None else hidden + bias, approximate="tanh")


class _GatedRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, bias: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        size, rows = len(bias), projected.shape[1]
        states = bias.new_empty(*projected.shape[:2], size)
        gated = projected.shape[2] == 3 * size
        mixed = projected.new_empty(len(projected) if gated else 0, rows, size)
        count = parts(rows, projected.numel())
        read = array(projected), vector(bias), array(before)
        divided(loops.gated_recurrence, rows, count, *read, states.numpy(), array(mixed))
        ctx.save_for_backward(projected, bias, before, states)
        ctx.set_materialize_grads(False)
        return states, mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        projected, bias, before, states = ctx.saved_tensors
        rows = projected.shape[1]
        nothing = (0, *states.shape[1:])
        by_states, by_mixed = gradients
        by_states = states.new_empty(nothing) if by_states is None else by_states
        by_mixed = projected.new_empty(nothing) if by_mixed is None else by_mixed
        count = parts(rows, projected.numel())
        out, carry = torch.empty(projected.shape, dtype=projected.dtype), torch.zeros(before.shape)
        sums = bias.new_zeros(count, len(bias))
        given = [array(x) for x in (by_mixed, by_states, projected)]
        read = (*given, vector(bias), array(before), states.numpy())
        written = array(out), sums.numpy(), carry.numpy()
        divided(loops.gated_recurrence_backward, rows, count, *read, *written)
        return out, sums.sum(0), carry


def gated_recurrence(projected: Tensor, bias: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Runs minGRU and its gated branch, from gates and candidates to what the layer hands on.

    h[t] = n + a (h[t - 1] - n) with a = sigmoid(-z - bias), and h * gelu(u) by the tanh formula.

    Args:
        projected: (z, n) or (z, n, u) side by side, (T, B, 2 R or 3 R), T >= 1; `loop_dispatch.compiles` holds for the
            three, with this one as `low`.
        bias: Of the gate (R,).
        before: State before (B, R).

    Returns:
        All states (T, B, R), float32, and what the branch makes of them, in the format of `projected`; the states again
        where there is no branch.
    """
    states, mixed = _GatedRecurrence.apply(projected, bias, before)  # type: ignore[no-untyped-call]
    return states, mixed if projected.shape[2] == 3 * len(bias) else states
