import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.evaluation.diversity import (
    COPIED_BYTES,
    copied_share,
    corpus_distinct,
    cut_alike,
    diversity_rows,
    measure_diversity,
    repetition_warning,
    self_bleu,
)

TEXT = st.text(alphabet="abc小梅的", max_size=60)


def test_distinct_counts_over_all_texts():
    assert corpus_distinct([["a", "b"], ["a", "c"]], 1) == 3 / 4
    assert corpus_distinct([["a", "b"], ["a", "b"]], 2) == 1 / 2  # no pair crosses two texts
    assert corpus_distinct([["a"]], 3) == 1
    with pytest.raises(ValueError, match="at least 1"):
        corpus_distinct([], 0)


def test_self_bleu_tells_equal_from_different_texts():
    assert self_bleu([["a", "b", "c", "d"]] * 3) == pytest.approx(1)
    assert self_bleu([["a", "b"], ["c", "d"]]) == 0
    with pytest.raises(ValueError, match="two"):
        self_bleu([["a"]])


@given(st.lists(TEXT, min_size=1, max_size=4), st.lists(TEXT, max_size=4), st.integers(1, 12))
def test_the_copied_share_is_what_a_plain_search_finds(texts, sources, length):
    data = [text.encode() for text in sources]
    grams = [t.encode()[i : i + length] for t in texts for i in range(len(t.encode()) - length + 1)]
    expected = sum(any(gram in source for source in data) for gram in grams) / max(len(grams), 1)
    assert copied_share(texts, sources, length) == pytest.approx(expected)


def test_long_sources_are_searched_in_pieces(monkeypatch):
    monkeypatch.setattr("wenmo.evaluation.diversity.CHUNK", 50)
    source = "".join(f"{i:04d}|" for i in range(200))
    for start in range(0, 900, 37):
        assert copied_share([source[start : start + COPIED_BYTES]], [source]) == 1
    assert copied_share(["x" * 40], [source]) == 0


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_parrot_is_told_from_people(language, chinese_documents, english_documents):
    documents = chinese_documents if language == "zh" else english_documents
    half = len(documents) // 2
    sources = documents[:half]
    copies = [text[:120] for text in sources[:6]]
    parrot = measure_diversity(copies, sources)
    assert parrot.copied == 1 and parrot.longest_copy == max(map(len, copies))
    stuck = measure_diversity([(copies[0][:12] + " ") * 10] * 6, sources)
    assert stuck.loops == 1 and stuck.repeated_4grams > 0.5 and stuck.self_bleu == pytest.approx(1)
    assert stuck.distinct_2 < parrot.distinct_2
    assert parrot.words > 50 and parrot.texts == 6
    assert [label for label, _, _ in diversity_rows(stuck, parrot)][-1] == "copied 24-byte stretches"
    assert len(diversity_rows(measure_diversity(copies[:1]), parrot)) == 6  # no self-BLEU, nothing searched


def test_texts_are_cut_to_equal_length():
    assert cut_alike(["abcd", "", "一二"], ["xy", "z", "三四五"]) == (["ab", "一二"], ["xy", "三四"])


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="no word"):
        measure_diversity(["…", ""])


@pytest.mark.parametrize(
    ("chant", "people"),
    [
        (
            "各项工作的联盟和人民和人民和人民和人民和人民和人民和人民和人民和人民",
            "我国经济今年保持较快增长，结构调整取得进展，物价平稳，就业扩大。",
        ),
        (
            "enter the king and enter the king and enter the king and enter the king",
            "the king had left the hall before his guests arrived from the north",
        ),
    ],
)
def test_a_chant_is_told_and_peoples_text_is_not(chant, people):
    model, human = (measure_diversity([text]) for text in (chant, people))
    told = repetition_warning(model, human)
    assert told and f"{model.repeated_4grams:.0%} of the groups" in told and "--dry-multiplier" in told
    assert repetition_warning(human, human) is None
    assert repetition_warning(model, model) is None  # a text of refrains is learned from people
