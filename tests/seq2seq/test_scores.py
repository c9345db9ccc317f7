"""Scores, the baseline, what is held out, and what is said about it."""

import pytest
import sacrebleu

from wenmo.seq2seq.holding_out import by_source, hold_out, sentence_groups
from wenmo.seq2seq.judging import Judged, merged, verdict
from wenmo.seq2seq.nearest import NearestPair
from wenmo.seq2seq.pairs import Pair
from wenmo.seq2seq.scores import chrf, score_translations, unique_ratio

ZH = (["你好吗？", "我喜欢茶。"], [["你好吗？"], ["我很喜欢喝茶。", "我爱茶。"]])


def test_scores_are_those_of_sacrebleu_with_signatures():
    scored = score_translations(["a", "b"], ZH[0], ZH[1], chinese=True)
    streams = [["你好吗？", "我很喜欢喝茶。"], [None, "我爱茶。"]]
    assert scored.scores["bleu"] == pytest.approx(
        sacrebleu.corpus_bleu(ZH[0], streams, tokenize="zh").score, abs=1e-3
    )
    assert scored.scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(ZH[0], streams).score, abs=1e-3)
    assert scored.scores["unique_outputs"] == 1.0
    assert "tok:zh" in scored.signatures["bleu"] and scored.signatures["chrf"].startswith("nrefs:var")
    english = score_translations(["x"], ["It is good."], [["It is good."]], chinese=False)
    assert english.scores["bleu"] == pytest.approx(100.0) and "tok:13a" in english.signatures["bleu"]
    assert chrf(["It is good."], ["It is good."]) == pytest.approx(100.0)


def test_the_same_output_again_and_again_is_seen():
    assert unique_ratio(["a", "b", "c", "d"], ["是的。"] * 4) == 0.25
    assert unique_ratio(["a", "a"], ["x", "x"]) == 1.0
    assert unique_ratio([], []) == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("I drink green tea now", "茶"), ("a big dog", "狗"), ("quux", "")],
)
def test_the_nearest_pair_is_found(text, expected):
    assert (
        NearestPair(["I drink tea", "the dog is big", "a cat"], ["茶", "狗", "猫"]).translate(text)
        == expected
    )


def test_the_nearest_pair_is_found_in_chinese():
    assert NearestPair(["我喜欢喝茶", "狗很大"], ["tea", "dog"]).translate("他喝茶") == "tea"


PAIRS = [Pair(f"sentence {n}", f"句子{n}", "") for n in range(200)]
PAIRS += [Pair("sentence 1", "另一句", ""), Pair("another one", "另一句", "")]


def test_no_sentence_stands_on_two_sides():
    held = hold_out(PAIRS, valid_share=0.1, test_share=0.2, seed=1)
    assert len(held.train) + len(held.valid) + len(held.test) == len(PAIRS)
    assert 10 <= len(held.valid) <= 30 and 30 <= len(held.test) <= 50
    for side in ("source", "target"):
        sides = [{getattr(p, side) for p in part} for part in (held.train, held.valid, held.test)]
        assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    groups = sentence_groups(PAIRS)
    assert groups[1] == groups[-1] == groups[-2] != groups[0]


def test_given_test_pairs_are_kept_out_of_training():
    test = [Pair("Sentence 5", "新的", ""), Pair("new", "句子7", "")]
    held = hold_out(PAIRS, test=test, valid_share=0.1, test_share=0.5, seed=1)
    assert held.test == test and held.dropped == {"a sentence of the held-out files": 2}
    assert not {"sentence 5", "sentence 7"} & {p.source for p in (*held.train, *held.valid)}


def test_references_of_a_source_stand_together():
    pairs = [Pair("a", "一", ""), Pair("b", "二", ""), Pair("a", "壹", "")]
    assert by_source(pairs, backward=False) == (["a", "b"], [["一", "壹"], ["二"]])
    assert by_source(pairs, backward=True)[0] == ["一", "二", "壹"]


def judged(way="en-zh", **scores):
    rows = {"chrf": 40.0, "bleu": 20.0, "unique_outputs": 0.98, **scores}
    return Judged(
        way, False, rows, {"chrf": 25.0, "bleu": 5.0, "unique_outputs": 0.5}, {}, ["x"], [["y"]], []
    )


@pytest.mark.parametrize(
    ("scores", "train", "said"),
    [
        ({}, 100, "100 pairs are few"),
        ({}, 50_000, "A longer budget"),
        ({"unique_outputs": 0.2}, 50_000, "20% are different"),
        ({"chrf": 20.0}, 50_000, "no better than looking up"),
    ],
)
def test_the_verdict_says_what_to_do(scores, train, said):
    text = verdict([judged(**scores)], train)
    assert said in text and "chrF" in text and text.endswith(".")


def test_scores_of_both_ways_are_averaged_and_shown():
    both = merged([judged("en-zh"), judged("zh-en", chrf=50.0, bleu=30.0)])
    assert both["chrf"] == 45.0 and both["chrf_zh-en"] == 50.0 and both["bleu_en-zh"] == 20.0
    assert set(merged([judged()])) == {"chrf", "bleu", "unique_outputs"}
