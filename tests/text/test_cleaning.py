import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wenmo.text import clean, repair_mojibake, safe_cut

MIXED = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\n\r\t \u3000\u00a0，。！“”：中文æ–‡Ã©âä¸\u00ad\u200b\ufeff\u0301e\x85\u2028A.a"),
    ),
    max_size=60,
)


@given(MIXED)
@settings(max_examples=400, deadline=None)
@example("\n\u00adÃ\u0083Â©")
def test_cleaning_a_clean_text_changes_nothing(text):
    once = clean(text)
    assert clean(once) == once
    once.encode("utf-8")
    assert unicodedata.is_normalized("NFC", once)
    assert "\r" not in once and "\n\n\n" not in once


@given(MIXED)
@example("\u00c2\x08\u00a1")
@settings(max_examples=300, deadline=None)
def test_long_texts_are_cleaned_like_short_ones(text):
    """The vectorised search for dirt in long texts finds what the regular expression finds."""
    padding = "一二三四五六七八九十\n" * 300
    assert clean(padding + text + "\n\n中") == clean(padding) + "\n" + _middle(text)


def _middle(text):
    cleaned = clean("一\n" + text + "\n\n中")
    return cleaned.removeprefix("一\n")


@given(st.lists(MIXED, min_size=1, max_size=8).map("\n".join))
@settings(max_examples=300, deadline=None)
def test_cleaning_parts_equals_cleaning_the_whole(text):
    cut = safe_cut(text)
    if cut and "\n" in text[:cut] and text[cut - 1] == "\n":
        parts = clean(text[:cut], last=False) + clean(text[cut:], first=False)
        if clean(text[:cut]):
            assert parts == clean(text)


@pytest.mark.parametrize(
    "text", ["，！：“好”（２０）", "ＡＢＣ　１２３", "「繁體」——…", "don’t “quote” — it", "①②㎡ﬁ"]
)
def test_punctuation_and_full_width_forms_stay(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    "text", ["中文：你好，世界", "café", "naïve façade — déjà vu", "“quoted”", "Ångström µ"]
)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_misread_utf8_is_repaired(text, encoding):
    try:
        misread = text.encode("utf-8").decode(encoding)
    except UnicodeDecodeError:
        pytest.skip("cp1252 has no character for one of the bytes")
    assert repair_mojibake(misread) == text
    assert clean(f"plain\n{misread}\n中文") == f"plain\n{text}\n中文"


@pytest.mark.parametrize("text", ["Ça va, São Paulo", "IRMÃ”", "Größe 20 °C", "你好 Ã 世界", "§ 5 Â½é"])
def test_text_that_is_no_mojibake_stays(text):
    assert clean(text) == text


def test_dirt_is_removed():
    assert clean("\ufeffa\x00b\u200bc\u00add\r\n\r\n\r\n\r\ne \t\nf\ud800\x07  ") == "abcd\n\ne\nf"
    assert clean("e\u0301") == "é"
    assert clean("\n\n  indented\n") == "  indented"
    assert clean("👩\u200d👧 क्\u200dष") == "👩\u200d👧 क्\u200dष"


def test_cut_falls_before_visible_text():
    assert safe_cut("ab\n\n  cd\nef") == 9
    assert safe_cut("一\n\u3000\u3000二") == 2
    assert safe_cut("一\n\n \n") == 0
    assert safe_cut("x" * 10) == 9
    assert safe_cut(" " * 10) == 0
    assert safe_cut("é" * 5) == 0
