"""bfloat16 matrix products on a CPU, with everything around them computed in float32.

Autocast hands bfloat16 on to norms, activations and attention, whose CPU kernels are slower in it, or convert back and
forth. Products alone gain from the matrix units (AMX, AVX512-BF16). Between two of them the loops of `loops` read and
write bfloat16 themselves; elsewhere their inputs and results are converted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wenmo.models.loop_dispatch import compiles

_active: ContextVar[bool] = ContextVar("products in bfloat16", default=False)


class _LowLinear(torch.autograd.Function):
    """x @ weight.T (+ bias) with inputs rounded to bfloat16 and sums in float32.

    The result is float32, unless it is to be kept in bfloat16; the gradients are in the formats of what they are by.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, keep: bool) -> Tensor:
        flat = x.reshape(-1, x.shape[-1]).bfloat16()
        low = weight.bfloat16()
        ctx.save_for_backward(flat, low)
        ctx.shape, ctx.biased, ctx.given = x.shape, bias is not None, x.dtype
        out = torch.mm(flat, low.T)
        if not keep:
            out = out.float()
        if bias is not None:
            out += bias
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flat, low = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, low.shape[0])
        rounded = gradient.bfloat16()
        need_x, need_weight, need_bias, _ = ctx.needs_input_grad
        return (
            torch.mm(rounded, low).to(ctx.given).view(ctx.shape) if need_x else None,
            torch.mm(rounded.T, flat).float() if need_weight else None,
            gradient.sum(0) if need_bias and ctx.biased else None,
            None,
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

    def __init__(self) -> None:
        super().__init__()
        self._before: list[Token[bool]] = []

    def __enter__(self) -> Self:
        self._before.append(_active.set(True))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        _active.reset(self._before.pop())

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
    product: Tensor = _LowLinear.apply(input, weight, bias, False)  # type: ignore[no-untyped-call]
    return product


def product(layer: nn.Module, x: Tensor) -> Tensor:
    """Returns layer(x) for a compiled loop (`loops`), which reads bfloat16 as well.

    Where products are made in bfloat16, that of a linear layer without bias stays in it, so that neither it nor its
    gradient is converted.
    """
    if isinstance(layer, nn.Linear) and layer.bias is None and _kept_low(layer.weight, x):
        kept: Tensor = _LowLinear.apply(x, layer.weight, None, True)
        return kept
    result: Tensor = layer(x)
    return result


def unbiased(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns `product` without the bias of the layer, and the bias, which a compiled loop adds by the way.

    Where none can run the product has its bias.
    """
    if not isinstance(layer, nn.Linear) or layer.bias is None or not compiles(layer.weight, low=x):
        return product(layer, x), None
    if _kept_low(layer.weight, x):
        return _LowLinear.apply(x, layer.weight, None, True), layer.bias  # type: ignore[no-untyped-call]
    return F.linear(x, layer.weight), layer.bias


def _kept_low(weight: Tensor, x: Tensor) -> bool:
    """Whether a product is to stay in bfloat16 for a loop; a compiler cannot look into a context variable."""
    return not torch.compiler.is_compiling() and _active.get() and compiles(weight, low=x)
