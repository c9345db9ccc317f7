import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.semantics.background import Background
from wenmo.semantics.keywords import extract, extract_overall, likeness, thinned
from wenmo.semantics.keywords import score as scored
from wenmo.semantics.tokens import tokens

DOCUMENTS = {
    "zh": (
        "神经网络的图像分割。图像分割是计算机视觉的重要问题。本文采用神经网络进行图像分割,"
        "结果表明误差低、速度快。神经网络适用于医学图像。",
        {"图像分割", "神经网络"},
    ),
    "en": (
        "Image segmentation by the wavelet transform. Image segmentation is an important problem of computer "
        "vision. We propose an algorithm for image segmentation based on the wavelet transform. Results show small "
        "errors. The wavelet transform suits medical images.",
        {"image segmentation", "wavelet transform"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_phrases_a_document_is_about_come_first(language):
    text, about = DOCUMENTS[language]
    found = extract(text, top=4)
    assert about <= {keyword.text.lower() for keyword in found}
    assert all(0 < keyword.score < 1 and keyword.count >= 1 for keyword in found)
    assert {k.text.lower(): k.count for k in found}[min(about)] >= 3


@pytest.mark.parametrize("text", ["", "。!?", "的 了 the of", "12 34"])
def test_a_text_without_words_has_none(text):
    assert extract(text) == []


def test_one_word_is_enough():
    assert [k.text for k in extract("蝴蝶")] == ["蝴蝶"]
    assert [k.text for k in extract("Butterflies")] == ["Butterflies"]


@settings(max_examples=50)
@given(st.text(max_size=80))
def test_any_text_has_an_answer(text):
    found = extract(text, top=5)
    assert len(found) <= 5 and all(keyword.text for keyword in found)
    assert found == extract(text, top=5)


def test_what_repeats_a_better_phrase_is_passed_over():
    text = DOCUMENTS["en"][0]
    plain = [k.text.lower() for k in extract(text, top=8, overlap=0.0)]
    thinner = [k.text.lower() for k in extract(text, top=8, overlap=0.9)]
    assert plain[0] == thinner[0]
    parts = {"image", "segmentation", "wavelet", "transform"}
    assert sum(word in parts for word in thinner) <= sum(word in parts for word in plain)
    assert "segmentation" not in thinner, "it never stands without image"


def test_thinning_keeps_order_and_number():
    pool = scored(DOCUMENTS["zh"][0], tokens(DOCUMENTS["zh"][0]), Background())
    assert [c.key for c, _ in thinned(pool, 5, 0.0)] == [c.key for c, _ in pool[:5]]
    assert len(thinned(pool, 3, 0.5)) == 3 and thinned([], 3) == []


def test_likeness_is_overlap():
    assert likeness(("图像", "分割"), ("图像", "分割")) == 1
    assert likeness(("图像",), ("声音",)) == 0
    assert 0.3 < likeness(("image", "data"), ("image", "segmentation")) < 1


def test_a_background_changes_what_is_special():
    usual = Background.of([tokens("酒店的早餐。酒店的前台。酒店")] * 400)
    text = "酒店的早餐和酒店的游泳池。"
    alone = {k.text: k.score for k in extract(text)}
    beside = {k.text: k.score for k in extract(text, usual)}
    assert beside["游泳池"] / beside["酒店"] > alone["游泳池"] / alone["酒店"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_documents_together(language):
    text, about = DOCUMENTS[language]
    steps = []
    found = extract_overall([text, text, "独角兽 unicorn", ""], top=4, step=lambda: steps.append(1))
    assert about <= {keyword.text.lower() for keyword in found} and len(steps) == 4
    best = found[0]
    assert best.documents == 2 and best.count >= 4


def test_what_is_usual_anyway_does_not_stand_for_documents():
    documents = ["感觉酒店不错。", "酒店的感觉很好。", "对酒店有感觉。"]
    found = {k.text: k for k in extract_overall(documents, top=5)}
    assert found["酒店"].documents == found["感觉"].documents == 3
    plain = dict.fromkeys(("酒店", "感觉"), 0.0)
    for text in documents:
        for candidate, value in scored(text, tokens(text), Background()):
            if candidate.text in plain:
                plain[candidate.text] += value
    assert found["酒店"].score / found["感觉"].score > plain["酒店"] / plain["感觉"]
    everyday = Background.of([tokens(text) for text in documents * 300])
    assert all(
        k.score < 0.5 * found[k.text].score for k in extract_overall(documents, everyday) if k.text in found
    )
