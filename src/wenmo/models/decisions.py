"""What an n-gram model predicts for a decision, and what it learns from it: compiled functions.

Every decision is predicted in each context by an adaptive probability; these predictions are combined in the logistic
domain by gated linear mixing, and the mixed probability is refined by secondary estimation. See `context_mixing`.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wenmo.compiled import inlined, inner

from .match_model import RUNS
from .recent_text import EXTRA, hashed
from .simd import LINE, WIDTH, add_scaled, dot, prefetch
from .slots import find, open_lines, own_hash

if TYPE_CHECKING:
    from .array_types import F32, F64, I8, I16, I32, I64, U32, U64

MATCH_DEPTHS = 16
"""Depths of nodes told apart in how far a match is trusted."""
MATCH_RATE = 0.005
COUNT_BUCKETS, PROBABILITY_BUCKETS = 12, 33
NODE_SETS, BYTE_SETS = 1024, 256
"""Sets of mixing weights selected by the node, and by the last character."""
LAYER = 3
"""Mixers, whose outputs are mixed once more."""
FINAL_RATE, CALIBRATION_RATE = 0.002, 0.01
REFINEMENTS, REFINEMENT_BUCKETS = 1 << 12, 33
"""Curves of secondary estimation, and their points, over log-odds from -8 to 8."""
REFINEMENT_RATE = 0.02
FLOOR = 1.0 / 65536
"""Least probability of a decision."""
SEEN, GROUP, FIRST_POINT, SECOND_POINT, MATCH, CHOSEN = 3, 4, 5, 6, 7, 8
"""Places in the scratch array `chosen`, after the rows of the mixers, and its length."""
COUNT_LIMIT = 30
"""Count at which a slot's learning rate stops falling."""
CLAMP = 11.0
"""Largest absolute log-odds."""


@inlined
def _squash(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def _stretch_table() -> F32:
    p = (np.arange(4096) + 0.5) / 4096
    return np.log(p / (1 - p)).astype(np.float32)


STRETCH = _stretch_table()
"""Log-odds of the probability (i + 0.5) / 4096."""
COUNT_BUCKET = np.digitize(np.arange(64), [1, 2, 3, 4, 5, 7, 10, 14, 20, COUNT_LIMIT])
"""Row of the calibration for each count."""
RECIPROCAL = (1 / (np.arange(64) + 1.5)).astype(np.float32)
"""Learning rate of a slot for each count."""
SQUASH = (1 / (1 + np.exp(CLAMP + 1 - (np.arange(24 * 128 + 1) + 0.5) / 128))).astype(np.float32)
"""Probability at the log-odds (i + 0.5) / 128 - (CLAMP + 1): exact enough to learn by, and no exponential."""


def inputs_of(n: int) -> int:
    """Inputs of the mixers for n contexts: two each, two more, and zeros up to a whole number of vectors."""
    return (2 * n + 2 + WIDTH - 1) // WIDTH * WIDTH


# The arrays are passed one by one and whole: taking them out of a tuple, or a slice, counts references every time.


@inner
def predict(
    node: int,
    last: np.uint64,
    num_orders: int,
    depth: I32,
    group: I32,
    slots: U32,
    calibration: F32,
    mixers: F32,
    final: F32,
    trust: F32,
    refinement: F32,
    expected: I8,
    match: I64,
    hashes: U64,
    keys: U64,
    bases: I64,
    found: I64,
    cells: I64,
    inputs: F32,
    chosen: I64,
    layer: F64,
) -> float:
    """Probability that the decision at `node` is 1; leaves in the last six arrays what `update` needs.

    The arrays are those of `token_tree.Tree` and `mixing_tables.Tables`, where their shapes stand, and what
    `context_mixing._scratch` allocates for N contexts.

    Args:
        node: The node.
        last: The last character, its UTF-8 bytes as one number.
        num_orders: How many of the contexts are last characters alone.
        depth: Of the tree; so is `group`.
        group: Group of each node.
        slots: Table of the contexts; so are `calibration`, `mixers`, `final`, `trust` and `refinement`.
        calibration: Table.
        mixers: Table.
        final: Table.
        trust: Table.
        refinement: Table.
        expected: What the match model foresees at each node: 1 or 2 for 0 or 1; 0 for nothing.
        match: The token foreseen, or -1, and the row of its cells in `trust` (2,).
        hashes: Contexts (N,).
        keys: Of the cache lines that are open (N,).
        bases: Their first slots (N,).
        found: Slot of each context (N,); see `slots.find`.
        cells: Cell of each in its row of `calibration` (N,).
        inputs: Of the mixers (`inputs_of(N)`,).
        chosen: Rows of the mixers, and more: see `SEEN` (CHOSEN,).
        layer: Log-odds of each mixer, and the mixed probability (LAYER + 1,).
    """
    n = len(hashes)
    place = np.uint64(node)
    if chosen[GROUP] != group[node]:
        open_lines(group[node], hashes, keys, bases, slots)
        chosen[GROUP] = group[node]
    # The curves of secondary estimation come near meanwhile.
    place_and_last = hashed(
        (last + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + place * np.uint64(0xD6E8FEB86659FD93)
    )
    curves = (
        min(node, REFINEMENTS - 1) * REFINEMENT_BUCKETS,
        (REFINEMENTS + np.int64(place_and_last & np.uint64(REFINEMENTS - 1))) * REFINEMENT_BUCKETS,
    )
    for curve in curves:
        for point in range(0, REFINEMENT_BUCKETS, LINE):
            prefetch(refinement, curve + point)
    longest = 0
    seen = 0
    for i in range(n):
        index = find(slots, bases[i], own_hash(keys[i], place))
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
    inputs[2 * n + 1] = np.float32(0.0)
    chosen[MATCH] = -1
    if expected[node]:
        cell = match[1] * MATCH_DEPTHS + min(depth[node], MATCH_DEPTHS - 1)
        logit = STRETCH[np.int64(trust[cell] * np.float32(4095.9))]
        inputs[2 * n + 1] = logit if expected[node] == 2 else -logit
        chosen[MATCH] = cell
        run = match[1] % RUNS
        longest = (
            num_orders + match[1] // RUNS * 4 + (0 if run < 2 else 1 if run < 4 else 2 if run < 15 else 3)
        )
    chosen[0] = min(node, NODE_SETS - 1)
    chosen[1] = NODE_SETS + np.int64(last & np.uint64(BYTE_SETS - 1))
    chosen[2] = NODE_SETS + BYTE_SETS + longest * 8 + min(depth[node], 7)
    chosen[SEEN] = seen
    total = 0.0
    for k in range(LAYER):
        mixed = min(max(np.float64(dot(mixers, chosen[k], inputs)), -CLAMP), CLAMP)
        layer[k] = mixed
        total += final[seen, k] * mixed
    p = _squash(min(max(total, -CLAMP), CLAMP))
    layer[LAYER] = p
    # Between two points of a curve the probability is interpolated; the nearer one learns.
    point = (min(max(total, -7.999), 7.999) + 8.0) * 2.0
    low = np.int64(point)
    share = np.float32(point - low)
    first, second = curves[0] + low, curves[1] + low
    by_node = refinement[first] + (refinement[first + 1] - refinement[first]) * share
    by_character = refinement[second] + (refinement[second + 1] - refinement[second]) * share
    near = 1 if share > np.float32(0.5) else 0
    chosen[FIRST_POINT] = first + near
    chosen[SECOND_POINT] = second + near
    p = (p + by_node + by_character) / 3.0
    return min(max(p, FLOOR), 1.0 - FLOOR)


@inner
def update(
    node: int,
    bit: int,
    rate: float,
    slots: U32,
    calibration: F32,
    mixers: F32,
    final: F32,
    trust: F32,
    refinement: F32,
    expected: I8,
    keys: U64,
    found: I64,
    cells: I64,
    inputs: F32,
    chosen: I64,
    layer: F64,
) -> None:
    """Learns at a rate of the mixers that the decision at `node` was `bit`, after `predict`, whose arrays these are."""
    n = len(keys)
    seen = chosen[SEEN]
    error = bit - layer[LAYER]
    for k in range(LAYER):
        final[seen, k] += np.float32(FINAL_RATE * error * layer[k])
        guess = SQUASH[np.int64((layer[k] + (CLAMP + 1.0)) * 128.0)]
        add_scaled(mixers, chosen[k], np.float32(rate * (bit - guess)), inputs)
    truth = np.float32(bit)
    for k in range(FIRST_POINT, SECOND_POINT + 1):
        refinement[chosen[k]] += (truth - refinement[chosen[k]]) * np.float32(REFINEMENT_RATE)
    cell = chosen[MATCH]
    if cell >= 0:
        kept = np.float32(1.0) if expected[node] == bit + 1 else np.float32(0.0)
        trust[cell] += (kept - trust[cell]) * np.float32(MATCH_RATE)
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
            check = np.uint32(own_hash(keys[i], place) >> np.uint64(8)) & np.uint32(1023)
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


@inlined
def standing_of(chosen: I64) -> np.int16:
    """What the longest known context of a decision was: its place among the orders, or after them the match.

    Four kinds of match (by how often the token has followed in a row) for each of MATCHES.
    """
    return np.int16((chosen[2] - NODE_SETS - BYTE_SETS) // 8)


@inner
def score_path(
    token: int, last: np.uint64, num_orders: int, depth: I32, group: I32, path: I32, offsets: I64, slots: U32,
    calibration: F32, mixers: F32, final: F32, trust: F32, refinement: F32, expected: I8, match: I64, hashes: U64,
    keys: U64, bases: I64, found: I64, cells: I64, inputs: F32, chosen: I64, layer: F64, learn: bool, rate: float,
    ones: F64, standing: I16, place: int,
) -> tuple[float, int]:  # fmt: skip
    """Scores the decisions on a token's path, learning from each after it if `learn`; see `predict` for the arrays.

    Returns:
        Their nats, and how many contexts were known at the first one. `ones` and `standing`, unless empty, receive
        from `place` on what `run_decisions` says.
    """
    nats, known = 0.0, 0
    first = offsets[token]
    for step in range(first, offsets[token + 1]):
        node, bit = np.int64(path[step] >> 1), np.int64(path[step] & 1)
        p = predict(
            node, last, num_orders, depth, group, slots, calibration, mixers, final, trust, refinement,
            expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer,
        )  # fmt: skip
        nats -= math.log(p if bit == 1 else 1.0 - p)
        if step == first:
            known = chosen[SEEN]
        if len(ones):
            ones[place + step - first] = p
            standing[place + step - first] = standing_of(chosen)
        if learn:
            update(
                node, bit, rate, slots, calibration, mixers, final, trust, refinement,
                expected, keys, found, cells, inputs, chosen, layer,
            )  # fmt: skip
    return nats, known
