"""What is repaired in sentence pairs, and what is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.seq2seq.cleaning import clean_pairs, tidy, unspace
from wenmo.seq2seq.pairs import Pair

BASE = [("I like green tea very much.", "我非常喜欢绿茶。"), ("He went to school today.", "他今天去学校了。")]
BASE += [(f"She has {n} books at home.", f"她家里有{n}本书。") for n in range(3, 12)]


def clean(*extra, **options):
    return clean_pairs([Pair(a, b, "") for a, b in (*BASE, *extra)], **options)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("", "空"), "an empty side"),
        (("nothing", " \u200b"), "an empty side"),
        (("Same text here", "Same text here"), "both sides identical"),
        (BASE[0], "the same pair again"),
        (("Hi.", "这" * 90), "lengths that do not fit"),
        (
            ("A very long sentence that goes on and on and on, really a long way to go for all of us.", "好"),
            "lengths that do not fit",
        ),
        (("A sentence that is fine.", "Eine andere Sprache."), "a side in another script"),
        (("这是用中文写的一句话", "这也是中文写的一句话啊"), "a side in another script"),
        (("x" * 1001, "字" * 300), "a side of more than 1,000 characters"),
    ],
)
def test_a_bad_pair_goes_for_a_reason(pair, reason):
    cleaned = clean(pair)
    assert dict(cleaned.dropped) == {reason: 1}
    assert [(p.source, p.target) for p in cleaned.pairs] == BASE


@pytest.mark.parametrize(
    "pair", [("Tom!", "汤姆！"), ("NASA was founded in 1958.", "NASA成立于1958年。"), ("OK.", "OK")]
)
def test_short_and_mixed_pairs_stay(pair):
    assert (pair[0], pair[1]) in [(p.source, p.target) for p in clean(pair).pairs]


@pytest.mark.parametrize(
    ("spaced", "joined"),
    [
        ("你 用 跑 的 。", "你用跑的。"),
        ("他 说 ： “ 好 ” 。", "他说：“好”。"),
        ("我 在 IBM 工作 .", "我在 IBM 工作."),
        ("I like tea .", "I like tea ."),
        ("用 Python 3 写", "用 Python 3 写"),
    ],
)
def test_spaces_go_between_chinese_characters_only(spaced, joined):
    assert unspace(spaced) == joined


def test_spaced_chinese_is_repaired_and_counted():
    cleaned = clean(("Run now, please.", "请 你 现在 跑 吧 。"))
    assert cleaned.pairs[-1].target == "请你现在跑吧。"
    assert cleaned.notes == ["target: spaces between Chinese characters were taken out of 1 lines"]


def test_both_scripts_are_noticed_and_made_one():
    mixed = [(f"The country has {n} people.", f"這個國家有{n}個人。") for n in range(5)]
    assert any("--script simplified" in note for note in clean(*mixed).notes)
    cleaned = clean(*mixed, script="simplified")
    assert cleaned.pairs[-1].target == "这个国家有4个人。"
    assert clean(*mixed, script="traditional").pairs[0].target == "我非常喜歡綠茶。"


def test_english_sides_are_left_alone():
    assert clean_pairs([Pair("Guten Tag, mein Freund.", "Good day, my friend.", "")]).notes == []


@given(st.text())
def test_tidy_text_is_tidy(text):
    once = tidy(text)
    assert tidy(once) == once and once == once.strip() and "\n" not in once


@given(st.text(alphabet="你好，。 ab1", max_size=30))
def test_unspacing_takes_nothing_but_spaces(text):
    assert unspace(text).replace(" ", "") == text.replace(" ", "")
    assert unspace(unspace(text)) == unspace(text)
