"""Compiled products of a stored matrix with one vector.

Decoding one token reads every weight once, so its time is that of reading memory: fewer bytes are fewer
milliseconds. Weights are widened to float32 in registers, and the sum is float32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import config, njit, prange, set_num_threads

Vector = npt.NDArray[np.float32]


def use_threads(count: int) -> None:
    """Lets the kernels called from this thread run on `count` threads, or on all if these are fewer."""
    set_num_threads(max(1, min(count, config.NUMBA_NUM_THREADS)))


@njit(nogil=True, parallel=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def matvec_int8(weight: npt.NDArray[np.int8], scale: Vector, x: Vector, out: Vector) -> None:
    """Writes out[r] = scale[r] * sum_c weight[r, c] * x[c]; shapes (R, C), (R,), (C,), (R,)."""
    rows, columns = weight.shape
    for r in prange(rows):
        total = np.float32(0)
        for c in range(columns):
            total += np.float32(weight[r, c]) * x[c]
        out[r] = total * scale[r]


@njit(nogil=True, parallel=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def matvec_bf16(weight: npt.NDArray[np.uint16], x: Vector, out: Vector) -> None:
    """Writes out[r] = sum_c bf16(weight[r, c]) * x[c], where `weight` (R, C) holds the bits of bfloat16."""
    rows, columns = weight.shape
    for r in prange(rows):
        total = np.float32(0)
        for c in range(columns):
            total += np.uint32(np.uint32(weight[r, c]) << np.uint32(16)).view(np.float32) * x[c]
        out[r] = total


@njit(nogil=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def rms_norm(x: npt.NDArray[np.float32], weight: Vector, epsilon: np.float32) -> npt.NDArray[np.float32]:
    """Returns each row of x (R, C) divided by the root of its mean square plus epsilon, times weight (C,)."""
    out = np.empty_like(x)
    for r in range(x.shape[0]):
        total = np.float32(0)
        for c in range(x.shape[1]):
            total += x[r, c] * x[r, c]
        factor = np.float32(1) / np.sqrt(total / np.float32(x.shape[1]) + epsilon)
        for c in range(x.shape[1]):
            out[r, c] = x[r, c] * factor * weight[c]
    return out
