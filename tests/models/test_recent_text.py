import numpy as np
import pytest

from wenmo.models import context_mixing, recent_text, token_tree


def read(token_bytes, ids):
    tree = token_tree.build(token_bytes, token_tree.shape(token_bytes, None))
    recent = np.zeros(recent_text.RECENT, np.uint64)
    context_mixing.read(np.array(ids, np.int64), recent, tree)
    return recent


@pytest.mark.parametrize("text", ["a猫b狗", "The cat sat.", "前言 preface 前言"])
def test_characters_do_not_depend_on_how_text_is_cut(text):
    data = text.encode()
    whole = read([b"", data], [1])
    by_bytes = read([b"", *(bytes([b]) for b in range(256))], [b + 1 for b in data])
    upto = recent_text.TOKEN
    assert np.array_equal(whole[:upto], by_bytes[:upto])
    newest = [int.from_bytes(c.encode(), "big") for c in reversed(text)]
    shown = [int(c) for c in whole[: recent_text.CHARS]]
    assert shown[: len(newest)] == newest[: len(shown)]


def test_case_and_earlier_words_are_told_apart():
    words = [b"", b"the ", b"The ", b"a ", b"cat"]
    word, before = recent_text.WORD, recent_text.PREVIOUS_WORD
    lower, upper, other = (read(words, [first, 4]) for first in (1, 2, 3))
    assert lower[word] == upper[word] == other[word]
    assert lower[before] == upper[before] != other[before]


def test_the_end_of_a_document_is_forgotten_through():
    words = [b"", b"the ", b"cat"]
    assert np.array_equal(
        read(words, [1, 2, 0, 2])[: recent_text.TOKEN], read(words, [0, 2])[: recent_text.TOKEN]
    )


def contexts_after(text):
    recent = read([b"", *(bytes([b]) for b in range(256))], [b + 1 for b in text.encode()])
    out = np.zeros(1 + recent_text.EXTRA, np.uint64)
    recent_text.contexts(recent, np.array([0]), out)
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
        assert recent[recent_text.COLUMN] == column
