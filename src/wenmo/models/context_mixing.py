"""Context mixing over a binary tree of tokens: what the n-gram model calls of its compiled functions.

A token is the path of binary decisions that leads to its leaf. Every decision is predicted in each context by an
adaptive probability, and these predictions are combined in the logistic domain by gated linear mixing, as in
PAQ (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005). The product along the
path is the token's probability, so the distribution over all tokens sums to 1 by construction.

Two more parts come from the same family of compressors. A match model remembers which token followed each long
context, and how often in a row, and predicts the decisions that lead to it. Secondary estimation replaces the mixed
probability by what came true when it was last about as high after the same character.

The parts stand in files of their own: `recent_text` (contexts), `slots` (their counts), `match_model`, and `decisions`
(mixing and learning).
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from wenmo.compiled import inner, outermost

from .decisions import CHOSEN, GROUP, LAYER, SEEN, inputs_of, predict, score_path, standing_of
from .match_model import MATCHES, foresee, forget, match_keys_of, remember
from .recent_text import EXTRA, contexts, push
from .slots import prefetch_lines, prefetch_path

if TYPE_CHECKING:
    from .array_types import F32, F64, I16, I32, I64, U64
    from .mixing_tables import Tables
    from .token_tree import Tree

PARTS = {
    "compiled": "b0595e14fad8",
    "decisions": "f898d912992f",
    "match_model": "730984007519",
    "recent_text": "010da8027d1a",
    "simd": "db442df7db11",
    "slots": "7d82fa79a076",
}
"""Digests of the files whose functions are compiled into those of this one: it must change when they do, for numba to
compile it anew (see `compiled`). A test compares them."""

_inputs_of = inner(inputs_of)


@outermost
def _scratch(n: int) -> tuple[U64, U64, I64, I64, I64, F32, I64, F64, U64, I64]:
    """Allocates hashes, keys, bases, found, cells, inputs, chosen, layer, match_keys, match for n contexts."""
    return (
        np.zeros(n, np.uint64),
        np.zeros(n, np.uint64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(_inputs_of(n), np.float32),
        np.zeros(CHOSEN, np.int64),
        np.zeros(LAYER + 1, np.float64),
        np.zeros(len(MATCHES), np.uint64),
        np.zeros(2, np.int64),
    )


@outermost
def run(
    ids: I64, recent: U64, orders: I64, tree: Tree, t: Tables, learn: bool, rate: float
) -> tuple[F64, I64]:
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


@outermost
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
) -> tuple[F64, I64]:
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
        standing: Receives what the longest known context was, see `standing_of`, (D,); empty when not wanted.

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
        match_keys_of(recent, followers, match_keys)
    for position in range(len(ids)):
        token, last = ids[position], recent[0]
        foresee(followers, match_keys, tree, expected, match)
        push(recent, token, tree)
        if position + 1 < len(ids):  # the next token is known: what it needs comes while this one is scored
            contexts(recent, orders, next_hashes)
            match_keys_of(recent, followers, next_keys)
            prefetch_path(ids[position + 1], group, path, offsets, next_hashes, slots)
        chosen[GROUP] = -1
        nats[position], known[position] = score_path(
            token, last, len(orders), depth, group, path, offsets, slots, calibration, mixers, final, trust,
            refinement, expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer, learn, rate, ones,
            standing, place,
        )  # fmt: skip
        if len(ones):
            place += offsets[token + 1] - offsets[token]
        forget(tree, expected, match)
        if learn:
            remember(token, followers, match_keys)
        hashes, next_hashes = next_hashes, hashes
        match_keys, next_keys = next_keys, match_keys
    return nats, known


@outermost
def read(ids: I64, recent: U64, tree: Tree) -> None:
    """Appends tokens (N,) to the vector of recent text, in place."""
    for token in ids:
        push(recent, token, tree)


@outermost
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
        match_keys_of(recent, followers, match_keys)
        foresee(followers, match_keys, tree, expected, match)
        chosen[GROUP] = -1
        for node in tree.order:  # parents come before their children
            if chosen[GROUP] != group[node] and tree.next_group[node] >= 0:
                prefetch_lines(tree.next_group[node], hashes, slots)
            p = predict(
                node, recent[0], len(orders), depth, group, slots, calibration, mixers, final, trust, refinement,
                expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer,
            )  # fmt: skip
            if node == 0:
                known[position] = chosen[SEEN]
            if len(standing):
                standing[position, node] = standing_of(chosen)
            for bit in range(2):
                value = above[node] + math.log(p if bit == 1 else 1.0 - p)
                child = children[node, bit]
                if child < 0:
                    out[position, -1 - child] = value
                else:
                    above[child] = value
        forget(tree, expected, match)


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


@outermost
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
) -> tuple[F64, I64]:
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
        match_keys_of(recent, followers, match_keys)
        foresee(followers, match_keys, tree, expected, match)
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
            p = predict(
                place, recent[0], len(orders), depth, group, slots, calibration, mixers, final, trust, refinement,
                expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer,
            )  # fmt: skip
            _enter(heap, places, size, value * (1.0 - p), children[place, 0])
            _enter(heap, places, size + 1, value * p, children[place, 1])
            size += 2
        nats[position], known[position] = score_path(
            token, recent[0], len(orders), depth, group, path, offsets, slots, calibration, mixers, final, trust,
            refinement, expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer, learn, rate, ones,
            standing, 0,
        )  # fmt: skip
        forget(tree, expected, match)
        if learn:
            remember(token, followers, match_keys)
        push(recent, token, tree)
    return nats, known
