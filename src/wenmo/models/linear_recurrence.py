"""h[t] = a[t] * h[t - 1] + b[t] for a whole sequence, with its gradient.

On a CPU a compiled loop runs it, in one pass over memory. Elsewhere a sequence whose steps are wide is run
step by step, one fused multiply-add each. Narrow steps would only wait for the calls; they are cut into
chunks that run side by side, each from zero, with the running product of a. The end of one chunk then enters the next.

All of it is products and sums in the linear domain. With |a| <= 1 a running product can only fade to zero, where the
logarithms of other formulations lose digits or overflow.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Matrix = npt.NDArray[np.floating[Any]]

WIDE = 1024
"""Numbers in a time step from which step by step is faster than in chunks, where no loop can be compiled."""
CHUNK = 16
"""Steps of a chunk."""


def linear_recurrence(decay: Tensor, added: Tensor, before: Tensor) -> Tensor:
    """Runs h[t] = decay[t] * h[t - 1] + added[t].

    Args:
        decay: a (T, ...), T >= 1, floating point; with entries of at most 1 in absolute value it cannot overflow.
        added: b (T, ...).
        before: h[-1] (...).

    Returns:
        All h (T, ...), at least in float32. Differentiable once in all three arguments.
    """
    dtype = torch.promote_types(torch.promote_types(decay.dtype, added.dtype), torch.float32)
    decay, added, before = decay.to(dtype), added.to(dtype), before.to(dtype)
    if len(decay) == 1 or not before.numel():
        return torch.addcmul(added, decay, before)
    out: Tensor = _LinearRecurrence.apply(decay, added, before)  # type: ignore[no-untyped-call]
    return out


class _LinearRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, added: Tensor, before: Tensor) -> Tensor:
        out = _run(decay, added, before)
        ctx.save_for_backward(decay, out, before)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # With g[t] the whole gradient of h[t]: g[t] = gradient[t] + a[t + 1] g[t + 1], the same recurrence backwards.
        (gradient,) = gradients
        decay, out, before = ctx.saved_tensors
        whole = torch.empty(out.shape, dtype=out.dtype, device=out.device)
        whole[-1] = gradient[-1]
        _run(decay[1:], gradient[:-1], gradient[-1], out=whole[:-1], backwards=True)
        grad_decay = torch.empty_like(whole)
        torch.mul(whole[0], before, out=grad_decay[0])
        torch.mul(whole[1:], out[:-1], out=grad_decay[1:])
        return grad_decay, whole, whole[0] * decay[0]


def _run(
    decay: Tensor, added: Tensor, before: Tensor, *, out: Tensor | None = None, backwards: bool = False
) -> Tensor:
    """Runs the recurrence in one of the three ways; `backwards` begins with the last step."""
    out = torch.empty(added.shape, dtype=added.dtype, device=added.device) if out is None else out
    if _compiles(decay):
        _run_loop(*(_matrix(x) for x in (decay, added, before[None], out)), backwards)
        return out
    steps, last = len(decay), before
    if before.numel() < WIDE:
        whole = steps - steps % CHUNK
        part = slice(steps - whole, steps) if backwards else slice(0, whole)
        if whole > CHUNK:
            last = _run_chunks(decay[part], added[part], before, out[part], backwards)
            part = slice(0, steps - whole) if backwards else slice(whole, steps)
            _run_steps(decay[part], added[part], last, out[part], backwards)
            return out
    _run_steps(decay, added, last, out, backwards)
    return out


def _compiles(x: Tensor) -> bool:
    """Whether the compiled loop can run where a tensor is."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _matrix(x: Tensor) -> Matrix:
    """A tensor (T, ...) as (T, N); its own memory where it is contiguous."""
    found: Matrix = x.detach().contiguous().view(len(x), -1).numpy()
    return found


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run_loop(decay: Matrix, added: Matrix, before: Matrix, out: Matrix, backwards: bool) -> None:
    """Writes all h (T, N), floating point; `before` is (1, N)."""
    steps, size = decay.shape
    last = before[0]
    for step in range(steps):
        t = steps - 1 - step if backwards else step
        for i in range(size):
            out[t, i] = added[t, i] + decay[t, i] * last[i]
        last = out[t]


def _run_steps(decay: Tensor, added: Tensor, last: Tensor, out: Tensor, backwards: bool) -> None:
    steps = list(zip(decay.unbind(), added.unbind(), out.unbind(), strict=True))
    for a, b, h in reversed(steps) if backwards else steps:
        torch.addcmul(b, a, last, out=h)
        last = h


def _run_chunks(decay: Tensor, added: Tensor, before: Tensor, out: Tensor, backwards: bool) -> Tensor:
    """Writes `out` for a whole number of chunks; returns its last step (the first one where it runs backwards)."""
    shape = (-1, CHUNK, *before.shape)
    # The chunks side by side: their steps are (chunks, ...), a list of CHUNK of them.
    a, b, h = (list(x.reshape(shape).unbind(1)) for x in (decay, added, out.view(-1, *before.shape)))
    product = torch.empty_like(out).view(shape)
    p = list(product.unbind(1))
    if backwards:
        a, b, h, p = a[::-1], b[::-1], h[::-1], p[::-1]
    h[0].copy_(b[0])
    p[0].copy_(a[0])
    for i in range(1, CHUNK):
        torch.addcmul(b[i], a[i], h[i - 1], out=h[i])
        torch.mul(a[i], p[i - 1], out=p[i])
    entering = torch.empty_like(h[0])
    chunks = range(len(entering))
    last = before
    for chunk in reversed(chunks) if backwards else chunks:
        entering[chunk] = last
        last = torch.addcmul(h[-1][chunk], p[-1][chunk], last)
    out.view(shape).addcmul_(product, entering.unsqueeze(1))
    return last
