"""How well passages are found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def first_rank(found: Sequence[int], wanted: frozenset[int] | set[int]) -> int | None:
    """Rank from 1 of the first wanted passage; None when none was found."""
    return next((rank for rank, passage in enumerate(found, 1) if passage in wanted), None)


def recall_at(k: int, ranks: Sequence[int | None]) -> float:
    """Share of the questions whose passage stands among the first k.

    Raises:
        ValueError: Without any question.
    """
    if not ranks:
        raise ValueError("there is no question")
    return float(np.mean([rank is not None and rank <= k for rank in ranks]))


def mean_reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """Mean of 1 / rank, 0 where nothing was found.

    Raises:
        ValueError: Without any question.
    """
    if not ranks:
        raise ValueError("there is no question")
    return float(np.mean([1 / rank if rank else 0.0 for rank in ranks]))
