"""Compiled loops for the elementwise parts of layers on a CPU: one pass over memory where operators make many.

A small model's products are so short that norms, gates and activations, an operator each, take as long as they do. Here
each part is one loop forward and one backward, which recomputes what is cheaper to compute than to read. They release
Python's lock, so that threads of `training.threaded` run side by side. Each runs over the rows `first` to `last` and
adds up in row `part` of its sums; `loop_dispatch` says where loops can run, and deals out the rows.

All arrays are contiguous. They are of float32, or of bfloat16, as unsigned numbers of 16 bits, what stands between two
products; sums and states are float32 always. `exp` is that of Cephes (Moshier 1992): within 3e-7 of the value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
from numba.extending import overload

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float32] | npt.NDArray[np.uint16]
"""float32, or bfloat16 by its bits."""

FLAGS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    # Sums in another order, so that they can be made sixteen at a time; the same order every time.
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}
_F = np.float32
_ZERO, _ONE, _HALF = _F(0.0), _F(1.0), _F(0.5)
_LOWEST, _HIGHEST = _F(-87.0), _F(87.0)
_LOG2_E, _LN2_HIGH, _LN2_LOW = _F(1.44269504), _F(0.693359375), _F(-2.12194440e-4)
_P0, _P1, _P2 = _F(1.9875691500e-4), _F(1.3981999507e-3), _F(8.3334519073e-3)
_P3, _P4, _P5 = _F(4.1665795894e-2), _F(1.6666665459e-1), _F(5.0000001201e-1)
_GELU, _CUBE = _F(1.5957691216), _F(0.044715)  # 2 sqrt(2 / pi): tanh(x) = 2 sigmoid(2 x) - 1


def read(number: Any) -> Any:
    """A number of `Numbers` as float32."""


@overload(read, inline="always", strict=False)  # type: ignore[untyped-decorator]
def _read_compiled(number: Any) -> Callable[[Any], Any]:
    if isinstance(number, nb.types.Integer):
        return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)
    return lambda number: number


def _rounded(place: Any, value: Any) -> Any:
    """A float32 as a number of the kind that stands at a place of `Numbers`: the nearest, of two the even one."""


@overload(_rounded, inline="always", strict=False)  # type: ignore[untyped-decorator]
def _rounded_compiled(place: Any, value: Any) -> Callable[[Any, Any], Any]:
    if isinstance(place, nb.types.Integer):

        def low(place: Any, value: Any) -> Any:
            bits = np.float32(value).view(np.uint32)
            last = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
            return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + last) >> np.uint32(16))

        return low
    return lambda place, value: value


@nb.njit(inline="always")  # type: ignore[untyped-decorator]
def exp(x: np.float32) -> np.float32:
    """The exponential, which below -87 is that of -87."""
    x = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    result: np.float32 = (p * r * r + r + _ONE) * power
    return result


@nb.njit(inline="always")  # type: ignore[untyped-decorator]
def _sigmoid(x: np.float32) -> np.float32:
    result: np.float32 = _ONE / (_ONE + exp(-x))
    return result


@nb.njit(inline="always")  # type: ignore[untyped-decorator]
def _gelu_slope(u: np.float32) -> np.float32:
    s = _sigmoid(_GELU * (u + _CUBE * u * u * u))
    result: np.float32 = s + u * s * (_ONE - s) * _GELU * (_ONE + _F(3.0) * _CUBE * u * u)
    return result


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def rms_norm(
    first: int, last: int, part: int, x: Array, weight: Array, epsilon: np.float32, out: Array, scale: Array
) -> None:
    """Writes x (N, D) / rms(x) * weight (D,), and 1 / rms(x) (N,)."""
    size = x.shape[1]
    for row in range(first, last):
        total = _ZERO
        for i in range(size):
            total += x[row, i] * x[row, i]
        s = _ONE / np.sqrt(total / _F(size) + epsilon)
        scale[row] = s
        for i in range(size):
            out[row, i] = x[row, i] * s * weight[i]


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def rms_norm_backward(
    first: int, last: int, part: int, gradient: Array, x: Array, weight: Array, scale: Array, grad_x: Array,
    grad_weight: Array,
) -> None:  # fmt: skip
    """Writes the gradient by x (N, D) and adds that by the weight to row `part` of (parts, D)."""
    size = x.shape[1]
    sums = grad_weight[part]
    for row in range(first, last):
        s, dot = scale[row], _ZERO
        for i in range(size):
            product = gradient[row, i] * x[row, i]
            dot += product * weight[i]
            sums[i] += product * s
        back = dot * s * s * s / _F(size)
        for i in range(size):
            grad_x[row, i] = gradient[row, i] * weight[i] * s - x[row, i] * back


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def swiglu(first: int, last: int, part: int, hidden: Numbers, out: Numbers) -> None:
    """Writes silu(gate) * up (N, F) of hidden = (gate, up) (N, 2 F)."""
    size = out.shape[1]
    for row in range(first, last):
        gate, up, written = hidden[row, :size], hidden[row, size:], out[row]
        for i in range(size):
            g = read(gate[i])
            written[i] = _rounded(written[i], g * _sigmoid(g) * read(up[i]))


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def swiglu_backward(
    first: int, last: int, part: int, gradient: Numbers, hidden: Numbers, out: Numbers
) -> None:
    """Writes the gradient by hidden (N, 2 F) from that by the result (N, F)."""
    size = gradient.shape[1]
    for row in range(first, last):
        gate, up, given = hidden[row, :size], hidden[row, size:], gradient[row]
        by_gate, by_up = out[row, :size], out[row, size:]
        for i in range(size):
            g, wanted = read(gate[i]), read(given[i])
            opened = _sigmoid(g)
            active = g * opened
            by_up[i] = _rounded(by_up[i], wanted * active)
            slope = opened + active * (_ONE - opened)
            by_gate[i] = _rounded(by_gate[i], wanted * read(up[i]) * slope)


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def gelu(first: int, last: int, part: int, hidden: Numbers, bias: Array, out: Numbers) -> None:
    """Writes GELU by its tanh formula of hidden + bias (N, F); a bias of no numbers is none."""
    size = out.shape[1]
    for row in range(first, last):
        given, written = hidden[row], out[row]
        if len(bias):
            for i in range(size):
                u = read(given[i]) + bias[i]
                written[i] = _rounded(written[i], u * _sigmoid(_GELU * (u + _CUBE * u * u * u)))
        else:
            for i in range(size):
                u = read(given[i])
                written[i] = _rounded(written[i], u * _sigmoid(_GELU * (u + _CUBE * u * u * u)))


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def gelu_backward(
    first: int, last: int, part: int, gradient: Numbers, hidden: Numbers, bias: Array, out: Numbers,
    grad_bias: Array,
) -> None:  # fmt: skip
    """Writes the gradient by hidden (N, F) and adds that by the bias to row `part` of (parts, F)."""
    size = out.shape[1]
    biased = len(bias) > 0
    sums = grad_bias[part]
    for row in range(first, last):
        given, wanted, written = hidden[row], gradient[row], out[row]
        if biased:
            for i in range(size):
                slope = read(wanted[i]) * _gelu_slope(read(given[i]) + bias[i])
                written[i] = _rounded(written[i], slope)
                sums[i] += slope
        else:
            for i in range(size):
                written[i] = _rounded(written[i], read(wanted[i]) * _gelu_slope(read(given[i])))


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def convolve(first: int, last: int, part: int, padded: Array, weight: Array, bias: Array, out: Array) -> None:
    """Writes bias + sum over p of weight[p] * padded[t + p], (T, B, D); the rows are those of T."""
    width, size = weight.shape
    for t in range(first, last):
        for b in range(out.shape[1]):
            written = out[t, b]
            for i in range(size):
                written[i] = bias[i]
            for place in range(width):
                read, factor = padded[t + place, b], weight[place]
                for i in range(size):
                    written[i] += read[i] * factor[i]


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def convolve_backward(
    first: int, last: int, part: int, gradient: Array, padded: Array, weight: Array, grad_padded: Array,
    grad_weight: Array, grad_bias: Array,
) -> None:  # fmt: skip
    """Writes the gradient by the padded text and adds those by weight and bias to their part; rows are of B."""
    width, size = weight.shape
    steps = len(gradient)
    for b in range(first, last):
        for t in range(len(padded)):
            written = grad_padded[t, b]
            for i in range(size):
                written[i] = _ZERO
            for place in range(max(0, t - steps + 1), min(width, t + 1)):
                given, factor = gradient[t - place, b], weight[place]
                for i in range(size):
                    written[i] += given[i] * factor[i]
        for t in range(steps):
            given, sums = gradient[t, b], grad_bias[part]
            for i in range(size):
                sums[i] += given[i]
            for place in range(width):
                read, products = padded[t + place, b], grad_weight[part, place]
                for i in range(size):
                    products[i] += given[i] * read[i]


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def gated_recurrence(
    first: int, last: int, part: int, projected: Numbers, bias: Array, before: Array, states: Array,
    mixed: Numbers,
) -> None:  # fmt: skip
    """Writes all states of minGRU and what its gated branch makes of them, both (T, B, R); rows are of B.

    `projected` is gate z, candidate n and, where there is one, branch u side by side, (T, B, 2 R or 3 R); `bias` (R,)
    is that of the gate, and `before` (B, R) the state before. The states are h[t] = n + a (h[t - 1] - n) with
    a = sigmoid(-z - bias), and `mixed` is h * gelu(u) by the tanh formula, of no steps where there is no branch.
    """
    steps, size = len(projected), len(bias)
    gated = projected.shape[2] == 3 * size
    for t in range(steps):
        for b in range(first, last):
            gate, candidate = projected[t, b, :size], projected[t, b, size : 2 * size]
            now = states[t, b]
            past = before[b] if t == 0 else states[t - 1, b]
            for i in range(size):
                n = read(candidate[i])
                now[i] = n + _sigmoid(-(read(gate[i]) + bias[i])) * (past[i] - n)
            if gated:
                branch, written = projected[t, b, 2 * size :], mixed[t, b]
                for i in range(size):
                    u = read(branch[i])
                    value = now[i] * u * _sigmoid(_GELU * (u + _CUBE * u * u * u))
                    written[i] = _rounded(written[i], value)


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def gated_recurrence_backward(
    first: int, last: int, part: int, by_mixed: Numbers, by_states: Array, projected: Numbers, bias: Array,
    before: Array, states: Array, out: Numbers, grad_bias: Array, carry: Array,
) -> None:  # fmt: skip
    """Writes the gradient by `projected` and adds that by the bias to its part, (parts, R); rows are of B.

    `by_mixed` and `by_states` are the gradients by what `gated_recurrence` wrote, each of no steps where there is none.
    `carry` (B, R) begins as zeros and becomes the gradient by `before`.
    """
    steps, size = len(projected), len(bias)
    gated = projected.shape[2] == 3 * size
    sums = grad_bias[part]
    for back in range(steps):
        t = steps - 1 - back
        for b in range(first, last):
            carried = carry[b]
            if len(by_states):
                added = by_states[t, b]
                for i in range(size):
                    carried[i] += added[i]
            if gated:
                by_branch = out[t, b, 2 * size :]
                if len(by_mixed) == 0:
                    for i in range(size):
                        by_branch[i] = _rounded(by_branch[i], _ZERO)
            if gated and len(by_mixed):
                branch, given, now = projected[t, b, 2 * size :], by_mixed[t, b], states[t, b]
                for i in range(size):
                    u, wanted = read(branch[i]), read(given[i])
                    s = _sigmoid(_GELU * (u + _CUBE * u * u * u))
                    slope = s + u * s * (_ONE - s) * _GELU * (_ONE + _F(3.0) * _CUBE * u * u)
                    by_branch[i] = _rounded(by_branch[i], wanted * now[i] * slope)
                    carried[i] += wanted * u * s
            gate, candidate = projected[t, b, :size], projected[t, b, size : 2 * size]
            by_gate, by_candidate = out[t, b, :size], out[t, b, size : 2 * size]
            past = before[b] if t == 0 else states[t - 1, b]
            for i in range(size):
                a = _sigmoid(-(read(gate[i]) + bias[i]))
                whole = carried[i]
                slope = -whole * (past[i] - read(candidate[i])) * a * (_ONE - a)
                by_gate[i] = _rounded(by_gate[i], slope)
                by_candidate[i] = _rounded(by_candidate[i], whole * (_ONE - a))
                sums[i] += slope
                carried[i] = whole * a
