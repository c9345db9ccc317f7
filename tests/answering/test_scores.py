import pytest

from wenmo.answering.scores import (
    chinese_tokens,
    english_tokens,
    exact_match,
    f1,
    longest_common,
    score_answers,
)


def test_tokens():
    assert chinese_tokens("光荣和ω-force 2008年。") == ["光", "荣", "和", "ωforce", "2008", "年"]
    assert chinese_tokens("2,008年，A.B") == ["2008", "年", "ab"]
    assert english_tokens("The  U.S. Army, an army") == ["us", "army", "army"]


@pytest.mark.parametrize(
    ("answer", "reference", "chinese", "wanted"),
    [
        ("北京市", "北京", True, 2 * 2 / 5),
        ("北方的京城", "北京", True, 2 * 1 / 7),  # only the longest contiguous stretch counts
        ("《三国》", "三国", True, 1.0),
        ("上海", "北京", True, 0.0),
        ("in the year 1990", "1990", False, 2 * 1 / 4),
        ("a cat", "the cat", False, 1.0),
        ("", "cat", False, 0.0),
    ],
)
def test_f1(answer, reference, chinese, wanted):
    assert f1(answer, reference, chinese) == pytest.approx(wanted)


def test_longest_common():
    assert longest_common("abcdef", "xbcdy") == 3 and longest_common("", "a") == 0


def test_exact_match_ignores_marks_and_articles():
    assert exact_match("“北京”。", "北京") and not exact_match("北京市", "北京")
    assert exact_match("The Cat!", "cat") and not exact_match("cats", "cat")
    assert exact_match(".", ".")


def test_the_best_reference_counts_and_nothing_is_right_without_one():
    scores = score_answers(["北京", ""], [["上海", "北京"], []], chinese=True)
    assert (scores.exact, scores.f1, scores.count) == (100.0, 100.0, 2)
    assert score_answers(["北京"], [[]], chinese=True).f1 == 0.0
    with pytest.raises(ValueError, match="2 answers"):
        score_answers(["a", "b"], [["a"]], chinese=False)
