"""Context mixing over a binary tree of tokens: the compiled kernels of the n-gram model.

A token is the path of binary decisions that leads to its leaf. Every decision is predicted in each context by an
adaptive probability, and these predictions are combined in the logistic domain by gated linear mixing, as in
PAQ (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005). The product along the
path is the token's probability, so the distribution over all tokens sums to 1 by construction.

A slot is a uint32: 10 check bits, 6 bits of count n (0 means empty), 16 bits of probability that the bit is 1.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

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
LAYER = 3
"""Mixers, whose outputs are mixed once more."""
FINAL_RATE, CALIBRATION_RATE = 0.002, 0.01
FLOOR = 1.0 / 65536
"""Least probability of a decision."""
SEEN, GROUP, TOUCHED, CHOSEN = 3, 4, 5, 6
"""Places in the scratch array `chosen`, after the rows of the mixers, and its length."""
COUNT_LIMIT = 40
"""Count at which a slot's learning rate stops falling."""
CLAMP = 11.0
"""Largest absolute log-odds."""


U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


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


@nb.njit(cache=True, nogil=True)
def _squash(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
def _own_hash(key: np.uint64, node: np.uint64) -> np.uint64:
    """Bits 0 to 3: first place in the line; 8 to 17: check bits."""
    return _hash((key + node) * np.uint64(0xD6E8FEB86659FD93))


@nb.njit(cache=True, nogil=True)
def _open_lines(group: int, hashes: U64, keys: U64, bases: I64, slots: U32, chosen: I64) -> None:
    """Finds the cache line of every context for a group of nodes; touches all at once, to wait only once."""
    lines = np.uint64(len(slots) // LINE - 1)
    touched = np.uint32(0)
    for i in range(len(hashes)):
        key = _hash((hashes[i] + np.uint64(group)) * np.uint64(0x9E3779B97F4A7C15))
        keys[i] = key
        base = np.int64(key & lines) * LINE
        bases[i] = base
        touched ^= slots[base]
    chosen[GROUP] = group
    chosen[TOUCHED] = np.int64(touched)


@nb.njit(cache=True, nogil=True)
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


def _stretch_table() -> npt.NDArray[np.float32]:
    p = (np.arange(4096) + 0.5) / 4096
    return np.log(p / (1 - p)).astype(np.float32)


STRETCH = _stretch_table()
"""Log-odds of the probability (i + 0.5) / 4096."""
COUNT_BUCKET = np.digitize(np.arange(64), [1, 2, 3, 4, 5, 7, 10, 14, 20, COUNT_LIMIT])
"""Row of the calibration for each count."""
RECIPROCAL = (1 / (np.arange(64) + 1.5)).astype(np.float32)
"""Learning rate of a slot for each count."""


def new_tables(num_orders: int, slot_bits: int) -> Tables:
    """Tables that know nothing: every decision is even."""
    n = num_orders + EXTRA
    sets = NODE_SETS + BYTE_SETS + 8 * num_orders
    mixers = np.zeros((sets, 2 * n + 1), np.float32)
    mixers[:, : 2 * n] = 0.4 / n
    logits = (np.arange(PROBABILITY_BUCKETS) - PROBABILITY_BUCKETS // 2) / 2
    calibration = np.tile(_logistic(logits), (n, COUNT_BUCKETS))
    return Tables(
        np.zeros(1 << slot_bits, np.uint32),
        calibration.astype(np.float32),
        mixers,
        np.full((n + 1, LAYER), 1 / LAYER, np.float32),
    )


def copy_tables(tables: Tables) -> Tables:
    """Returns tables that may change without changing the given ones."""
    return Tables(*(array.copy() for array in tables))


def _logistic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = 1 / (1 + np.exp(-x))
    return result


@nb.njit(cache=True, nogil=True)
def _scratch(n: int) -> tuple[U64, U64, I64, I64, I64, F32, I64, F64]:
    """Allocates hashes, keys, bases, found, cells, inputs, chosen, layer for n contexts."""
    return (
        np.zeros(n, np.uint64),
        np.zeros(n, np.uint64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(2 * n + 1, np.float32),
        np.zeros(CHOSEN, np.int64),
        np.zeros(LAYER + 1, np.float64),
    )


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _dot(weights: F32, row: int, inputs: F32) -> np.float32:
    total = np.float32(0.0)
    for i in range(len(inputs)):
        total += weights[row, i] * inputs[i]
    return total


@nb.njit(cache=True, nogil=True)
def _add(weights: F32, row: int, step: np.float32, inputs: F32) -> None:
    for i in range(len(inputs)):
        weights[row, i] += step * inputs[i]


# The arrays are passed one by one: taking them out of a tuple counts references at every decision.


@nb.njit(cache=True, nogil=True)
def _predict(
    node: int,
    last_byte: int,
    num_orders: int,
    depth: I32,
    group: I32,
    slots: U32,
    calibration: F32,
    mixers: F32,
    final: F32,
    hashes: U64,
    keys: U64,
    bases: I64,
    found: I64,
    cells: I64,
    inputs: F32,
    chosen: I64,
    layer: F64,
) -> float:
    """Probability that the decision at `node` is 1; leaves in the last six arrays what `_update` needs."""
    n = len(hashes)
    place = np.uint64(node)
    if chosen[GROUP] != group[node]:
        _open_lines(group[node], hashes, keys, bases, slots, chosen)
    longest = 0
    seen = 0
    for i in range(n):
        index = _find(slots, bases[i], _own_hash(keys[i], place))
        found[i] = index
        if index < 0:
            inputs[2 * i] = np.float32(0.0)
            inputs[2 * i + 1] = np.float32(0.0)
            continue
        value = slots[index]
        seen += 1
        if i < num_orders:
            longest = i
        logit = STRETCH[(value & np.uint32(65535)) >> np.uint32(4)]
        count = np.int64((value >> np.uint32(16)) & np.uint32(63))
        bucket = min(max(np.int64(logit * np.float32(2.0) + np.float32(16.5)), 0), PROBABILITY_BUCKETS - 1)
        cell = COUNT_BUCKET[count] * PROBABILITY_BUCKETS + bucket
        cells[i] = cell
        inputs[2 * i] = logit
        inputs[2 * i + 1] = STRETCH[np.int64(calibration[i, cell] * np.float32(4095.9))]
    inputs[2 * n] = np.float32(0.3)
    chosen[0] = min(node, NODE_SETS - 1)
    chosen[1] = NODE_SETS + last_byte
    chosen[2] = NODE_SETS + BYTE_SETS + longest * 8 + min(depth[node], 7)
    chosen[SEEN] = seen
    total = 0.0
    for k in range(LAYER):
        dot = min(max(np.float64(_dot(mixers, chosen[k], inputs)), -CLAMP), CLAMP)
        layer[k] = dot
        total += final[seen, k] * dot
    p = _squash(min(max(total, -CLAMP), CLAMP))
    layer[LAYER] = p
    return min(max(p, FLOOR), 1.0 - FLOOR)


@nb.njit(cache=True, nogil=True)
def _update(
    node: int,
    bit: int,
    rate: float,
    slots: U32,
    calibration: F32,
    mixers: F32,
    final: F32,
    keys: U64,
    found: I64,
    cells: I64,
    inputs: F32,
    chosen: I64,
    layer: F64,
) -> None:
    """Learns that the decision at `node` was `bit`, after `_predict`."""
    n = len(keys)
    seen = chosen[SEEN]
    error = bit - layer[LAYER]
    for k in range(LAYER):
        final[seen, k] += np.float32(FINAL_RATE * error * layer[k])
        _add(mixers, chosen[k], np.float32(rate * (bit - _squash(layer[k]))), inputs)
    place = np.uint64(node)
    target = np.float32(65535.0 * bit)
    for i in range(n):
        index = found[i]
        if index < 0:
            # A context is remembered once the next shorter one has been seen here: long ones that never come
            # again take no room.
            orders = n - EXTRA
            shorter = i - 1 if i < orders else min(3, orders - 1)
            if i > 1 and i != orders and found[shorter] < 0:
                continue
            index = -1 - index
            check = np.uint32(_own_hash(keys[i], place) >> np.uint64(8)) & np.uint32(1023)
            value = (check << np.uint32(22)) | np.uint32(32768)
        else:
            value = slots[index]
            cell = cells[i]
            calibration[i, cell] += (np.float32(bit) - calibration[i, cell]) * np.float32(CALIBRATION_RATE)
        p = np.float32(value & np.uint32(65535))
        count = np.int64((value >> np.uint32(16)) & np.uint32(63))
        p += (target - p) * RECIPROCAL[count]
        count = min(count + 1, COUNT_LIMIT)
        slots[index] = (value & np.uint32(0xFFC00000)) | (np.uint32(count) << np.uint32(16)) | np.uint32(p)


@nb.njit(cache=True, nogil=True)
def run(
    ids: I64, recent: U64, orders: I64, tree: Tree, t: Tables, learn: bool, rate: float
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
    depth, group, path, offsets = tree.depth, tree.group, tree.path, tree.path_offsets
    slots, calibration, mixers, final = t.slots, t.calibration, t.mixers, t.final
    hashes, keys, bases, found, cells, inputs, chosen, layer = _scratch(len(orders) + EXTRA)
    for position in range(len(ids)):
        token = ids[position]
        contexts(recent, orders, hashes)
        last_byte = np.int64(recent[0] & np.uint64(BYTE_SETS - 1))
        chosen[GROUP] = -1
        for step in range(offsets[token], offsets[token + 1]):
            node, bit = np.int64(path[step] >> 1), np.int64(path[step] & 1)
            p = _predict(
                node, last_byte, len(orders), depth, group, slots, calibration, mixers, final,
                hashes, keys, bases, found, cells, inputs, chosen, layer,
            )  # fmt: skip
            nats[position] -= math.log(p if bit == 1 else 1.0 - p)
            if step == offsets[token]:
                known[position] = chosen[SEEN]
            if learn:
                _update(
                    node, bit, rate, slots, calibration, mixers, final,
                    keys, found, cells, inputs, chosen, layer,
                )  # fmt: skip
        push(recent, token, tree)
    return nats, known


@nb.njit(cache=True, nogil=True)
def read(ids: I64, recent: U64, tree: Tree) -> None:
    """Appends tokens (N,) to the vector of recent text, in place."""
    for token in ids:
        push(recent, token, tree)


@nb.njit(cache=True, nogil=True)
def read_and_predict(ids: I64, recent: U64, orders: I64, tree: Tree, t: Tables, out: F32, known: I64) -> None:
    """Predicts after each token read.

    Args:
        ids: Tokens (N,).
        recent: Vector of recent text (RECENT,), updated in place.
        orders: Characters in each context, ascending.
        tree: The tree of tokens.
        t: Tables.
        out: Receives the log-probabilities of all tokens after each of `ids`, float32 (at least N, V).
        known: Receives how many contexts are known at the first decision (at least N,).
    """
    depth, group, children = tree.depth, tree.group, tree.children
    slots, calibration, mixers, final = t.slots, t.calibration, t.mixers, t.final
    hashes, keys, bases, found, cells, inputs, chosen, layer = _scratch(len(orders) + EXTRA)
    above = np.zeros(len(depth), np.float64)
    for position in range(len(ids)):
        push(recent, ids[position], tree)
        contexts(recent, orders, hashes)
        last_byte = np.int64(recent[0] & np.uint64(BYTE_SETS - 1))
        chosen[GROUP] = -1
        for node in range(len(depth)):  # parents come before their children
            p = _predict(
                node, last_byte, len(orders), depth, group, slots, calibration, mixers, final,
                hashes, keys, bases, found, cells, inputs, chosen, layer,
            )  # fmt: skip
            if node == 0:
                known[position] = chosen[SEEN]
            for bit in range(2):
                value = above[node] + math.log(p if bit == 1 else 1.0 - p)
                child = children[node, bit]
                if child < 0:
                    out[position, -1 - child] = value
                else:
                    above[child] = value
