"""Elementwise parts of a layer with gradients written by hand.

On a CPU these parts are bound by memory: autograd's own chain makes two to three times as many passes over
the activations. On other devices, under torch.compile, which fuses them by itself, and in low precision
the plain formulas are used.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _by_hand(x: Tensor) -> bool:
    plain = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return plain and x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling()


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1])
        scale.add_(epsilon).rsqrt_()
        normal = x * scale
        ctx.save_for_backward(normal, weight, scale)
        result: Tensor = normal * weight
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        normal, weight, scale = ctx.saved_tensors
        product = gradient * normal
        size = weight.shape[0]
        grad_weight = product.reshape(-1, size).sum(0)
        # dx = scale * (g w - normal * mean(g w normal))
        mean = torch.matmul(product, weight).unsqueeze(-1).div_(size)
        grad_x = (gradient * weight).addcmul_(normal, mean, value=-1.0).mul_(scale)
        return grad_x, grad_weight, None


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root-mean-square norm of the last dimension (Zhang & Sennrich, 2019): x / rms(x) * weight."""
    if _by_hand(x):
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
        gate, up = hidden.chunk(2, -1)
        active = F.silu(gate)
        ctx.save_for_backward(hidden, active)
        return active * up

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        hidden, active = ctx.saved_tensors
        gate, up = hidden.chunk(2, -1)
        out = torch.empty_like(hidden)
        out_gate, out_up = out.chunk(2, -1)
        torch.mul(gradient, active, out=out_up)
        torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=out_gate)
        return out


def swiglu(hidden: Tensor) -> Tensor:
    """Gated feed-forward activation (Shazeer, 2020): silu(gate) * up for hidden = (gate, up) (..., 2 F)."""
    if _by_hand(hidden):
        activated: Tensor = _SwiGLU.apply(hidden)  # type: ignore[no-untyped-call]
        return activated
    gate, up = hidden.chunk(2, -1)
    return F.silu(gate) * up
