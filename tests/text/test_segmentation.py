import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.text import sentences, shingles, words


def test_words_of_both_languages():
    assert words("我来到北京清华大学, don't stop at 3.14!") == [
        "我",
        "来到",
        "北京",
        "清华大学",
        "don't",
        "stop",
        "at",
        "3.14",
    ]
    assert words("用Python写程序v2") == ["用", "Python", "写", "程序", "v", "2"]
    assert words("，。 !") == []


@given(st.text(max_size=80))
def test_words_keep_letters_and_order(text):
    found = words(text)
    position = 0
    for word in found:
        position = text.index(word, position) + len(word)
    kept = "".join(found)
    for character in text:
        if character.isascii() and character.isalnum():
            assert character in kept


def test_sentences_end_where_people_end_them():
    assert sentences("他说：“走！”我不去。好吗？") == ["他说：“走！”", "我不去。", "好吗？"]
    assert sentences("Mr. Smith left. He paid 3.50 for it! Why?") == [
        "Mr. Smith left. ",
        "He paid 3.50 for it! ",
        "Why?",
    ]
    assert sentences("第一行\n第二行") == ["第一行\n", "第二行"]


@given(st.text(st.sampled_from("中文。！？.!? \n”\"'abMr"), max_size=60))
def test_sentences_lose_nothing(text):
    pieces = sentences(text)
    assert "".join(pieces) == text
    assert all(pieces)


def test_shingles_treat_both_languages_alike():
    assert shingles("今天Hello World", 2) == ["今 天", "天 hello", "hello world"]
    assert shingles("今天", 5) == ["今 天"]
    assert shingles("，", 2) == []
    with pytest.raises(ValueError):
        shingles("a", 0)
