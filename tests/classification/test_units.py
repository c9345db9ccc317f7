import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.classification.units import characters, fold, units

TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("好不，。!？ aB３Ｇ\n'’İ²")),
    max_size=60,
)


@given(TEXTS)
def test_folding_keeps_the_length(text):
    assert len(fold(text)) == len(text)


@given(TEXTS)
def test_units_stand_where_they_say_and_cover_everything_visible(text):
    names, places = units(text)
    covered = set()
    for name, (begin, end) in zip(names, places, strict=True):
        assert fold(text)[begin:end].startswith(name)
        assert not covered & set(range(begin, end))
        covered |= set(range(begin, end))
    assert {i for i, c in enumerate(text) if not c.isspace()} == covered


@given(TEXTS)
def test_characters_leave_out_white_space_only(text):
    codes, places = characters(text)
    assert [fold(text)[i] for i in places] == [chr(code) for code in codes]
    assert list(places) == [i for i, c in enumerate(text) if not c.isspace()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I didn't like it!!!!!", ["i", "didn't", "like", "it", "!!!"]),
        ("ＧＯＯＤ 7/10", ["good", "7", "/", "10"]),
        ("服务很好，下次还来！", ["服务", "很", "好", ",", "下次", "还来", "!"]),
        ("手机13812345678号", ["手机", "13812345678", "号"]),
        ("", []),
    ],
)
def test_units_of_both_languages(text, expected):
    assert units(text)[0] == expected
