import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.models import context_mixing, token_tree

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


def read(token_bytes, ids):
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, None))
    recent = np.zeros(context_mixing.RECENT, np.uint64)
    context_mixing.read(np.array(ids), recent, tree)
    return recent


@pytest.mark.parametrize("text", ["a猫b狗", "The cat sat.", "前言 preface 前言"])
def test_characters_do_not_depend_on_how_text_is_cut(text):
    data = text.encode()
    whole = read([b"", data], [1])
    by_bytes = read([b"", *(bytes([b]) for b in range(256))], [b + 1 for b in data])
    upto = context_mixing.TOKEN
    assert np.array_equal(whole[:upto], by_bytes[:upto])
    newest = [int.from_bytes(c.encode(), "big") for c in reversed(text)]
    shown = [int(c) for c in whole[: context_mixing.CHARS]]
    assert shown[: len(newest)] == newest[: len(shown)]


def test_case_and_earlier_words_are_told_apart():
    words = [b"", b"the ", b"The ", b"a ", b"cat"]
    word, before = context_mixing.WORD, context_mixing.PREVIOUS_WORD
    lower, upper, other = (read(words, [first, 4]) for first in (1, 2, 3))
    assert lower[word] == upper[word] == other[word]
    assert lower[before] == upper[before] != other[before]


def test_the_end_of_a_document_is_forgotten_through():
    words = [b"", b"the ", b"cat"]
    assert np.array_equal(
        read(words, [1, 2, 0, 2])[: context_mixing.TOKEN], read(words, [0, 2])[: context_mixing.TOKEN]
    )


def test_a_slot_converges_to_the_frequency():
    token_bytes = [b"", b"a", b"b"]
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, np.array([1, 500, 500])))
    tables = context_mixing.new_tables(1, 12)
    ids = np.where(np.random.default_rng(0).random(20_000) < 0.8, 1, 2)
    recent = np.zeros(context_mixing.RECENT, np.uint64)
    nats, _ = context_mixing.run(ids, recent, np.array([0]), tree, tables, True, 0.002)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert nats[10_000:].mean() == pytest.approx(entropy, rel=0.03)


def test_tables_are_copied_whole():
    tables = context_mixing.new_tables(2, 10)
    copy = context_mixing.copy_tables(tables)
    for array, other in zip(tables, copy, strict=True):
        assert np.array_equal(array, other) and not np.shares_memory(array, other)
