"""The softmax of a loss as one compiled loop: a row stays in cache from its logits to its probabilities."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.models.loop_dispatch import array, divided, parts
from wenmo.models.loops import FLAGS, Array, Numbers, exp, read

_LANES = 16
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


@nb.njit(inline="always")  # type: ignore[untyped-decorator]
def _greater(first: np.float32, second: np.float32) -> np.float32:
    return first if first > second else second


@nb.njit(inline="always")  # type: ignore[untyped-decorator]
def _greatest(values: Array, halves: Array) -> np.float32:
    """The greatest of some numbers, by halves: a greatest number of all is not found sixteen at a time."""
    left = len(halves)
    upper = values[len(values) - left :]
    for i in range(left):
        halves[i] = _greater(values[i], upper[i])
    while left > _LANES:
        kept = (left + 1) // 2
        for i in range(left - kept):
            halves[i] = _greater(halves[i], halves[i + kept])
        left = kept
    top: np.float32 = halves[0]
    for i in range(1, left):
        top = _greater(halves[i], top)
    return top


@nb.njit(**FLAGS)  # type: ignore[untyped-decorator]
def _softmax(
    first: int, last: int, part: int, logits: Numbers, offsets: Array, tokens: npt.NDArray[np.int64], out: Array,
    picked: Array, mean: Array,
) -> None:  # fmt: skip
    """See `softmax`; of no rows are logits that stand in `out` already, of no numbers offsets and means not wanted."""
    size = out.shape[1]
    halves = np.empty((size + 1) // 2, np.float32)
    for row in range(first, last):
        values = out[row]
        if len(logits):
            given = logits[row]
            for i in range(size):
                values[i] = read(given[i])
        if len(offsets):
            for i in range(size):
                values[i] += offsets[i]
        for k in range(tokens.shape[1]):
            picked[row, k] = values[tokens[row, k]]
        if len(mean):
            total = _ZERO
            for i in range(size):
                total += values[i]
            mean[row] = total / np.float32(size)
        top = _greatest(values, halves)
        total = _ZERO
        for i in range(size):
            likely = exp(values[i] - top)
            values[i] = likely
            total += likely
        share = _ONE / total
        for i in range(size):
            values[i] *= share
        norm = top + np.log(total)
        for k in range(tokens.shape[1]):
            picked[row, k] -= norm
        if len(mean):
            mean[row] -= norm


def softmax(
    logits: Tensor, offsets: Tensor | None, tokens: Tensor, needs_mean: bool, out: Tensor
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Softmax of logits, and the log-probabilities that a loss asks for.

    Args:
        logits: (N, C), contiguous, on a CPU, float32 or bfloat16.
        offsets: Added to each row first, float32 (C,).
        tokens: Columns whose log-probabilities are wanted, int64 (N, K).
        needs_mean: Whether the mean log-probability of all columns is, too.
        out: Where the probabilities are written, float32 (N, C), contiguous; the logits themselves where they may be.

    Returns:
        Log-probabilities of the tokens (N, K), their mean over the columns (N,) or None, and the probabilities, all
        float32. No probability is below that of a logit 87 less than the greatest.
    """
    rows = len(logits)
    given = logits[:0] if logits.data_ptr() == out.data_ptr() else logits
    picked, mean = torch.empty(tokens.shape), torch.empty(rows if needs_mean else 0)
    added = torch.empty(0) if offsets is None else offsets
    arrays = [array(x) for x in (given, added, tokens, out, picked, mean)]
    divided(_softmax, rows, parts(rows, logits.numel()), *arrays)
    return picked, mean if needs_mean else None, out
