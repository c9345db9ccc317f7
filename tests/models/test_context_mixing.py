import heapq
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.models import context_mixing, mixing_tables, token_tree

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
    context_mixing.read(np.array(ids, np.int64), recent, tree)
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
    tables = mixing_tables.new_tables(1, 12, 10)
    ids = np.where(np.random.default_rng(0).random(20_000) < 0.8, 1, 2)
    recent = np.zeros(context_mixing.RECENT, np.uint64)
    nats, _ = context_mixing.run(ids, recent, np.array([0]), tree, tables, True, 0.002)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert nats[10_000:].mean() == pytest.approx(entropy, rel=0.03)


def test_tables_are_copied_whole():
    tables = mixing_tables.new_tables(2, 10, 10)
    copy = mixing_tables.copy_tables(tables)
    for array, other in zip(tables, copy, strict=True):
        assert np.array_equal(array, other) and not np.shares_memory(array, other)


def match(text, context, tables=None):
    """What the match model, having read `text` by characters, expects after `context`: a character and its count."""
    chars = sorted({*text, *context})
    token_bytes = [b"", *(char.encode() for char in chars)]
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, None))
    tables = mixing_tables.new_tables(1, 10, 16)
    recent = np.zeros(context_mixing.RECENT, np.uint64)
    ids = np.array([chars.index(char) + 1 for char in text])
    context_mixing.run(ids, recent, np.array([0]), tree, tables, True, 0.002)
    recent = np.zeros(context_mixing.RECENT, np.uint64)
    context_mixing.read(np.array([chars.index(char) + 1 for char in context]), recent, tree)
    expected = np.zeros(len(tree.depth), np.int8)
    found = np.zeros(2, np.int64)
    keys = np.zeros(len(context_mixing.MATCHES), np.uint64)
    context_mixing._match_keys(recent, tables.followers, keys)
    context_mixing._foresee(tables.followers, keys, tree, expected, found)
    if found[0] < 0:
        return None
    place = 0
    while place >= 0:  # the marks lead to the leaf
        place = tree.children[place, expected[place] - 1]
    assert -1 - place == found[0]
    context_mixing._forget(tree, expected, found)
    assert not expected.any()
    return chars[found[0] - 1], found[1] % context_mixing.RUNS


@pytest.mark.parametrize(
    ("text", "context", "follows"),
    [
        ("to be or not to be, that is", "xyz to be o", ("r", 1)),
        ("春眠不觉曉處處聞啼鳥。春眠不觉曉處處聞", "春眠不觉", ("曉", 2)),
        ("abcdX abcdX abcdY", "abcd", ("Y", 1)),
        ("to be or not", "nothing alike", None),
    ],
)
def test_a_long_context_foresees_what_followed_it(text, context, follows):
    assert match(text, context) == follows


def contexts_after(text):
    recent = read([b"", *(bytes([b]) for b in range(256))], [b + 1 for b in text.encode()])
    out = np.zeros(1 + context_mixing.EXTRA, np.uint64)
    context_mixing.contexts(recent, np.array([0]), out)
    return out[1:]


def test_chinese_contexts_skip_characters_where_english_ones_take_words():
    # a, c | b, c, d | place, a | c
    same = contexts_after("一二三四") == contexts_after("一二五四")
    assert same.tolist() == [True, False, True, True]
    same = contexts_after("一二三四") == contexts_after("一六三四")
    assert same.tolist() == [False, False, True, False]
    same = contexts_after("the cat sat") == contexts_after("the\ncat\nsat")
    assert same.tolist() == [True, True, False, True]


def test_places_in_a_line_are_counted_in_characters():
    for text, column in (("ab\ncd", 2), ("一二\n三", 1), ("", 0), ("x" * 100, 100)):
        recent = read([b"", *(bytes([b]) for b in range(256))], [b + 1 for b in text.encode()])
        assert recent[context_mixing.COLUMN] == column


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
