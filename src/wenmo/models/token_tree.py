"""A binary tree over a vocabulary in the order of the tokens' bytes, with frequent tokens near the root."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BAND = 3
"""Levels of nodes whose slots share a cache line."""


class Tree(NamedTuple):
    """V leaves and V - 1 nodes; parents are numbered before their children."""

    children: npt.NDArray[np.int32]
    """Node, or -1 - token, after a 0 and after a 1 (V - 1, 2)."""
    depth: npt.NDArray[np.int32]
    """Decisions above each node (V - 1,)."""
    group: npt.NDArray[np.int32]
    """Ancestor whose cache line holds the node's slots (V - 1,)."""
    order: npt.NDArray[np.int64]
    """The nodes, those of a group one after the other, parents before their children (V - 1,)."""
    next_group: npt.NDArray[np.int32]
    """The group after that of each node in this order, or -1 (V - 1,)."""
    path: npt.NDArray[np.int32]
    """2 * node + bit along the paths of all tokens, joined."""
    path_offsets: npt.NDArray[np.int64]
    """Beginning of each token's path (V + 1,)."""
    bytes: npt.NDArray[np.uint8]
    """Bytes of all tokens, joined."""
    byte_offsets: npt.NDArray[np.int64]
    """Beginning of each token's bytes (V + 1,)."""
    rank: npt.NDArray[np.int64]
    """Number of each token from left to right (V,)."""
    middle: npt.NDArray[np.int64]
    """First rank behind a 1 at each node (V - 1,): of the tokens below it, those of this rank or a higher one are."""


def shape(token_bytes: list[bytes], counts: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int32]:
    """Shapes the tree: tokens sorted by bytes, each stretch of them cut where its halves weigh most nearly the same.

    The depth of a token is within 2 of its ideal code length (Mehlhorn, "Nearly optimal binary search trees",
    1975), while similar tokens stay together.

    Args:
        token_bytes: Bytes of each token.
        counts: How often each token occurs (V,); equally often when None.

    Returns:
        Children of the nodes, int32 (V - 1, 2), parents first.
    """
    order = np.array(sorted(range(len(token_bytes)), key=lambda token: token_bytes[token]), np.int64)
    frequency = np.ones(len(order)) if counts is None else counts[order] + 0.05
    weights = np.concatenate([[0.0], np.cumsum(frequency)])
    children = np.zeros((max(len(order) - 1, 0), 2), np.int32)
    pending = [(0, len(order), -1, 0)]
    made = 0
    for low, high, parent, bit in pending:  # grows while it is read
        if high - low == 1:
            if parent >= 0:
                children[parent, bit] = -1 - order[low]
            continue
        if parent >= 0:
            children[parent, bit] = made
        middle = (weights[low] + weights[high]) / 2
        cut = int(np.searchsorted(weights, middle))
        if cut > low + 1 and middle - weights[cut - 1] <= weights[min(cut, high)] - middle:
            cut -= 1
        cut = min(max(cut, low + 1), high - 1)
        pending.append((low, cut, made, 0))
        pending.append((cut, high, made, 1))
        made += 1
    return children


def check_children(children: npt.NDArray[np.int32], vocab_size: int) -> None:
    """Refuses what is not the shape of a tree over a vocabulary.

    Args:
        children: Children of the nodes, from a file.
        vocab_size: Number of tokens V.

    Raises:
        ValueError: When it is not int32 (V - 1, 2), or a token or a node but the first is not there exactly once,
            below a node of a lower number.
    """
    nodes = vocab_size - 1
    if children.dtype != np.int32 or children.shape != (nodes, 2):
        raise ValueError(f"tensor children is not int32 of shape {(nodes, 2)}")
    below = (
        np.delete(np.arange(-vocab_size, nodes), vocab_size) if nodes else np.zeros(0)
    )  # the first is the root
    ordered = (children < 0) | (children > np.arange(nodes)[:, None])
    if not (np.array_equal(np.sort(children, axis=None), below) and ordered.all()):
        raise ValueError("tensor children is not a tree of the vocabulary")


def build(token_bytes: list[bytes], children: npt.NDArray[np.int32]) -> Tree:
    """Derives from the shape what the kernels need."""
    nodes, vocab_size = len(children), len(token_bytes)
    depth = np.zeros(nodes, np.int32)
    group = np.zeros(nodes, np.int32)
    paths: list[list[int]] = [[] for _ in range(vocab_size)]
    above: list[list[int]] = [[] for _ in range(nodes)]
    for node in range(nodes):
        level = depth[node]
        if level % BAND == 0:
            group[node] = node
        for bit in range(2):
            child = int(children[node, bit])
            path = [*above[node], 2 * node + bit]
            if child < 0:
                paths[-1 - child] = path
            else:
                above[child] = path
                depth[child] = level + 1
                group[child] = group[node]
    lengths = [len(path) for path in paths]
    return Tree(
        children,
        depth,
        group,
        np.argsort(group, kind="stable"),
        _next_groups(group),
        np.array([step for path in paths for step in path], np.int32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.frombuffer(b"".join(token_bytes), np.uint8).copy(),
        np.concatenate([[0], np.cumsum([len(b) for b in token_bytes])]).astype(np.int64),
        *_ranks(children),
    )


def _next_groups(group: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The group after each node's, or -1; see `Tree`."""
    groups, numbers = np.unique(group, return_inverse=True)
    return np.append(groups, -1).astype(np.int32)[numbers + 1]


def _ranks(children: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rank of each token and first rank behind a 1 at each node; see `Tree`."""
    nodes = len(children)
    leaves = np.zeros(nodes, np.int64)
    for node in range(nodes - 1, -1, -1):
        leaves[node] = sum(1 if child < 0 else leaves[child] for child in children[node])
    rank, first, middle = np.zeros(nodes + 1, np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    for node in range(nodes):
        zero, one = children[node]
        middle[node] = first[node] + (1 if zero < 0 else leaves[zero])
        for child, start in ((zero, first[node]), (one, middle[node])):
            if child < 0:
                rank[-1 - child] = start
            else:
                first[child] = start
    return rank, middle


def plain(vocab_size: int) -> Tree:
    """Builds the tree for models that share nothing but the numbers of their tokens: neighbours stay together."""
    numbers = [token.to_bytes(4, "big") for token in range(vocab_size)]
    return build(numbers, shape(numbers, None))


def last_bytes(tree: Tree) -> npt.NDArray[np.int64]:
    """The last byte of each token (V,); 0 for a token without bytes."""
    ends = tree.byte_offsets[1:]
    some = ends > tree.byte_offsets[:-1]
    last = np.zeros(len(ends), np.int64)
    last[some] = tree.bytes[ends[some] - 1]
    return last
