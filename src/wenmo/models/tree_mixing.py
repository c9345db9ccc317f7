"""Logistic mixing of language models over a binary tree of tokens: the compiled kernels.

Every member's distribution is turned into the probabilities of the decisions on a token's path: what it gives to the
tokens behind a 1, divided by what it gives to all tokens below the node. The members' log-odds at a decision are added
with weights, a product of experts at every node, and the weights are learned by gradient descent on the coding cost, as
in PAQ (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005). The product along the path
is a proper distribution over tokens without any normalisation.

Five sets of weights, each chosen by something else that is known before the decision, make five predictions, which are
mixed once more: what the n-gram model's longest known context was, the node, the first neural model's entropy with the
number of known contexts, the last byte, and how much the recent text says.

All compiled functions stand in this one file: numba keeps what it compiled until the file of the outermost function
changes.
"""

# numba has no types, and its integers are of NumPy's kinds.
# mypy: disable-error-code="untyped-decorator,no-any-return,return-value,assignment,arg-type"

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from .array_types import F32, F64, I8, I16, I32, I64

STANDINGS, DEPTHS, NODES, ENTROPIES, KNOWN, BYTES, SUPPORTS = 48, 8, 1024, 8, 26, 256, 10
"""How many of each are told apart: longest known contexts, depths, nodes, bands of entropy, numbers of known contexts,
last bytes, and bands of what the recent text says."""
SETS = 5
FIRST_ROWS = (
    0,
    STANDINGS * DEPTHS,
    STANDINGS * DEPTHS + NODES,
    STANDINGS * DEPTHS + NODES + ENTROPIES * KNOWN * 3,
    STANDINGS * DEPTHS + NODES + ENTROPIES * KNOWN * 3 + BYTES,
)
"""First row of each set in the matrix of weights."""
ROWS = FIRST_ROWS[-1] + SUPPORTS * DEPTHS
ENTROPY_BANDS = (0.3, 0.7, 1.2, 1.8, 2.4, 3.0, 3.8)
"""Nats between the bands."""
BIAS = 0.3
CLAMP = 12.0
"""Largest absolute log-odds."""
LEAST_EVIDENCE = 0.005
"""What is added to what the recent text says for and against a decision: half a hundredth of a token like this one."""


def entropy_bands(logs: F32, probabilities: F32) -> I8:
    """The band of the entropy of each distribution, int8 (n,), from its logarithms and itself (n, V)."""
    return bands_of(-(np.maximum(logs, -100.0) * probabilities).sum(-1))


def bands_of(entropies: F32) -> I8:
    """The bands of entropies, int8 (n,)."""
    return np.searchsorted(ENTROPY_BANDS, entropies, side="right").astype(np.int8)


@nb.njit(cache=True, nogil=True)
def _odds(one: float, zero: float) -> float:
    """Log-odds, clamped."""
    return min(max(math.log(one + 1e-300) - math.log(zero + 1e-300), -CLAMP), CLAMP)


@nb.njit(cache=True, nogil=True)
def _fill_rows(
    out: I32, standing: int, depth: int, node: int, entropy: int, known: int, last: int, support: float
) -> None:
    """Rows of the weights (SETS,) for a decision."""
    shallow = min(depth, DEPTHS - 1)
    band = 0
    if support > 0.003:
        band = 1 + min(SUPPORTS - 2, int((math.log(support) - math.log(0.003)) / 1.15))
    out[0] = FIRST_ROWS[0] + min(standing, STANDINGS - 1) * DEPTHS + shallow
    out[1] = FIRST_ROWS[1] + min(node, NODES - 1)
    out[2] = FIRST_ROWS[2] + (entropy * KNOWN + min(known, KNOWN - 1)) * 3 + min(depth, 2)
    out[3] = FIRST_ROWS[3] + last
    out[4] = FIRST_ROWS[4] + band * DEPTHS + shallow


@nb.njit(cache=True, nogil=True)
def path_odds(
    first: int, last: int, part: int, probabilities: F32, ids: I64, order: I64, middle: I64, path: I32,
    offsets: I64, places: I64, out: F32,
) -> None:  # fmt: skip
    """Turns distributions into log-odds of the decisions on the tokens' paths.

    Args:
        first: The first of the tokens.
        last: The one after the last.
        part: Not used; see `loop_dispatch.divided`.
        probabilities: Of all tokens (n, V).
        ids: The tokens (n,).
        order: Tokens in the order of their ranks (V,); see `token_tree.Tree`.
        middle: First rank behind a 1 at each node.
        path: The paths of all tokens, joined; see `token_tree.Tree`.
        offsets: Where each token's path begins.
        places: Where the first decision of each token stands in `out` (n,).
        out: Receives the log-odds of 1 (D,).
    """
    size = probabilities.shape[1]
    ranked = np.zeros(size, np.float32)
    for i in range(first, last):
        place = places[i]
        for rank in range(size):
            ranked[rank] = probabilities[i, order[rank]]
        low, high = 0, size
        for step in range(offsets[ids[i]], offsets[ids[i] + 1]):
            cut = middle[path[step] >> 1]
            out[place] = _odds(_total(ranked, cut, high), _total(ranked, low, cut))
            low, high = (cut, high) if path[step] & 1 else (low, cut)
            place += 1


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def mean_logits(first: int, last: int, part: int, probabilities: F32, logits: F32, out: F32) -> None:
    """The mean of each row of logits (n, V) under its probabilities (n, V), into `out` (n,), of the rows from `first`.

    `part` is not used; see `loop_dispatch.divided`.
    """
    for i in range(first, last):
        total = np.float32(0.0)
        for token in range(logits.shape[1]):
            total += probabilities[i, token] * logits[i, token]
        out[i] = total


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _total(values: F32, low: int, high: int) -> float:
    """Sum of values[low:high], in any order, so that it runs on vectors."""
    total = np.float32(0.0)
    for index in range(low, high):
        total += values[index]
    return total


@nb.njit(cache=True, nogil=True)
def _masses(probabilities: F32, children: I32, mass: F64) -> None:
    """Probability of all tokens below each node, into `mass` (V - 1,)."""
    for node in range(len(children) - 1, -1, -1):  # children come after their parents
        zero, one = children[node, 0], children[node, 1]
        below = float(probabilities[-1 - zero]) if zero < 0 else mass[zero]
        above = float(probabilities[-1 - one]) if one < 0 else mass[one]
        mass[node] = below + above


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _split_sums(kernel: F32, ranks: I32, low: int, middle: int, high: int) -> tuple[float, float]:
    """Sums of a kernel (K,) over ranks from `low` to `middle`, and from there to `high`.

    Without branches, and in any order, so that it runs on vectors.
    """
    zero, one, none = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    low, middle, high = np.int32(low), np.int32(middle), np.int32(high)
    for k in range(len(ranks)):
        rank, alike = ranks[k], kernel[k]
        zero += alike if (rank >= low) & (rank < middle) else none
        one += alike if (rank >= middle) & (rank < high) else none
    return zero, one


@nb.njit(cache=True, nogil=True)
def add_evidence(
    kernels: F32, first_query: int, first_key: int, reach: int, ids: I64, path: I32, offsets: I64, ranks: I32,
    middle: I64, sums: F64,
) -> None:  # fmt: skip
    """Adds up what followed similar places of the recent text, for the decisions on the tokens' paths.

    Args:
        kernels: How alike place first_query + q and place first_key + k are, from 0 to 1, in S senses (S, Q, K).
        first_query: Token that the first row predicts.
        first_key: Token that followed the first column's place.
        reach: Tokens back that are looked at.
        ids: The stream (N,).
        path: See `token_tree.Tree`; so is `offsets`.
        offsets: Where each token's path begins.
        ranks: Rank of each token of the stream (N,); see `token_tree.Tree`.
        middle: First rank behind a 1 at each node.
        sums: Receives the sums of the kernels over the tokens behind a 0, and behind a 1 (D, 2, S).
    """
    place = 0
    senses, queries, keys = kernels.shape
    for q in range(queries):
        token = first_query + q
        start, end = offsets[ids[token]], offsets[ids[token] + 1]
        first, last = max(0, token - reach - first_key), min(keys, token - first_key)
        followers = ranks[first_key + first : first_key + last]
        low, high = 0, len(middle) + 1
        for step in range(start, end):
            cut = middle[path[step] >> 1]
            for s in range(senses):
                sums[place, 0, s], sums[place, 1, s] = _split_sums(
                    kernels[s, q, first:last], followers, low, cut, high
                )
            low, high = (cut, high) if path[step] & 1 else (low, cut)
            place += 1


@nb.njit(cache=True, nogil=True)
def evidence_odds(sums: F64) -> F32:
    """Log-odds (D, S) of what `add_evidence` added up (D, 2, S)."""
    out = np.zeros((len(sums), sums.shape[2]), np.float32)
    for d in range(len(sums)):
        for s in range(sums.shape[2]):
            out[d, s] = _odds(sums[d, 1, s] + LEAST_EVIDENCE, sums[d, 0, s] + LEAST_EVIDENCE)
    return out


@nb.njit(cache=True, nogil=True)
def path_rows(
    ids: I64,
    last: I64,
    bands: I8,
    known: I64,
    standing: I16,
    support: F64,
    depth: I32,
    path: I32,
    offsets: I64,
) -> tuple[I32, I8]:
    """Rows of the weights for each decision (D, SETS), and the decisions (D,)."""
    rows = np.zeros((len(standing), SETS), np.int32)
    bits = np.zeros(len(standing), np.int8)
    place = 0
    for i in range(len(ids)):
        for step in range(offsets[ids[i]], offsets[ids[i] + 1]):
            node = path[step] >> 1
            bits[place] = path[step] & 1
            _fill_rows(
                rows[place], standing[place], depth[node], node, bands[i], known[i], last[i], support[place]
            )
            place += 1
    return rows, bits


@nb.njit(cache=True, nogil=True)
def _mixed(odds: F32, rows: I32, weights: F64, final: F64, dots: F64) -> float:
    """Log-odds of a decision; leaves those of each set in `dots`."""
    total = 0.0
    inputs = len(odds)
    for k in range(SETS):
        row = rows[k]
        dot = weights[row, inputs] * BIAS
        for i in range(inputs):
            dot += weights[row, i] * odds[i]
        dots[k] = min(max(dot, -CLAMP), CLAMP)
        total += final[rows[0] // DEPTHS, k] * dots[k]
    return min(max(total, -CLAMP), CLAMP)


@nb.njit(cache=True, nogil=True)
def mix_paths(
    odds: F32, bits: I8, rows: I32, weights: F64, final: F64, rate: float, final_rate: float, fall: float
) -> F64:
    """Nats of every decision (D,), learning from each after it.

    Args:
        odds: Log-odds of 1 under each input (D, I).
        bits: The decisions (D,).
        rows: Row of the weights in each set (D, SETS).
        weights: Weights of the inputs and the bias (ROWS, I + 1), updated in place.
        final: Weights of the sets, by standing (STANDINGS, SETS), updated in place.
        rate: Learning rate of the weights; 0 leaves them as they are.
        final_rate: Learning rate of the weights of the sets.
        fall: Share of both rates that is gone at the last decision, falling evenly.
    """
    count, inputs = odds.shape
    nats = np.zeros(count)
    dots = np.zeros(SETS)
    for d in range(count):
        p = 1.0 / (1.0 + math.exp(-_mixed(odds[d], rows[d], weights, final, dots)))
        nats[d] = -math.log(p if bits[d] == 1 else 1.0 - p)
        if rate == 0.0 and final_rate == 0.0:
            continue
        stage = rows[d, 0] // DEPTHS
        left = 1.0 - fall * d / count
        for k in range(SETS):
            final[stage, k] += left * final_rate * (bits[d] - p) * dots[k]
            step = left * rate * (bits[d] - 1.0 / (1.0 + math.exp(-dots[k])))
            row = rows[d, k]
            for i in range(inputs):
                weights[row, i] += step * odds[d, i]
            weights[row, inputs] += step * BIAS
    return nats


@nb.njit(cache=True, nogil=True)
def mix_positions(
    probabilities: F32, bands: I8, kernel: F32, followers: I64, first: int, reach: int, last: I64, known: I64,
    standing: I16, children: I32, depth: I32, weights: F64, final: F64, out: F32,
) -> None:  # fmt: skip
    """Mixes whole distributions.

    Args:
        probabilities: Under each member (M, T, V).
        bands: Band of the entropy that chooses weights (T,).
        kernel: How alike position t and each earlier place are, under each sharpness (S, T, K).
        followers: The token that followed each of the earlier places (K,).
        first: Earlier places that the first position may look at; each later position sees one more.
        reach: Earlier places that a position looks back at.
        last: Last byte read (T,).
        known: Known contexts (T,).
        standing: Standing of the longest known context at each node (T, V - 1).
        children: See `token_tree.Tree`; so is `depth`.
        depth: Decisions above each node.
        weights: See `mix_paths`; so is `final`.
        final: Weights of the sets.
        out: Receives the log-probabilities of all tokens (T, V).
    """
    members, positions, size = probabilities.shape
    sharpnesses = len(kernel)
    nodes = len(children)
    mass = np.zeros((members, max(nodes, 1)))
    token_sums, node_sums = np.zeros((sharpnesses, size)), np.zeros((sharpnesses, max(nodes, 1)))
    odds = np.zeros(members + sharpnesses, np.float32)
    rows, dots = np.zeros(SETS, np.int32), np.zeros(SETS)
    above = np.zeros(max(nodes, 1))
    for t in range(positions):
        for m in range(members):
            _masses(probabilities[m, t], children, mass[m])
        token_sums[:] = 0.0
        for s in range(sharpnesses):
            for k in range(max(0, first + t - reach), first + t):
                token_sums[s, followers[k]] += kernel[s, t, k]
            for node in range(nodes - 1, -1, -1):
                total = 0.0
                for bit in range(2):
                    child = children[node, bit]
                    total += token_sums[s, -1 - child] if child < 0 else node_sums[s, child]
                node_sums[s, node] = total
        above[0] = 0.0
        for node in range(nodes):
            zero, one = children[node, 0], children[node, 1]
            for m in range(members):
                p1 = probabilities[m, t, -1 - one] if one < 0 else mass[m, one]
                p0 = probabilities[m, t, -1 - zero] if zero < 0 else mass[m, zero]
                odds[m] = _odds(p1, p0)
            for s in range(sharpnesses):
                c1 = token_sums[s, -1 - one] if one < 0 else node_sums[s, one]
                c0 = token_sums[s, -1 - zero] if zero < 0 else node_sums[s, zero]
                odds[members + s] = _odds(c1 + LEAST_EVIDENCE, c0 + LEAST_EVIDENCE)
            support = node_sums[0, node] if sharpnesses else 0.0
            _fill_rows(rows, standing[t, node], depth[node], node, bands[t], known[t], last[t], support)
            p = 1.0 / (1.0 + math.exp(-_mixed(odds, rows, weights, final, dots)))
            for bit in range(2):
                value = above[node] + math.log(p if bit == 1 else 1.0 - p)
                child = children[node, bit]
                if child < 0:
                    out[t, -1 - child] = value
                else:
                    above[child] = value
