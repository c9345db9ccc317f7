"""Context mixing over a binary tree of tokens: the compiled kernels of the n-gram model.

A token is the path of binary decisions that leads to its leaf. Every decision is predicted in each context by an
adaptive probability, and these predictions are combined in the logistic domain by gated linear mixing, as in
PAQ (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005). The product along the
path is the token's probability, so the distribution over all tokens sums to 1 by construction.

A slot is a uint32: 10 check bits, 6 bits of count n (0 means empty), 16 bits of probability that the bit is 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from .token_tree import Tree

CHARS = 12
"""Characters of context remembered in the vector of recent text."""
WORD, PREVIOUS_WORD, TOKEN, PREVIOUS_TOKEN = CHARS, CHARS + 1, CHARS + 2, CHARS + 3
RECENT = CHARS + 4
"""Length of the vector of recent text: characters (newest first), two words, two tokens."""
EXTRA = 4
"""Contexts besides the characters: word; word with the one before; a skipped character; two tokens."""
LINE = 16
"""Slots in a cache line of 64 bytes."""
PROBES = 6
"""Slots of a line tried before one is replaced."""
COUNT_BUCKETS, PROBABILITY_BUCKETS = 12, 33
NODE_SETS, BYTE_SETS = 1024, 256
"""Sets of mixing weights selected by the node, and by the last character."""
SSE_CONTEXTS, SSE_BUCKETS = 1 << 14, 24
COUNT_LIMIT = 60
"""Count at which a slot's learning rate stops falling."""
CLAMP = 11.0
"""Largest absolute log-odds."""


class Tables(NamedTuple):
    """Everything the model learns. N contexts, M = 2 N + 1 inputs of the mixers."""

    slots: npt.NDArray[np.uint32]
    """Adaptive probabilities (power of two,)."""
    calibration: npt.NDArray[np.float32]
    """Probability given context order, count and slot probability (N, COUNT_BUCKETS * PROBABILITY_BUCKETS)."""
    mixers: npt.NDArray[np.float32]
    """Weights (NODE_SETS + BYTE_SETS + longest-order sets, M)."""
    final: npt.NDArray[np.float32]
    """Weights of the second layer (N + 1, 3), by the number of contexts seen."""
    refinement: npt.NDArray[np.float32]
    """Secondary estimation: probability given a small context and the mixed one (2, SSE_CONTEXTS, SSE_BUCKETS)."""


@nb.njit(cache=True, nogil=True, inline="always")
def _squash(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@nb.njit(cache=True, nogil=True, inline="always")
def _hash(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@nb.njit(cache=True, nogil=True)
def push(recent: npt.NDArray[np.uint64], token: int, tree: Tree) -> None:
    """Appends a token to the vector of recent text (RECENT,), in place."""
    recent[PREVIOUS_TOKEN] = recent[TOKEN]
    recent[TOKEN] = np.uint64(token + 1)
    start, end = tree.byte_offsets[token], tree.byte_offsets[token + 1]
    if start == end:  # the end of a document
        recent[:CHARS] = np.uint64(0)
        recent[WORD] = np.uint64(0)
        recent[PREVIOUS_WORD] = np.uint64(0)
        return
    for position in range(start, end):
        byte = np.uint64(tree.bytes[position])
        if np.uint64(0x80) <= byte < np.uint64(0xC0):  # goes on with a character
            recent[0] = (recent[0] << np.uint64(8)) | byte
        else:
            for i in range(CHARS - 1, 0, -1):
                recent[i] = recent[i - 1]
            recent[0] = byte
        letter = (
            byte >= np.uint64(0x80)
            or np.uint64(97) <= byte <= np.uint64(122)
            or np.uint64(65) <= byte <= np.uint64(90)
            or np.uint64(48) <= byte <= np.uint64(57)
            or byte == np.uint64(95)
        )
        if letter:
            lower = byte | np.uint64(32) if np.uint64(65) <= byte <= np.uint64(90) else byte
            recent[WORD] = _hash((recent[WORD] + lower + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
        elif recent[WORD] != np.uint64(0):
            recent[PREVIOUS_WORD] = recent[WORD]
            recent[WORD] = np.uint64(0)


@nb.njit(cache=True, nogil=True)
def contexts(
    recent: npt.NDArray[np.uint64], orders: npt.NDArray[np.int64], out: npt.NDArray[np.uint64]
) -> None:
    """Hashes the contexts of the next token into `out` (N,)."""
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    value = np.uint64(0)
    done = 0
    for i in range(len(orders)):
        for k in range(done, orders[i]):
            value = _hash((value + recent[k] + np.uint64(1)) * multiplier)
        done = orders[i]
        out[i] = _hash((value + np.uint64(i + 1)) * multiplier)
    n = len(orders)
    word, before = recent[WORD], recent[PREVIOUS_WORD]
    out[n] = _hash((word ^ np.uint64(101)) * multiplier + recent[0])
    out[n + 1] = _hash((_hash((word ^ np.uint64(102)) * multiplier + recent[0]) + before) * multiplier)
    out[n + 2] = _hash((_hash((recent[1] + np.uint64(103)) * multiplier) + recent[2]) * multiplier)
    out[n + 3] = _hash(
        (_hash((recent[TOKEN] + np.uint64(104)) * multiplier) + recent[PREVIOUS_TOKEN]) * multiplier
    )


@nb.njit(cache=True, nogil=True, inline="always")
def _own_hash(key: np.uint64, node: np.uint64) -> np.uint64:
    """Bits 0 to 3: first place in the line; 8 to 17: check bits."""
    return _hash((key + node) * np.uint64(0xD6E8FEB86659FD93))


@nb.njit(cache=True, nogil=True)
def _open_lines(group: int, t: Tables, s: Scratch) -> None:
    """Finds the cache line of every context for a group of nodes. All are touched at once to wait only once."""
    s.group[0] = group
    lines = np.uint64(len(t.slots) // LINE - 1)
    touched = np.uint32(0)
    for i in range(len(s.hashes)):
        key = _hash((s.hashes[i] + np.uint64(group)) * np.uint64(0x9E3779B97F4A7C15))
        s.keys[i] = key
        base = np.int64(key & lines) * LINE
        s.bases[i] = base
        touched ^= t.slots[base]
    s.group[1] = np.int64(touched)


@nb.njit(cache=True, nogil=True, inline="always")
def _find(slots: npt.NDArray[np.uint32], base: int, own: np.uint64) -> int:
    """Index of the slot, or -1 - index of the one to replace."""
    check = np.uint32(own >> np.uint64(8)) & np.uint32(1023)
    start = np.int64(own & np.uint64(LINE - 1))
    worst, least = base, np.uint32(1 << 30)
    for j in range(PROBES):
        index = base + ((start + j) & (LINE - 1))
        value = slots[index]
        if value == np.uint32(0):
            return -1 - index
        if value >> np.uint32(22) == check:
            return index
        count = (value >> np.uint32(16)) & np.uint32(63)
        if count < least:
            worst, least = index, count
    return -1 - worst


@nb.njit(cache=True, nogil=True, inline="always")
def _count_bucket(count: int) -> int:
    if count < 5:
        return count
    if count < 7:
        return 5
    if count < 10:
        return 6
    if count < 14:
        return 7
    if count < 20:
        return 8
    if count < 30:
        return 9
    return 10 if count < COUNT_LIMIT else 11


def _stretch_table() -> npt.NDArray[np.float32]:
    p = (np.arange(4096) + 0.5) / 4096
    return np.log(p / (1 - p)).astype(np.float32)


STRETCH = _stretch_table()
"""Log-odds of the probability (i + 0.5) / 4096."""


def new_tables(num_orders: int, slot_bits: int) -> Tables:
    """Tables that know nothing: every decision is even."""
    n = num_orders + EXTRA
    sets = NODE_SETS + BYTE_SETS + 8 * num_orders
    mixers = np.zeros((sets, 2 * n + 1), np.float32)
    mixers[:, : 2 * n] = 0.4 / n
    logits = (np.arange(PROBABILITY_BUCKETS) - PROBABILITY_BUCKETS // 2) / 2
    calibration = np.tile(_logistic(logits), (n, COUNT_BUCKETS))
    even = _logistic(np.linspace(-CLAMP, CLAMP, SSE_BUCKETS))
    return Tables(
        np.zeros(1 << slot_bits, np.uint32),
        calibration.astype(np.float32),
        mixers,
        np.full((n + 1, 3), 1 / 3, np.float32),
        np.tile(even, (2, SSE_CONTEXTS, 1)).astype(np.float32),
    )


def copy_tables(tables: Tables) -> Tables:
    """Returns tables that may change without changing the given ones."""
    return Tables(*(array.copy() for array in tables))


def _logistic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = 1 / (1 + np.exp(-x))
    return result


class Scratch(NamedTuple):
    """Room for one decision."""

    hashes: npt.NDArray[np.uint64]
    keys: npt.NDArray[np.uint64]
    bases: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.float32]
    sets: npt.NDArray[np.int64]
    layer: npt.NDArray[np.float64]
    sse: npt.NDArray[np.int64]
    mixed: npt.NDArray[np.float64]


@nb.njit(cache=True, nogil=True)
def new_scratch(num_contexts: int) -> Scratch:
    """Allocates what `_predict` and `_update` share."""
    return Scratch(
        np.zeros(num_contexts, np.uint64),
        np.zeros(num_contexts, np.uint64),
        np.zeros(num_contexts, np.int64),
        np.full(2, -1),
        np.zeros(num_contexts, np.int64),
        np.zeros(num_contexts, np.int64),
        np.zeros(2 * num_contexts + 1, np.float32),
        np.zeros(3, np.int64),
        np.zeros(3, np.float64),
        np.zeros(2, np.int64),
        np.zeros(4, np.float64),
    )


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> np.float32:
    total = np.float32(0.0)
    for i in range(len(b)):
        total += a[i] * b[i]
    return total


@nb.njit(cache=True, nogil=True)
def _add(a: npt.NDArray[np.float32], step: np.float32, b: npt.NDArray[np.float32]) -> None:
    for i in range(len(b)):
        a[i] += step * b[i]


@nb.njit(cache=True, nogil=True)
def _predict(
    node: int, recent: npt.NDArray[np.uint64], orders: int, tree: Tree, t: Tables, s: Scratch
) -> float:
    """Probability that the decision at `node` is 1; leaves in `s` what `_update` needs."""
    n = len(s.hashes)
    place = np.uint64(node)
    if s.group[0] != tree.group[node]:
        _open_lines(tree.group[node], t, s)
    longest = 0
    seen = 0
    for i in range(n):
        index = _find(t.slots, s.bases[i], _own_hash(s.keys[i], place))
        s.found[i] = index
        if index < 0:
            s.inputs[2 * i] = 0.0
            s.inputs[2 * i + 1] = 0.0
            s.cells[i] = -1
            continue
        value = t.slots[index]
        seen += 1
        if i < orders:
            longest = i
        logit = STRETCH[(value & np.uint32(65535)) >> np.uint32(4)]
        count = np.int64((value >> np.uint32(16)) & np.uint32(63))
        bucket = min(max(np.int64(logit * 2.0 + 16.5), 0), PROBABILITY_BUCKETS - 1)
        cell = _count_bucket(count) * PROBABILITY_BUCKETS + bucket
        s.cells[i] = cell
        q = np.float64(t.calibration[i, cell])
        s.inputs[2 * i] = logit
        s.inputs[2 * i + 1] = STRETCH[np.int64(q * 4096.0)]
    s.inputs[2 * n] = 0.3
    s.sets[0] = min(np.int64(tree.rank[node]), NODE_SETS - 1)
    s.sets[1] = NODE_SETS + np.int64(recent[0] & np.uint64(BYTE_SETS - 1))
    s.sets[2] = NODE_SETS + BYTE_SETS + longest * 8 + min(np.int64(tree.depth[node]), 7)
    total = 0.0
    for k in range(3):
        row = s.sets[k]
        dot = np.float64(_dot(t.mixers[row], s.inputs))
        dot = min(max(dot, -CLAMP), CLAMP)
        s.layer[k] = dot
        total += t.final[seen, k] * dot
    total = min(max(total, -CLAMP), CLAMP)
    mixed = _squash(total)
    position = (total + CLAMP) / (2.0 * CLAMP) * (SSE_BUCKETS - 1.001)
    low = np.int64(position)
    share = position - low
    a = np.int64(min(tree.rank[node], SSE_CONTEXTS - 1))
    b = np.int64(
        _hash((recent[0] + np.uint64(node) * np.uint64(0xD6E8FEB86659FD93)) * np.uint64(0x9E3779B97F4A7C15))
        & np.uint64(SSE_CONTEXTS - 1)
    )
    first = t.refinement[0, a, low] * (1.0 - share) + t.refinement[0, a, low + 1] * share
    second = t.refinement[1, b, low] * (1.0 - share) + t.refinement[1, b, low + 1] * share
    s.sse[0] = a * SSE_BUCKETS + low + (1 if share > 0.5 else 0)
    s.sse[1] = b * SSE_BUCKETS + low + (1 if share > 0.5 else 0)
    s.mixed[0] = mixed
    s.mixed[1] = seen
    p = 0.5 * mixed + 0.25 * first + 0.25 * second
    return min(max(p, 1.0 / 65536), 1.0 - 1.0 / 65536)


@nb.njit(cache=True, nogil=True)
def _update(node: int, bit: int, rate: float, tree: Tree, t: Tables, s: Scratch) -> None:
    """Learns that the decision at `node` was `bit`, after `_predict`."""
    n = len(s.hashes)
    seen = np.int64(s.mixed[1])
    error = bit - s.mixed[0]
    for k in range(3):
        row = s.sets[k]
        step = rate * (bit - _squash(s.layer[k]))
        t.final[seen, k] += 0.002 * error * s.layer[k]
        _add(t.mixers[row], np.float32(step), s.inputs)
    for k in range(2):
        a, low = s.sse[k] // SSE_BUCKETS, s.sse[k] % SSE_BUCKETS
        t.refinement[k, a, low] += (bit - t.refinement[k, a, low]) * 0.02
    place = np.uint64(node)
    for i in range(n):
        index = s.found[i]
        if index < 0:
            index = -1 - index
            check = np.uint32(_own_hash(s.keys[i], place) >> np.uint64(8)) & np.uint32(1023)
            value = (check << np.uint32(22)) | np.uint32(32768)
        else:
            value = t.slots[index]
            cell = s.cells[i]
            t.calibration[i, cell] += (bit - t.calibration[i, cell]) * 0.01
        p = np.float64(value & np.uint32(65535))
        count = np.int64((value >> np.uint32(16)) & np.uint32(63))
        p += (65535.0 * bit - p) / (count + 1.5)
        count = min(count + 1, COUNT_LIMIT)
        t.slots[index] = (value & np.uint32(0xFFC00000)) | (np.uint32(count) << np.uint32(16)) | np.uint32(p)


@nb.njit(cache=True, nogil=True)
def run(
    ids: npt.NDArray[np.int64],
    recent: npt.NDArray[np.uint64],
    orders: npt.NDArray[np.int64],
    tree: Tree,
    t: Tables,
    learn: bool,
    rate: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores tokens in order, learning from each after it if `learn`.

    Args:
        ids: Tokens (N,).
        recent: Vector of recent text (RECENT,), updated in place.
        orders: Characters in each context, ascending.
        tree: The tree of tokens.
        t: Tables, updated in place if `learn`.
        learn: Whether to learn.
        rate: Learning rate of the mixers.

    Returns:
        Nats of every token, float64 (N,), and how many contexts were known at its first decision, int64 (N,).
    """
    nats = np.zeros(len(ids), np.float64)
    known = np.zeros(len(ids), np.int64)
    s = new_scratch(len(orders) + EXTRA)
    for position in range(len(ids)):
        token = ids[position]
        contexts(recent, orders, s.hashes)
        s.group[0] = -1
        for step in range(tree.path_offsets[token], tree.path_offsets[token + 1]):
            node, bit = tree.path[step] >> 1, tree.path[step] & 1
            p = _predict(node, recent, len(orders), tree, t, s)
            nats[position] -= math.log(p if bit == 1 else 1.0 - p)
            if learn:
                _update(node, bit, rate, tree, t, s)
            if step == tree.path_offsets[token]:
                known[position] = np.int64(s.mixed[1])
        push(recent, token, tree)
    return nats, known


@nb.njit(cache=True, nogil=True)
def read(ids: npt.NDArray[np.int64], recent: npt.NDArray[np.uint64], tree: Tree) -> None:
    """Appends tokens (N,) to the vector of recent text, in place."""
    for token in ids:
        push(recent, token, tree)


@nb.njit(cache=True, nogil=True)
def read_and_predict(
    ids: npt.NDArray[np.int64],
    recent: npt.NDArray[np.uint64],
    orders: npt.NDArray[np.int64],
    tree: Tree,
    t: Tables,
    out: npt.NDArray[np.float32],
    known: npt.NDArray[np.int64],
) -> None:
    """Log-probabilities of all tokens after each of `ids` (N,), into `out` (at least N, V); see `distribution`."""
    for position in range(len(ids)):
        push(recent, ids[position], tree)
        known[position] = distribution(recent, orders, tree, t, out[position])


@nb.njit(cache=True, nogil=True)
def distribution(
    recent: npt.NDArray[np.uint64],
    orders: npt.NDArray[np.int64],
    tree: Tree,
    t: Tables,
    out: npt.NDArray[np.float32],
) -> int:
    """Log-probabilities of all tokens after `recent`, into `out` (V,); returns how many contexts are known."""
    s = new_scratch(len(orders) + EXTRA)
    contexts(recent, orders, s.hashes)
    above = np.zeros(len(tree.depth), np.float64)
    known = 0
    for node in range(len(tree.depth)):  # parents come before their children
        p = _predict(node, recent, len(orders), tree, t, s)
        if node == 0:
            known = np.int64(s.mixed[1])
        for bit in range(2):
            child = tree.children[node, bit]
            value = above[node] + math.log(p if bit == 1 else 1.0 - p)
            if child < 0:
                out[-1 - child] = value
            else:
                above[child] = value
    return known
