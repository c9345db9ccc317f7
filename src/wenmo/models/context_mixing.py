"""Context mixing over a binary tree of tokens: the compiled kernels of the n-gram model.

A token is the path of binary decisions that leads to its leaf. Every decision is predicted in each context by an
adaptive probability, and these predictions are combined in the logistic domain by gated linear mixing, as in
PAQ (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005). The product along the
path is the token's probability, so the distribution over all tokens sums to 1 by construction.

Two more parts come from the same family of compressors. A match model remembers which token followed each long
context, and how often in a row, and predicts the decisions that lead to it. Secondary estimation replaces the mixed
probability by what came true when it was last about as high after the same character.

A slot is a uint32: 10 check bits, 6 bits of count n (0 means empty), 16 bits of probability that the bit is 1.
A follower is a uint32: 8 check bits, 4 bits of how often in a row (0 means empty), 20 bits of token.

All compiled functions stand in this one file: numba keeps what it compiled until the file of the outermost function
changes, so after a change to a function or a constant of another file it would go on with the old one.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import numpy.typing as npt

from . import simd
from .simd import add_scaled, dot, line_masks, lowest_bit, prefetch

if TYPE_CHECKING:
    from .array_types import F32, F64, I8, I16, I32, I64, U32, U64
    from .mixing_tables import Tables
    from .token_tree import Tree

CHARS = 20
"""Characters of context remembered in the vector of recent text."""
WORD, PREVIOUS_WORD, COLUMN, TOKEN, PREVIOUS_TOKEN = CHARS, CHARS + 1, CHARS + 2, CHARS + 3, CHARS + 4
RECENT = CHARS + 5
"""Length of the vector of recent text: characters (newest first), two words, place in the line, two tokens."""
EXTRA = 4
"""Contexts besides the last characters; see `contexts`."""
LAST_COLUMN = 80
"""Places in a line from here on are taken for one."""
MATCHES = (4, 7, 12, 20)
"""Characters of the contexts of the match model."""
RUNS, MATCH_DEPTHS = 16, 16
"""How often in a row a token is counted to have followed (0 to 15), and depths of nodes told apart."""
MATCH_RATE = 0.005
MAX_FOLLOWER = 1 << 20
"""Tokens from this one on are not remembered by the match model."""
LINE = simd.LINE
"""Slots in a cache line of 64 bytes."""
SIMD = 2
"""`simd.VERSION`: numba compiles this file anew when it changes."""
PROBES = 6
"""Slots of a line tried before one is replaced."""
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

outer = nb.njit(cache=True, nogil=True)
"""For what makes arrays."""
inner = nb.njit(cache=True, nogil=True, _nrt=False)
"""For what makes none: it counts no references, which took more than half of the time (docs/lab.md, 2026-11-30)."""
inlined = nb.njit(cache=True, nogil=True, _nrt=False, forceinline=True)
"""The same for what is called many times for a decision."""


@inlined
def _squash(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@inlined
def _hash(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@inner
def push(recent: npt.NDArray[np.uint64], token: int, tree: Tree) -> None:
    """Appends a token to the vector of recent text (RECENT,), in place."""
    recent[PREVIOUS_TOKEN] = recent[TOKEN]
    recent[TOKEN] = np.uint64(token + 1)
    start, end = tree.byte_offsets[token], tree.byte_offsets[token + 1]
    if start == end:  # the end of a document
        recent[:CHARS] = np.uint64(0)
        recent[WORD] = np.uint64(0)
        recent[PREVIOUS_WORD] = np.uint64(0)
        recent[COLUMN] = np.uint64(0)
        return
    for position in range(start, end):
        byte = np.uint64(tree.bytes[position])
        if np.uint64(0x80) <= byte < np.uint64(0xC0):  # goes on with a character
            recent[0] = (recent[0] << np.uint64(8)) | byte
        else:
            for i in range(CHARS - 1, 0, -1):
                recent[i] = recent[i - 1]
            recent[0] = byte
            recent[COLUMN] = np.uint64(0) if byte == np.uint64(10) else recent[COLUMN] + np.uint64(1)
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


@inner
def _join(a: np.uint64, b: np.uint64) -> np.uint64:
    """Hash of two numbers in this order."""
    return _hash((a + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)) + b


@inlined
def _fold(value: np.uint64, recent: U64, first: int, last: int) -> np.uint64:
    """Hash of what `value` stands for and the last characters from place `first` up to place `last`."""
    for k in range(first, last):
        value = _hash((value + recent[k] + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    return value


@inner
def contexts(recent: U64, orders: I64, out: U64) -> None:
    """Hashes the contexts of the next token into `out` (N,).

    After the last characters come four more. Chinese is written without spaces, so a word in the sense of letters in
    a row would be a whole clause there; after a Chinese character other characters are left out of the context
    instead. With a to d for the last characters, the newest first:

    | | after a Chinese character | elsewhere |
    |---|---|---|
    | 0 | a, c | word so far, a |
    | 1 | b, c, d | word so far, the word before, a |
    | 2 | place in the line, a | the same |
    | 3 | c | the last two tokens |
    """
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    value = np.uint64(0)
    done = 0
    for i in range(len(orders)):
        value = _fold(value, recent, done, orders[i])
        done = orders[i]
        out[i] = _hash((value + np.uint64(i + 1)) * multiplier)
    n = len(orders)
    a, b, c, d = recent[0], recent[1], recent[2], recent[3]
    if a > np.uint64(0xFFFF):  # three bytes or more in UTF-8
        first, second, fourth = _join(a, c), _join(_join(b, c), d), c
    else:
        first = _join(recent[WORD], a)
        second = _join(_join(recent[WORD], recent[PREVIOUS_WORD]), a)
        fourth = _join(recent[TOKEN], recent[PREVIOUS_TOKEN])
    third = _join(min(recent[COLUMN], np.uint64(LAST_COLUMN)), a)
    out[n] = _hash((first + np.uint64(101)) * multiplier)
    out[n + 1] = _hash((second + np.uint64(102)) * multiplier)
    out[n + 2] = _hash((third + np.uint64(103)) * multiplier)
    out[n + 3] = _hash((fourth + np.uint64(104)) * multiplier)


@inner
def _match_keys(recent: U64, followers: U32, keys: U64) -> None:
    """Hashes the contexts of MATCHES into `keys`, and begins to bring what followed them near."""
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    value = np.uint64(0)
    done = 0
    for i in range(len(MATCHES)):
        value = _fold(value, recent, done, MATCHES[i])
        done = MATCHES[i]
        keys[i] = _hash((value + np.uint64(i + 1)) * multiplier)
        prefetch(followers, np.int64(keys[i] & np.uint64(len(followers) - 1)))


@inner
def _foresee(followers: U32, keys: U64, tree: Tree, expected: I8, match: I64) -> None:
    """Looks up what followed the longest known context, and marks the decisions that lead there.

    Args:
        followers: Table of the match model.
        keys: The hash of every context of MATCHES.
        tree: The tree of tokens.
        expected: Receives, at the nodes on the path, 1 or 2 for the decision 0 or 1; 0 elsewhere.
        match: Receives the token, or -1, and the row of its cells in the table `trust`, (2,).
    """
    match[0] = -1
    for i in range(len(MATCHES)):
        entry = followers[np.int64(keys[i] & np.uint64(len(followers) - 1))]
        if entry != np.uint32(0) and entry >> np.uint32(24) == np.uint32(keys[i] >> np.uint64(56)):
            match[0] = np.int64(entry & np.uint32(MAX_FOLLOWER - 1))
            match[1] = i * RUNS + np.int64((entry >> np.uint32(20)) & np.uint32(15))
    if match[0] >= 0:
        for step in range(tree.path_offsets[match[0]], tree.path_offsets[match[0] + 1]):
            expected[tree.path[step] >> 1] = 1 + (tree.path[step] & 1)


@inner
def _forget(tree: Tree, expected: I8, match: I64) -> None:
    """Takes the marks of `_foresee` away."""
    if match[0] >= 0:
        for step in range(tree.path_offsets[match[0]], tree.path_offsets[match[0] + 1]):
            expected[tree.path[step] >> 1] = 0


@inner
def _remember(token: int, followers: U32, keys: U64) -> None:
    """Learns that `token` followed; a context is remembered once the next shorter one is."""
    if token >= MAX_FOLLOWER:
        return
    for i in range(len(keys)):
        place = np.int64(keys[i] & np.uint64(len(followers) - 1))
        entry = followers[place]
        check = np.uint32(keys[i] >> np.uint64(56))
        known = entry != np.uint32(0) and entry >> np.uint32(24) == check
        count = np.uint32(1)
        if known and np.int64(entry & np.uint32(MAX_FOLLOWER - 1)) == token:
            count = min(((entry >> np.uint32(20)) & np.uint32(15)) + np.uint32(1), np.uint32(RUNS - 1))
        followers[place] = (check << np.uint32(24)) | (count << np.uint32(20)) | np.uint32(token)
        if not known:
            return


@inlined
def _own_hash(key: np.uint64, node: np.uint64) -> np.uint64:
    """Bits 0 to 3: first place in the line; 8 to 17: check bits. The key is a good hash: its best bits will do."""
    return ((key + node) * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(40)


@inlined
def _line(context: np.uint64, group: int, lines: np.uint64) -> tuple[np.uint64, int]:
    """Key of a context for a group of nodes, and the first slot of its cache line."""
    key = _hash((context + np.uint64(group)) * np.uint64(0x9E3779B97F4A7C15))
    return key, np.int64(key & lines) * LINE


@inlined
def _prefetch_lines(group: int, hashes: U64, slots: U32) -> None:
    """Begins to bring the cache lines of all contexts for a group of nodes near."""
    lines = np.uint64(len(slots) // LINE - 1)
    for i in range(len(hashes)):
        prefetch(slots, _line(hashes[i], group, lines)[1])


@inner
def _prefetch_path(token: int, group: I32, path: I32, offsets: I64, hashes: U64, slots: U32) -> None:
    """The same for all groups on the path of a token that will be scored next."""
    before = -1
    for step in range(offsets[token], offsets[token + 1]):
        here = np.int64(group[path[step] >> 1])
        if here != before:
            _prefetch_lines(here, hashes, slots)
            before = here


@inlined
def _open_lines(group: int, hashes: U64, keys: U64, bases: I64, slots: U32, chosen: I64) -> None:
    """Finds the cache line of every context for a group of nodes; asks for all at once, to wait only once."""
    lines = np.uint64(len(slots) // LINE - 1)
    for i in range(len(hashes)):
        key, base = _line(hashes[i], group, lines)
        prefetch(slots, base)
        keys[i], bases[i] = key, base
    chosen[GROUP] = group


@inlined
def _find(slots: npt.NDArray[np.uint32], base: int, own: np.uint64) -> int:
    """Index of the slot, or -1 - index of the one to replace.

    PROBES slots from the first place on, round the line, are looked at up to the first that is empty.
    """
    start = np.int64(own & np.uint64(LINE - 1))
    masks = line_masks(slots, base, np.uint32(own >> np.uint64(8)) & np.uint32(1023))
    same, empty = masks & 0xFFFF, masks >> LINE
    probed = (1 << PROBES) - 1
    same = ((same | same << LINE) >> start) & probed
    empty = ((empty | empty << LINE) >> start) & probed
    same &= (empty & -empty) - 1
    if same:
        return base + ((start + lowest_bit(same)) & (LINE - 1))
    if empty:
        return -1 - (base + ((start + lowest_bit(empty)) & (LINE - 1)))
    worst, least = base, np.uint32(1 << 30)
    for j in range(PROBES):
        index = base + ((start + j) & (LINE - 1))
        count = (slots[index] >> np.uint32(16)) & np.uint32(63)
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
SQUASH = (1 / (1 + np.exp(CLAMP + 1 - (np.arange(24 * 128 + 1) + 0.5) / 128))).astype(np.float32)
"""Probability at the log-odds (i + 0.5) / 128 - (CLAMP + 1): exact enough to learn by, and no exponential."""


@inner
def inputs_of(n: int) -> int:
    """Inputs of the mixers for n contexts: two each, two more, and zeros up to a whole number of vectors."""
    return (2 * n + 2 + simd.WIDTH - 1) // simd.WIDTH * simd.WIDTH


@outer
def _scratch(n: int) -> tuple[U64, U64, I64, I64, I64, F32, I64, F64, U64, I64]:
    """Allocates hashes, keys, bases, found, cells, inputs, chosen, layer, match_keys, match for n contexts."""
    return (
        np.zeros(n, np.uint64),
        np.zeros(n, np.uint64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(inputs_of(n), np.float32),
        np.zeros(CHOSEN, np.int64),
        np.zeros(LAYER + 1, np.float64),
        np.zeros(len(MATCHES), np.uint64),
        np.zeros(2, np.int64),
    )


# The arrays are passed one by one and whole: taking them out of a tuple, or a slice, counts references every time.


@inner
def _predict(
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
    """Probability that the decision at `node` is 1; leaves in the last six arrays what `_update` needs."""
    n = len(hashes)
    place = np.uint64(node)
    if chosen[GROUP] != group[node]:
        _open_lines(group[node], hashes, keys, bases, slots, chosen)
    # The curves of secondary estimation come near meanwhile.
    place_and_last = _hash(
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
def _update(
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
    """Learns that the decision at `node` was `bit`, after `_predict`."""
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


@inlined
def _standing(chosen: I64) -> np.int16:
    """What the longest known context of a decision was: its place among the orders, or after them the match.

    Four kinds of match (by how often the token has followed in a row) for each of MATCHES.
    """
    return np.int16((chosen[2] - NODE_SETS - BYTE_SETS) // 8)


@inner
def _score_path(
    token: int, last: np.uint64, num_orders: int, depth: I32, group: I32, path: I32, offsets: I64, slots: U32,
    calibration: F32, mixers: F32, final: F32, trust: F32, refinement: F32, expected: I8, match: I64, hashes: U64,
    keys: U64, bases: I64, found: I64, cells: I64, inputs: F32, chosen: I64, layer: F64, learn: bool, rate: float,
    ones: F64, standing: I16, place: int,
) -> tuple[float, int]:  # fmt: skip
    """Scores the decisions on a token's path, learning from each after it if `learn`.

    Returns:
        Their nats, and how many contexts were known at the first one. `ones` and `standing`, unless empty, receive
        from `place` on what `run_decisions` says.
    """
    nats, known = 0.0, 0
    first = offsets[token]
    for step in range(first, offsets[token + 1]):
        node, bit = np.int64(path[step] >> 1), np.int64(path[step] & 1)
        p = _predict(
            node, last, num_orders, depth, group, slots, calibration, mixers, final, trust, refinement,
            expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer,
        )  # fmt: skip
        nats -= math.log(p if bit == 1 else 1.0 - p)
        if step == first:
            known = chosen[SEEN]
        if len(ones):
            ones[place + step - first] = p
            standing[place + step - first] = _standing(chosen)
        if learn:
            _update(
                node, bit, rate, slots, calibration, mixers, final, trust, refinement,
                expected, keys, found, cells, inputs, chosen, layer,
            )  # fmt: skip
    return nats, known


@outer
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
    return run_decisions(
        ids, recent, orders, tree, t, learn, rate, np.zeros(0, np.float64), np.zeros(0, np.int16)
    )


@outer
def run_decisions(
    ids: I64,
    recent: U64,
    orders: I64,
    tree: Tree,
    t: Tables,
    learn: bool,
    rate: float,
    ones: F64,
    standing: I16,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores tokens as `run` does, and tells what was predicted at each decision on their paths.

    Args:
        ids: See `run`; so are `recent`, `orders`, `tree`, `t`, `learn` and `rate`.
        recent: Vector of recent text.
        orders: Characters in each context.
        tree: The tree of tokens.
        t: Tables.
        learn: Whether to learn.
        rate: Learning rate of the mixers.
        ones: Receives the probability that each decision is 1, for all paths joined (D,); empty when not wanted.
        standing: Receives what the longest known context was, see `_standing`, (D,); empty when not wanted.

    Returns:
        See `run`.
    """
    nats = np.zeros(len(ids), np.float64)
    known = np.zeros(len(ids), np.int64)
    depth, group, path, offsets = tree.depth, tree.group, tree.path, tree.path_offsets
    slots, calibration, mixers, final = t.slots, t.calibration, t.mixers, t.final
    trust, refinement, followers = t.trust, t.refinement, t.followers
    hashes, keys, bases, found, cells, inputs, chosen, layer, match_keys, match = _scratch(
        len(orders) + EXTRA
    )
    expected = np.zeros(len(depth), np.int8)
    next_hashes, next_keys = hashes.copy(), match_keys.copy()
    place = 0
    if len(ids):
        contexts(recent, orders, hashes)
        _match_keys(recent, followers, match_keys)
    for position in range(len(ids)):
        token, last = ids[position], recent[0]
        _foresee(followers, match_keys, tree, expected, match)
        push(recent, token, tree)
        if position + 1 < len(ids):  # the next token is known: what it needs comes while this one is scored
            contexts(recent, orders, next_hashes)
            _match_keys(recent, followers, next_keys)
            _prefetch_path(ids[position + 1], group, path, offsets, next_hashes, slots)
        chosen[GROUP] = -1
        nats[position], known[position] = _score_path(
            token, last, len(orders), depth, group, path, offsets, slots, calibration, mixers, final, trust,
            refinement, expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer, learn, rate, ones,
            standing, place,
        )  # fmt: skip
        if len(ones):
            place += offsets[token + 1] - offsets[token]
        _forget(tree, expected, match)
        if learn:
            _remember(token, followers, match_keys)
        hashes, next_hashes = next_hashes, hashes
        match_keys, next_keys = next_keys, match_keys
    return nats, known


@inner
def read(ids: I64, recent: U64, tree: Tree) -> None:
    """Appends tokens (N,) to the vector of recent text, in place."""
    for token in ids:
        push(recent, token, tree)


@outer
def read_and_predict(
    ids: I64, recent: U64, orders: I64, tree: Tree, t: Tables, out: F32, known: I64, standing: I16
) -> None:
    """Predicts after each token read.

    Args:
        ids: Tokens (N,).
        recent: Vector of recent text (RECENT,), updated in place.
        orders: Characters in each context, ascending.
        tree: The tree of tokens.
        t: Tables.
        out: Receives the log-probabilities of all tokens after each of `ids`, float32 (at least N, V).
        known: Receives how many contexts are known at the first decision (at least N,).
        standing: Receives what the longest known context was at every node (N, V - 1); of no rows when not wanted.
    """
    depth, group, children = tree.depth, tree.group, tree.children
    slots, calibration, mixers, final = t.slots, t.calibration, t.mixers, t.final
    trust, refinement, followers = t.trust, t.refinement, t.followers
    hashes, keys, bases, found, cells, inputs, chosen, layer, match_keys, match = _scratch(
        len(orders) + EXTRA
    )
    expected = np.zeros(len(depth), np.int8)
    above = np.zeros(len(depth), np.float64)
    for position in range(len(ids)):
        push(recent, ids[position], tree)
        contexts(recent, orders, hashes)
        _match_keys(recent, followers, match_keys)
        _foresee(followers, match_keys, tree, expected, match)
        chosen[GROUP] = -1
        for node in tree.order:  # parents come before their children
            if chosen[GROUP] != group[node] and tree.next_group[node] >= 0:
                _prefetch_lines(tree.next_group[node], hashes, slots)
            p = _predict(
                node, recent[0], len(orders), depth, group, slots, calibration, mixers, final, trust, refinement,
                expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer,
            )  # fmt: skip
            if node == 0:
                known[position] = chosen[SEEN]
            if len(standing):
                standing[position, node] = _standing(chosen)
            for bit in range(2):
                value = above[node] + math.log(p if bit == 1 else 1.0 - p)
                child = children[node, bit]
                if child < 0:
                    out[position, -1 - child] = value
                else:
                    above[child] = value
        _forget(tree, expected, match)


@inner
def _enter(heap: F64, places: I64, size: int, value: float, place: int) -> None:
    """Puts an entry into a heap of `size` entries, the greatest on top."""
    at = size
    while at > 0:
        above = (at - 1) // 2
        if heap[above] >= value:
            break
        heap[at], places[at] = heap[above], places[above]
        at = above
    heap[at], places[at] = value, place


@inner
def _leave(heap: F64, places: I64, size: int) -> None:
    """Takes the greatest entry out of a heap of `size` entries."""
    value, place = heap[size - 1], places[size - 1]
    last = size - 1
    at = 0
    while True:
        below = 2 * at + 1
        if below >= last:
            break
        if below + 1 < last and heap[below + 1] > heap[below]:
            below += 1
        if heap[below] <= value:
            break
        heap[at], places[at] = heap[below], places[below]
        at = below
    heap[at], places[at] = value, place


@outer
def likeliest(
    ids: I64,
    recent: U64,
    orders: I64,
    tree: Tree,
    t: Tables,
    learn: bool,
    rate: float,
    share: float,
    top: I32,
    probabilities: F32,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Does what `run` does, and names before each token the likeliest ones, without asking about all the others.

    The probability of a token is the product of the decisions on the way to its leaf, so no leaf below a node is
    likelier than the node. Opening the likeliest node first therefore gives the tokens in the order of their
    probability (best-first search) after a small part of all decisions.

    Args:
        ids: See `run`; so are `recent`, `orders`, `tree`, `t`, `learn` and `rate`.
        recent: Vector of recent text.
        orders: Characters in each context.
        tree: The tree of tokens.
        t: Tables.
        learn: Whether to learn.
        rate: Learning rate of the mixers.
        share: The search ends when the tokens found have this much of the probability.
        top: Receives the likeliest tokens, the likeliest first (N, K); what is not needed stays as it is.
        probabilities: Receives their probabilities (N, K); what is not needed stays as it is.

    Returns:
        See `run`.
    """
    nats = np.zeros(len(ids), np.float64)
    known = np.zeros(len(ids), np.int64)
    depth, group, children = tree.depth, tree.group, tree.children
    path, offsets = tree.path, tree.path_offsets
    slots, calibration, mixers, final = t.slots, t.calibration, t.mixers, t.final
    trust, refinement, followers = t.trust, t.refinement, t.followers
    hashes, keys, bases, found, cells, inputs, chosen, layer, match_keys, match = _scratch(
        len(orders) + EXTRA
    )
    expected = np.zeros(len(depth), np.int8)
    heap = np.zeros(len(depth) + 2, np.float64)
    places = np.zeros(len(depth) + 2, np.int64)
    ones, standing = np.zeros(0, np.float64), np.zeros(0, np.int16)  # not wanted
    most = top.shape[1]
    for position in range(len(ids)):
        token = ids[position]
        contexts(recent, orders, hashes)
        _match_keys(recent, followers, match_keys)
        _foresee(followers, match_keys, tree, expected, match)
        chosen[GROUP] = -1
        heap[0], places[0] = 1.0, 0 if len(depth) else -1  # a tree of one token is its leaf
        size, count, covered = 1, 0, 0.0
        while size > 0 and count < most and covered < share:
            value, place = heap[0], places[0]
            _leave(heap, places, size)
            size -= 1
            if place < 0:
                top[position, count] = -1 - place
                probabilities[position, count] = value
                covered += value
                count += 1
                continue
            p = _predict(
                place, recent[0], len(orders), depth, group, slots, calibration, mixers, final, trust, refinement,
                expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer,
            )  # fmt: skip
            _enter(heap, places, size, value * (1.0 - p), children[place, 0])
            _enter(heap, places, size + 1, value * p, children[place, 1])
            size += 2
        nats[position], known[position] = _score_path(
            token, recent[0], len(orders), depth, group, path, offsets, slots, calibration, mixers, final, trust,
            refinement, expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer, learn, rate, ones,
            standing, 0,
        )  # fmt: skip
        _forget(tree, expected, match)
        if learn:
            _remember(token, followers, match_keys)
        push(recent, token, tree)
    return nats, known
