"""Where the compiled loops of `loops` can run, and how: tensors as arrays, and rows dealt out to threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LEAST_NUMBERS = 1 << 15
"""Numbers from which a part is worth a thread."""


def compiles(*tensors: Tensor, low: Tensor | None = None) -> bool:
    """Whether compiled loops can run where tensors are: float32 on a CPU, outside `torch.compile`.

    Args:
        *tensors: What must be float32.
        low: What may be bfloat16 as well.
    """
    every = tensors if low is None else (*tensors, low)
    plain = all(x.device.type == "cpu" for x in every) and all(x.dtype == torch.float32 for x in tensors)
    fitting = low is None or low.dtype in (torch.float32, torch.bfloat16)
    return plain and fitting and not torch.compiler.is_compiling()


def array(x: Tensor) -> Any:
    """A tensor's own memory where it is contiguous, a copy of it otherwise: `loops.Numbers`."""
    whole = x.detach().contiguous()
    return whole.view(torch.int16).numpy().view(np.uint16) if x.dtype == torch.bfloat16 else whole.numpy()


def vector(parameter: Tensor) -> npt.NDArray[np.float32]:
    """A copy of a parameter, whose own memory FSDP frees and could not once an array has seen it."""
    found: npt.NDArray[np.float32] = parameter.detach().clone().numpy()
    return found


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, "loops")


def parts(rows: int, numbers: int) -> int:
    """Threads that share `rows` of together so many numbers: never more than PyTorch would use here."""
    return max(1, min(torch.get_num_threads(), rows, numbers // LEAST_NUMBERS))


def divided(loop: Callable[..., None], rows: int, count: int, *arguments: Any) -> None:
    """Runs loop(first, last, part, *arguments) for `count` parts of the rows, each in a thread of its own.

    The parts depend on their number alone, so that sums of parts are the same every time.
    """
    borders = [rows * part // count for part in range(count + 1)]
    waiting = [
        _pool().submit(loop, borders[part], borders[part + 1], part, *arguments) for part in range(1, count)
    ]
    loop(0, borders[1], 0, *arguments)
    for task in waiting:
        task.result()
