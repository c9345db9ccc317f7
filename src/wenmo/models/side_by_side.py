"""Work that does not depend on each other, on as many cores as the process computes with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Own = TypeVar("Own")
Other = TypeVar("Other")


def beside(own: Callable[[], Own], others: Sequence[Callable[[], Other]]) -> tuple[Own, list[Other]]:
    """Makes one call in the caller's thread, and others at the same time in further threads.

    With one thread (`torch.get_num_threads`) they are made one after the other. It gains what the calls spend in
    compiled code that lets go of the interpreter's lock. What belongs to a thread, such as `torch.no_grad`, holds for
    `own` alone, and so do PyTorch's threads inside an operation: the others have one each.

    Args:
        own: The call of the caller's thread.
        others: The other calls.

    Returns:
        What `own` returned, and what the others did, in order.

    Raises:
        Exception: The first one that a call raised, once those that were begun have ended.
    """
    inside = torch.get_num_threads()
    if min(inside, 1 + len(others)) == 1:
        return own(), [call() for call in others]
    try:
        with ThreadPoolExecutor(
            min(inside - 1, len(others)), "beside", lambda: torch.set_num_threads(1)
        ) as pool:
            waiting = [pool.submit(call) for call in others]
            found = own()
            return found, [task.result() for task in waiting]
    finally:
        torch.set_num_threads(inside)  # threads begin with what was set last, by whatever thread


def side_by_side(calls: Sequence[Callable[[], Other]]) -> list[Other]:
    """What several calls return that do not depend on each other, in order; see `beside`."""
    if not calls:
        return []
    first, rest = beside(calls[0], calls[1:])
    return [first, *rest]
