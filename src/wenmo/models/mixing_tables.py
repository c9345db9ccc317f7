"""What the n-gram model learns: the arrays that the functions of `context_mixing` read and change, and their sizes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import decisions, match_model
from .recent_text import EXTRA
from .simd import LINE

MAX_SLOT_BITS = 28
"""A table never exceeds 2**28 slots, 1 GB."""
MAX_FOLLOWER_BITS = 25
"""The match model never remembers more than 2**25 contexts, 128 MB."""
HASHED = ("slots", "followers")
"""Tables that are mostly empty; their sizes follow from the text."""
INPUTS = "mixers"
"""The table whose columns are inputs of the mixers; it is saved without the zeros that fill up its rows."""


class Tables(NamedTuple):
    """Everything the model learns. N contexts, 2 N + 2 inputs of the mixers, M of them with zeros behind."""

    slots: npt.NDArray[np.uint32]
    """Adaptive probabilities (power of two,)."""
    followers: npt.NDArray[np.uint32]
    """Match model: the token that followed a long context (power of two,)."""
    calibration: npt.NDArray[np.float32]
    """Probability given context order, count and slot probability (N, COUNT_BUCKETS * PROBABILITY_BUCKETS)."""
    mixers: npt.NDArray[np.float32]
    """Weights (NODE_SETS + BYTE_SETS + sets by longest context and by match, M)."""
    final: npt.NDArray[np.float32]
    """Weights of the second layer (N + 1, 3), by the number of contexts seen."""
    trust: npt.NDArray[np.float32]
    """Probability that the match model is right (len(MATCHES) * RUNS * MATCH_DEPTHS,)."""
    refinement: npt.NDArray[np.float32]
    """Secondary estimation: curves by node, then by last character and node (2 * REFINEMENTS * REFINEMENT_BUCKETS,)."""


def _aligned(size: int) -> npt.NDArray[np.uint32]:
    """Zeros (size,) that begin with a cache line, so that no `LINE` of them lies in two."""
    room = np.zeros(size + LINE, np.uint32)
    first = -room.ctypes.data // 4 % LINE
    return room[first : first + size]


def follower_bits(tokens: int) -> int:
    """Size of the match model's table for a text: at least one place a token, up to a limit."""
    return min(max(10, math.ceil(math.log2(max(tokens, 1) * 1.25))), MAX_FOLLOWER_BITS)


def slot_bits(decisions: float) -> int:
    """Size of the table for a text: about 3 slots a decision, 1 GB and an eighth of the memory at most."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = min(MAX_SLOT_BITS, int(math.log2(memory / 8 / 4)))
    return min(max(10, math.ceil(math.log2(max(decisions, 1.0) * 3))), most)


def new_tables(num_orders: int, slot_bits: int, follower_bits: int) -> Tables:
    """Tables that know nothing: every decision is even.

    Args:
        num_orders: Contexts made of the last characters.
        slot_bits: Binary logarithm of the number of slots.
        follower_bits: Binary logarithm of the number of followers.
    """
    n = num_orders + EXTRA
    by_match = 4 * len(match_model.MATCHES)
    sets = decisions.NODE_SETS + decisions.BYTE_SETS + 8 * (num_orders + by_match)
    mixers = np.zeros((sets, decisions.inputs_of(n)), np.float32)
    mixers[:, : 2 * n] = 0.4 / n
    mixers[:, 2 * n + 1] = 0.3
    logits = (np.arange(decisions.PROBABILITY_BUCKETS) - decisions.PROBABILITY_BUCKETS // 2) / 2
    curve = _logistic(np.linspace(-8, 8, decisions.REFINEMENT_BUCKETS))
    return Tables(
        slots=_aligned(1 << slot_bits),
        followers=np.zeros(1 << follower_bits, np.uint32),
        calibration=np.tile(_logistic(logits), (n, decisions.COUNT_BUCKETS)).astype(np.float32),
        mixers=mixers,
        final=np.full((n + 1, decisions.LAYER), 1 / decisions.LAYER, np.float32),
        trust=np.full(len(match_model.MATCHES) * match_model.RUNS * decisions.MATCH_DEPTHS, 0.9, np.float32),
        refinement=np.tile(curve, 2 * decisions.REFINEMENTS).astype(np.float32),
    )


def copy_tables(tables: Tables) -> Tables:
    """Returns tables that may change without changing the given ones."""
    copied = Tables(
        **{name: array.copy() for name, array in tables._asdict().items() if name != "slots"},
        slots=_aligned(len(tables.slots)),
    )
    copied.slots[:] = tables.slots
    return copied


def packed(tables: Tables) -> dict[str, npt.NDArray[Any]]:
    """Arrays to save, by name: of hash tables only what is in use, and a bit for each place (`NAME_used`, uint8)."""
    arrays = tables._asdict()
    for name in HASHED:
        used = arrays[name] != 0
        arrays |= {name: arrays[name][used], f"{name}_used": np.packbits(used)}
    return arrays | {INPUTS: tables.mixers[:, : 2 * len(tables.calibration) + 2]}


def unpacked(arrays: Mapping[str, npt.NDArray[Any]], like: Tables, vocab_size: int) -> Tables:
    """Tables from what `packed` returned.

    Args:
        arrays: From a file; others may be among them.
        like: See `check_tables`; so is `vocab_size`.
        vocab_size: Number of tokens V.

    Raises:
        ValueError: When they are damaged.
    """
    learned = {name: arrays[name].copy() for name in Tables._fields}
    for name in HASHED:
        used = np.unpackbits(arrays[f"{name}_used"]).astype(bool)
        if learned[name].shape != (used.sum(),):
            raise ValueError(f"tensor {name} has a wrong length")
        whole = _aligned(len(used)) if learned[name].dtype == np.uint32 else np.zeros(len(used))
        whole[used] = learned[name]
        learned[name] = whole
    given, wanted = learned[INPUTS], like.mixers.shape
    if given.shape == (wanted[0], 2 * len(like.calibration) + 2):
        learned[INPUTS] = np.pad(given, ((0, 0), (0, wanted[1] - given.shape[1])))
    tables = Tables(**learned)
    check_tables(tables, like, vocab_size)
    return tables


def check_tables(tables: Tables, like: Tables, vocab_size: int) -> None:
    """Refuses tables from a file that would lead the kernels, which check nothing, beside an array.

    Args:
        tables: What was read.
        like: Tables of the same shape but for the hash tables.
        vocab_size: Number of tokens V.

    Raises:
        ValueError: When a table has another type or shape, or holds what cannot have been learned.
    """
    for name, found, own in zip(Tables._fields, tables, like, strict=True):
        if found.dtype != own.dtype:
            raise ValueError(f"tensor {name} has the type {found.dtype} instead of {own.dtype}")
        if name in HASHED:
            size = len(found)
            if found.ndim != 1 or size < LINE or size & (size - 1):
                raise ValueError(f"tensor {name} has a wrong length")
        elif found.shape != own.shape:
            raise ValueError(f"tensor {name} has shape {found.shape} instead of {own.shape}")
        elif not np.isfinite(found).all():
            raise ValueError(f"tensor {name} has entries that are no numbers")
    for name in ("calibration", "trust"):
        learned = getattr(tables, name)
        if learned.min() < 0 or learned.max() > 1:
            raise ValueError(f"tensor {name} has entries that are no probabilities")
    if (tables.followers & np.uint32(match_model.MAX_FOLLOWER - 1)).max() >= vocab_size:
        raise ValueError("tensor followers names tokens that the vocabulary does not have")


def _logistic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = 1 / (1 + np.exp(-x))
    return result
