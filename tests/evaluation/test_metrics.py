from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.evaluation import metrics
from wenmo.evaluation.metrics import Copied, distinct, longest_copy, loop_length, repetition


def test_distinct_and_repetition() -> None:
    assert distinct("abab", 2) == pytest.approx(2 / 3)
    assert repetition("abab", 2) == pytest.approx(1 / 3)
    assert distinct(["the", "river", "the"], 1) == pytest.approx(2 / 3)
    assert distinct("山", 4) == 1.0
    with pytest.raises(ValueError, match="at least 1"):
        distinct("ab", 0)


def test_loops() -> None:
    assert loop_length("江水很高" + "好的" * 5) == 10
    assert loop_length("abc" * 3) == 9
    assert loop_length("xabcabc") == 0
    assert loop_length("xabcabc", times=2) == 6
    assert loop_length("") == 0
    assert loop_length(["and", "then"] * 4 + ["end"]) == 0
    assert loop_length("bcabcabca") == 9  # a loop may begin in the middle of its period
    with pytest.raises(ValueError, match="at least 2"):
        loop_length("aa", 1)


def test_longest_copy_chinese_and_english() -> None:
    sources = ["话说天下大势，分久必合，合久必分。", "It was the best of times, it was the worst of times."]
    assert longest_copy("他说天下大势，分久必乱", sources) == Copied("说天下大势，分久必", 1)
    assert longest_copy("Yes, it was the end", sources).text == "es, it was the "
    assert longest_copy("龘", sources) == Copied("", 0)
    assert longest_copy("", sources) == Copied("", 0)
    assert longest_copy("text", []) == Copied("", 0)


@given(
    text=st.text("ab江水", max_size=30),
    sources=st.lists(st.text("ab江水", max_size=60), max_size=3),
    chunk=st.sampled_from([1, 10, 1000]),
)
def test_longest_copy_against_difflib(text: str, sources: list[str], chunk: int) -> None:
    before = metrics.CHUNK
    metrics.CHUNK = chunk
    try:
        found = longest_copy(text, sources)
    finally:
        metrics.CHUNK = before
    expected = max(
        (SequenceMatcher(None, text, s, autojunk=False).find_longest_match().size for s in sources), default=0
    )
    assert found.length == expected
    assert text[found.start :].startswith(found.text)
    assert not found.text or any(found.text in source for source in sources)
