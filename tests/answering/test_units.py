import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wenmo.answering.features import NAMES, pair_features
from wenmo.answering.units import HAN, LATIN, MARK, NUMBER, cut_units
from wenmo.answering.vocabulary import UnitVocabulary

ZH = "陸特於1995年出生在台北市，他是工程師。後來，陸特搬到Paris居住。"
EN = "Ada Lovelace was born in London in 1815. She wrote programs for Babbage's engine."


def features(passage, question):
    p, q = cut_units(passage), cut_units(question)
    table = pair_features(p, q, np.full(len(p), 3, np.float32), np.full(len(q), 3, np.float32))
    return p, {name: table[:, column] for column, name in enumerate(NAMES)}


def test_units_of_both_languages():
    units = cut_units("2008年Olympics在北京，好!")
    assert units.folded == [
        "2008",
        "年",
        "olympics",
        "在",
        "北",
        "京",
        "，" if "，" in units.folded else ",",
        "好",
        "!",
    ]
    assert units.kinds.tolist() == [NUMBER, HAN, LATIN, HAN, HAN, HAN, MARK, HAN, MARK]
    assert [units.string(i, i) for i in range(3)] == ["2008", "年", "Olympics"]
    assert units.words[4:6] == ["北京", "北京"]
    assert units.begins[4:6].tolist() == [True, False] and units.closes[4:6].tolist() == [False, True]


@given(st.text())
def test_units_hold_every_character_that_is_no_space(text):
    units = cut_units(text)
    held = [False] * len(text)
    for start, end in zip(units.starts, units.ends, strict=True):
        assert start < end
        held[start:end] = [True] * (end - start)
    assert all(inside or character.isspace() for inside, character in zip(held, text, strict=True))
    assert len(units.words) == len(units.keys) == len(units.begins) == len(units.sentence) == len(units)


@given(st.sampled_from([ZH, EN]), st.data())
def test_spans_hold_their_characters(text, data):
    units = cut_units(text)
    first = data.draw(st.integers(0, len(units) - 1))
    last = data.draw(st.integers(first, len(units) - 1))
    assert units.span(int(units.starts[first]), int(units.ends[last])) == (first, last)
    assert units.span(3, 3) is None or units.span(3, 3)[0] <= units.span(3, 3)[1]


def test_traditional_and_simplified_have_equal_keys():
    np.testing.assert_array_equal(cut_units("陸特歷史").keys, cut_units("陆特历史").keys)
    np.testing.assert_array_equal(cut_units("Walking dogs").keys, cut_units("walked dog").keys)


def test_matches_runs_and_words():
    units, found = features(ZH, "陆特于哪一年出生？")
    text = "".join(units.folded)
    at = text.index("陆特")  # every unit before it is one character long
    assert found["match"][at] == 1 and found["run2"][at : at + 2].tolist() == [1, 1]
    assert found["run3"][at] == 1 and found["run4"][at] == 0
    assert found["number"].sum() == 1 and found["match"][units.folded.index("1995")] == 0


def test_the_sentence_with_most_in_common_is_marked():
    units, found = features(EN, "Who wrote programs for the engine of Babbage?")
    best = found["sentence_best"] == 1
    assert set(units.sentence[best]) == {1}
    assert found["sentence_before"][best].max() < 1
    units, found = features(ZH, "陸特搬到哪裡居住？")
    assert set(units.sentence[found["sentence_best"] == 1]) == {1}


def test_distances_count_from_matches():
    units, found = features(EN, "London")
    london = units.folded.index("london")
    assert np.isclose(found["left5"][london + 1], np.exp(-1 / 5)) and np.isclose(
        found["right5"][london - 2], np.exp(-2 / 5)
    )
    assert found["left5"][london] < 1e-6


@given(st.text(max_size=40), st.text(max_size=20))
def test_features_are_finite_and_bounded(passage, question):
    _, found = features(passage, question)
    for name, column in found.items():
        assert np.isfinite(column).all() and (column >= 0).all(), name
        assert (column <= 4).all(), name


def test_the_vocabulary_keeps_what_occurs_twice():
    texts = [cut_units(text) for text in ("北京大学", "北京城", "a cat, a dog")]
    vocabulary = UnitVocabulary.count(texts)
    assert set(vocabulary.units) == {"北", "京", "a"}
    ids = vocabulary.ids(cut_units("北狗"))
    assert ids[0, 0] >= 2 and ids[1, 0] == 1 and (ids > 0).all()
    assert vocabulary.idf(cut_units("狗"))[0] > vocabulary.idf(cut_units("北"))[0] > 0
    again = UnitVocabulary.from_json(vocabulary.to_json())
    np.testing.assert_array_equal(again.ids(texts[0]), vocabulary.ids(texts[0]))
