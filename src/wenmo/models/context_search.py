"""The likeliest tokens of an n-gram model, without asking it about all the others.

The probability of a token is the product of the decisions on the way to its leaf, so no leaf below a node is
likelier than the node. Opening the likeliest node first therefore gives the tokens in order of their probability
(best-first search), and a text's next token is mostly found among a few dozen of some thousand decisions.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import numpy.typing as npt

from .context_mixing import (
    EXTRA,
    F32,
    F64,
    GROUP,
    I32,
    I64,
    SEEN,
    U64,
    _foresee,
    _forget,
    _predict,
    _remember,
    _scratch,
    _update,
    contexts,
    push,
)
from .mixing_tables import Tables
from .token_tree import Tree


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
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
    """Predicts every token of a text before reading it, and may learn from each after it.

    The same as `context_mixing.run`, with the likeliest tokens at every place beside the score.

    Args:
        ids: Tokens (N,).
        recent: Vector of recent text (RECENT,), updated in place.
        orders: Characters in each context, ascending.
        tree: The tree of tokens.
        t: Tables, updated in place if `learn`.
        learn: Whether to learn.
        rate: Learning rate of the mixers.
        share: The search ends when the tokens found have this much of the probability.
        top: Receives the likeliest tokens, the likeliest first (N, K); what is not needed stays as it is.
        probabilities: Receives their probabilities (N, K); what is not needed stays as it is.

    Returns:
        Nats of every token, float64 (N,), and how many contexts were known at its first decision, int64 (N,).
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
    most = top.shape[1]
    for position in range(len(ids)):
        token = ids[position]
        contexts(recent, orders, hashes)
        _foresee(recent, followers, match_keys, tree, expected, match)
        chosen[GROUP] = -1
        heap[0], places[0] = 1.0, 0
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
        for step in range(offsets[token], offsets[token + 1]):
            node, bit = np.int64(path[step] >> 1), np.int64(path[step] & 1)
            p = _predict(
                node, recent[0], len(orders), depth, group, slots, calibration, mixers, final, trust, refinement,
                expected, match, hashes, keys, bases, found, cells, inputs, chosen, layer,
            )  # fmt: skip
            nats[position] -= math.log(p if bit == 1 else 1.0 - p)
            if step == offsets[token]:
                known[position] = chosen[SEEN]
            if learn:
                _update(
                    node, bit, rate, slots, calibration, mixers, final, trust, refinement,
                    expected, keys, found, cells, inputs, chosen, layer,
                )  # fmt: skip
        _forget(tree, expected, match)
        if learn:
            _remember(token, followers, match_keys)
        push(recent, token, tree)
    return nats, known
