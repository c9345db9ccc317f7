import heapq
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.models import context_mixing, mixing_tables, recent_text, token_tree

COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=60)


def spelled(tree, token):
    """Follows a token's path from the root; returns the leaf reached."""
    place = 0
    for step in tree.path[tree.path_offsets[token] : tree.path_offsets[token + 1]]:
        assert step >> 1 == place
        place = tree.children[place, step & 1]
    return -1 - place


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_every_token_has_one_leaf(counts):
    token_bytes = [b"", *(i.to_bytes(2, "big") for i in range(len(counts) - 1))]
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, np.array(counts)))
    assert len(tree.depth) == len(counts) - 1
    if len(counts) > 1:
        assert [spelled(tree, token) for token in range(len(counts))] == list(range(len(counts)))
        leaves = [child for pair in tree.children for child in pair if child < 0]
        assert sorted(leaves) == [-1 - token for token in reversed(range(len(counts)))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=60))
def test_paths_are_nearly_as_short_as_huffman_codes(counts):
    token_bytes = [i.to_bytes(2, "big") for i in range(len(counts))]
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, np.array(counts)))
    heap = [float(count) for count in counts]
    heapq.heapify(heap)
    huffman = 0.0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        huffman += joined
        heapq.heappush(heap, joined)
    assert np.diff(tree.path_offsets) @ np.array(counts) <= huffman + 2 * sum(counts)


def test_neighbours_in_byte_order_share_their_beginnings():
    token_bytes = [word.encode() for word in ("zebra", "ant", "zeal", "anvil")]
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, None))
    first = [tree.path[tree.path_offsets[token]] & 1 for token in range(4)]
    assert first == [1, 0, 1, 0]


def test_a_slot_converges_to_the_frequency():
    token_bytes = [b"", b"a", b"b"]
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, np.array([1, 500, 500])))
    tables = mixing_tables.new_tables(1, 12, 10)
    ids = np.where(np.random.default_rng(0).random(20_000) < 0.8, 1, 2)
    recent = np.zeros(recent_text.RECENT, np.uint64)
    nats, _ = context_mixing.run(ids, recent, np.array([0]), tree, tables, True, 0.002)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert nats[10_000:].mean() == pytest.approx(entropy, rel=0.03)


def test_tables_are_copied_whole():
    tables = mixing_tables.new_tables(2, 10, 10)
    copy = mixing_tables.copy_tables(tables)
    for array, other in zip(tables, copy, strict=True):
        assert np.array_equal(array, other) and not np.shares_memory(array, other)


@pytest.mark.parametrize("size", [2, 3, 40, 300])
def test_nodes_are_visited_group_by_group_parents_first(size):
    counts = np.random.default_rng(size).integers(1, 1000, size)
    tree = token_tree.build(
        [str(i).encode() for i in range(size)],
        token_tree.shape([str(i).encode() for i in range(size)], counts),
    )
    place = np.argsort(tree.order)
    assert sorted(tree.order) == list(range(size - 1))
    for node, pair in enumerate(tree.children):
        assert all(place[child] > place[node] for child in pair if child >= 0)
    groups = [int(tree.group[node]) for node in tree.order]
    seen = list(dict.fromkeys(groups))
    assert sum(a != b for a, b in itertools.pairwise(groups)) == len(seen) - 1  # each in one piece
    following = dict(zip(seen, [*seen[1:], -1], strict=True))
    assert all(tree.next_group[node] == following[int(tree.group[node])] for node in tree.order)
