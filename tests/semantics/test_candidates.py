from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wenmo.semantics import candidates as room
from wenmo.semantics.candidates import MAX_WORDS, candidates, runs
from wenmo.semantics.tokens import tokens


def found(text):
    return {c.text: c for c in candidates(text, tokens(text)).values()}


def test_phrases_stand_between_function_words_and_punctuation():
    zh = found("本文提出了图像分割的数值算法,图像分割有效")
    assert {"图像", "图像分割", "数值算法"} <= set(zh)
    assert zh["图像分割"].frequency == 2 and "分割的数值" not in zh
    en = found("The neural networks of image data. A Neural Network!")
    assert en["neural networks"].frequency == 2, "plural and singular are one phrase"
    assert "networks of image" not in en and "data neural" not in en


def test_freedom_counts_the_sides_on_which_nothing_goes_on():
    both = found("the neural network of a deep neural network")["neural network"]
    assert (both.frequency, both.left_free, both.right_free) == (2, 1, 2)


def test_general_nouns_are_no_phrase_alone_but_end_one():
    assert "方法" not in found("图像分割方法") and "图像分割方法" in found("图像分割方法")
    assert "method" not in found("numerical method") and "numerical method" in found("numerical method")


def test_mixed_script_is_shown_as_it_is_written():
    assert "Rodrigues参数" in found("采用修正的Rodrigues参数")
    assert "TCP" in found("the TCP") and "x" not in found("the x")


@given(st.text(st.sampled_from("图像分割的算法 image data. the"), max_size=50))
def test_every_candidate_stands_inside_one_run(text):
    read = tokens(text)
    inside = {i: run for run in runs(read) for i in run}
    for candidate in candidates(text, read).values():
        size = len(candidate.key)
        assert 1 <= size <= MAX_WORDS and candidate.frequency == sum(candidate.surfaces.values())
        for start in candidate.starts:
            assert tuple(t.key for t in read[start : start + size]) == candidate.key
            assert start + size - 1 in inside[start]


def test_a_long_document_keeps_what_is_repeated(monkeypatch):
    text = "神经网络结构。神经网络结构。图像分割。neural network models. neural network models. odd pair."
    whole = candidates(text, tokens(text))
    monkeypatch.setattr(room, "LONG", 3)
    pruned = candidates(text, tokens(text))
    assert set(pruned) < set(whole)
    repeated = {key for key, c in whole.items() if c.frequency > 1 or len(key) == 1}
    assert set(pruned) == repeated
    assert {k: c.frequency for k, c in pruned.items()} == {k: whole[k].frequency for k in pruned}


def test_spelling_is_the_most_frequent_with_the_fewest_capitals():
    text = "Image data, image data and IMAGE DATA, IMAGE DATA"
    (candidate,) = [
        c for c in candidates(text, tokens(text)).values() if len(c.key) == 1 and c.key[0] == "image"
    ]
    assert candidate.surfaces == Counter({"IMAGE": 2, "Image": 1, "image": 1})
    assert candidate.text == "IMAGE"
