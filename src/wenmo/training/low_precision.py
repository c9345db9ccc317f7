"""bfloat16 matrix products on a CPU, with everything around them in float32.

Autocast hands bfloat16 on to norms, activations and attention, whose CPU kernels are slower in it, or convert back and
forth. Products alone gain from the matrix units (AMX, AVX512-BF16); casting their two inputs costs little beside them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _LowLinear(torch.autograd.Function):
    """x @ weight.T (+ bias) with inputs rounded to bfloat16, sums and result in float32; so are the gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        flat = x.reshape(-1, x.shape[-1]).bfloat16()
        low = weight.bfloat16()
        ctx.save_for_backward(flat, low)
        ctx.shape, ctx.biased = x.shape, bias is not None
        out = torch.mm(flat, low.T).float()
        if bias is not None:
            out += bias
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        flat, low = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, low.shape[0])
        rounded = gradient.bfloat16()
        need_x, need_weight, need_bias = ctx.needs_input_grad
        return (
            torch.mm(rounded, low).float().view(ctx.shape) if need_x else None,
            torch.mm(rounded.T, flat).float() if need_weight else None,
            gradient.sum(0) if need_bias and ctx.biased else None,
        )


@functools.cache
def lstm_runs_low() -> bool:
    """Whether this processor runs an LSTM layer in bfloat16, by trying it: oneDNN has it for some instruction sets."""
    x = torch.zeros(1, 2, 16, requires_grad=True)
    weights = [torch.zeros(64, 16, requires_grad=True) for _ in range(2)]
    state = (torch.zeros(1, 1, 16), torch.zeros(1, 1, 16))
    try:
        with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            torch.lstm(x, state, weights, False, 1, 0.0, True, False, True)[0].sum().backward()  # type: ignore[no-untyped-call]
    except RuntimeError:
        return False
    return True


class LowPrecisionProducts(TorchFunctionMode):
    """Inside it, linear layers multiply in bfloat16 and whole LSTM layers run in it; all else stays as it is.

    Where a processor has no instructions for an LSTM in bfloat16, its layers stay in float32.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """See `TorchFunctionMode`."""
        options = dict(kwargs or {})
        if func is F.linear:
            return _linear(*args, **options)
        if func is torch.lstm and lstm_runs_low():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return func(*args, **options)
        return func(*args, **options)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = _LowLinear.apply(input, weight, bias)  # type: ignore[no-untyped-call]
    return product
