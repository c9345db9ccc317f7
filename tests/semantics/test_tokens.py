from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.semantics.function_words import frame_words, function_words, general_nouns, stop_words
from wenmo.semantics.tokens import content_words, fold, spellings, tokens

MIXED = st.text(st.sampled_from("图像分割的算法 the Images-networks, 。\n3.5’sAÉß"), max_size=60)


@given(MIXED)
def test_tokens_are_the_text_at_their_places(text):
    found = tokens(text)
    assert all(text[t.start : t.end] == t.text for t in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert not found or not found[0].joined


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("Networks", "network"),
        ("theories", "theory"),
        ("classes", "class"),
        ("boxes", "box"),
        ("movies", "movie"),
        ("ties", "tie"),
        ("analysis", "analysis"),
        ("status", "status"),
        ("physics", "physics"),
        ("gas", "gas"),
        ("user’s", "user"),
        ("图像", "图像"),
        ("Straße", "straße"),
    ],
)
def test_regular_plurals_are_folded(word, folded):
    assert fold(word) == folded


@given(st.text(max_size=12))
def test_folding_never_fails(word):
    assert isinstance(fold(word), str)


def test_punctuation_and_blank_lines_end_a_phrase():
    joined = [(t.text, t.joined) for t in tokens("deep learning, image data")]
    assert joined == [("deep", False), ("learning", True), ("image", False), ("data", True)]
    assert [t.joined for t in tokens("神经网络。图像")][-1] is False


def test_a_line_break_goes_on_only_into_a_lower_case_word():
    assert tokens("neural\n\tnetwork")[1].joined
    assert not tokens("Neural\nNetwork")[1].joined
    assert not tokens("图像\n分割")[1].joined
    assert not tokens("neural\n\nnetwork")[1].joined


def test_words_of_grammar_break_in_both_languages():
    assert [t.text for t in tokens("本文提出了图像的算法") if not t.breaks] == ["图像", "算法"]
    assert [t.text for t in tokens("We propose quickly the image of 3 networks") if not t.breaks] == [
        "image",
        "networks",
    ]


def test_content_words_tell_the_subject():
    assert content_words("本文的酒店和早餐, the Hotels of 2020 are x") == ["酒店", "早餐", "hotel"]
    assert content_words("的 了 the of 12 。") == []


def test_spellings_are_the_most_frequent():
    found = spellings(["ANSYS of Movies, movie", "酒店 movie ANSYS"], {"ansy", "movie", "酒店", "nowhere"})
    assert found == {"ansy": "ANSYS", "movie": "movie", "酒店": "酒店"}


def test_the_lists_are_lower_case_and_apart():
    assert all(word == word.lower() for word in stop_words())
    assert not frame_words() & general_nouns()
    assert {"的", "the", "與"} <= function_words()
