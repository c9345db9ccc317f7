import numpy as np
import pytest

from wenmo.semantics.background import Background
from wenmo.semantics.candidates import candidates
from wenmo.semantics.ranking import FEATURES, UNUSED, WEIGHTS, features, probabilities
from wenmo.semantics.tokens import tokens

TEXTS = {
    "zh": "图像分割的算法研究。本文提出图像分割的新算法,用小波变换处理图像,误差较小。",
    "en": "Image segmentation by wavelets. We propose image segmentation with a wavelet transform; the error is small.",
}


def described(text, background=None):
    read = tokens(text)
    found = list(candidates(text, read).values())
    return found, read, features(found, read, background or Background())


def test_every_feature_has_a_weight_and_unused_ones_none():
    for script, weights in WEIGHTS.items():
        assert len(weights) == len(FEATURES) + 1
        for name, weight in zip(FEATURES, weights[1:], strict=True):
            assert (weight == 0) == (name in UNUSED[script])


@pytest.mark.parametrize("language", ["zh", "en"])
def test_features_are_what_they_say(language):
    found, _, values = described(TEXTS[language])
    assert values.shape == (len(found), len(FEATURES)) and np.isfinite(values).all()
    column = {name: values[:, i] for i, name in enumerate(FEATURES)}
    for i, candidate in enumerate(found):
        assert column["first"][i] == pytest.approx(np.log1p(candidate.starts[0]))
        assert column["frequency"][i] == pytest.approx(np.log(candidate.frequency))
        assert column["one_word"][i] + column["two_words"][i] + column["long"][i] == (len(candidate.key) != 3)
        assert 0 <= column["free"][i] <= 1 and column["bound"][i] <= 0 and 0 <= column["spread"][i] <= 1


@pytest.mark.parametrize("language", ["zh", "en"])
def test_probabilities_are_the_logistic_model(language):
    found, read, values = described(TEXTS[language])
    script = {"zh": "han", "en": "latin"}[language]
    expected = 1 / (1 + np.exp(-(WEIGHTS[script][0] + values @ np.array(WEIGHTS[script][1:]))))
    assert probabilities(found, read, Background()) == pytest.approx(expected)


def test_a_word_of_every_document_is_less_specific_than_a_rare_one():
    text = "酒店有游泳池。"
    background = Background.of([tokens("酒店很好。酒店不错")] * 500)
    found, _, values = described(text, background)
    specific = {c.text: values[i, FEATURES.index("specificity")] for i, c in enumerate(found)}
    assert specific["酒店"] < specific["游泳池"]


def test_no_candidates_give_no_rows():
    assert features([], tokens("的"), Background()).shape == (0, len(FEATURES))
    assert probabilities([], [], Background()).shape == (0,)
