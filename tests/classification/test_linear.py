import numpy as np
import pytest
from scipy.optimize import minimize

import wenmo.classification.fitting as fitting
from reviews import reviews
from wenmo.classification.features import Counter, NgramSettings, matrix
from wenmo.classification.fitting import default_ngrams, fit_linear
from wenmo.classification.folds import fold_numbers
from wenmo.classification.linear import (
    LinearModel,
    fit_weights,
    normalised,
    pack_weights,
    scales,
    unpack_weights,
)
from wenmo.errors import ModelError


def data(language, count=60, longest=2):
    pairs = reviews(language, count)
    texts = [text for text, _ in pairs]
    labels = np.array([int(label == "pos") for _, label in pairs])
    counter = Counter(NgramSettings(words=longest))
    chunks = counter.read(texts)
    return texts, labels, normalised(matrix(chunks, counter.table(chunks, 1)))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scheme", ["nbidf", "nb", "idf"])
def test_the_fit_is_the_minimum_of_the_penalised_loss(language, scheme):
    _, labels, x = data(language)
    scale = scales(x, labels, 1, scheme)
    strength, dense = 3.0, x.toarray().astype(float) * scale
    signs = 2 * labels - 1

    def loss(w):  # liblinear penalises the bias too
        margin = signs * (dense @ w[:-1] + w[-1])
        return strength * np.logaddexp(0, -margin).sum() + 0.5 * w @ w

    reference = minimize(loss, np.zeros(dense.shape[1] + 1), method="L-BFGS-B", options={"maxiter": 2000})
    weights, bias = fit_weights(x, labels, 2, scheme, strength)
    ours = np.append(weights[:, 0] / np.where(scale == 0, 1, scale), bias)
    assert loss(ours) <= reference.fun * 1.001
    scores = x @ weights[:, 0] + bias[0]
    assert np.abs(scores - (dense @ reference.x[:-1] + reference.x[-1])).max() < 0.1


def test_log_count_ratios_are_those_of_wang_and_manning():
    _, labels, x = data("en", longest=1)
    found = (x > 0).toarray().astype(float)
    p, q = 1 + found[labels == 1].sum(axis=0), 1 + found[labels == 0].sum(axis=0)
    assert np.allclose(scales(x, labels, 1, "nb"), np.log((p / p.sum()) / (q / q.sum())), atol=1e-6)
    assert np.allclose(scales(x, labels, 0, "nb"), -scales(x, labels, 1, "nb"), atol=1e-6)


def test_texts_have_length_one_and_empty_ones_zero():
    _, _, x = data("zh")
    assert np.allclose(np.sqrt(x.multiply(x).sum(axis=1)), 1)
    counter = Counter(NgramSettings())
    assert normalised(matrix(counter.read(["", "！"]), np.zeros(0, np.uint64))).nnz == 0


def test_bytes_keep_small_weights():
    weights = np.random.default_rng(0).laplace(scale=0.05, size=(5_000, 2)).astype(np.float32)
    weights[0] = 4.0
    restored = unpack_weights(*pack_weights(weights))
    x = np.random.default_rng(1).random((50, 5_000)) < 0.02
    assert np.abs(x @ weights - x @ restored).max() < 0.1 < np.abs(x @ weights).std()
    assert np.array_equal(unpack_weights(*pack_weights(restored)), restored)


@pytest.mark.parametrize("classes", [2, 3])
def test_saving_and_loading_gives_the_same_scores(tmp_path, classes):
    texts, labels, _ = data("zh")
    labels = np.arange(len(labels)) % classes
    fit = fit_linear(texts, labels, classes, fold_numbers(texts, labels, 3))
    fit.model.save(tmp_path / "m.safetensors")
    loaded = LinearModel.load(tmp_path / "m.safetensors")
    assert np.array_equal(loaded.scores(texts), fit.model.scores(texts))
    assert loaded.scores(["", "never seen before"]).shape == (2, classes)
    size = (tmp_path / "m.safetensors").stat().st_size
    assert size < (6 + loaded.weights.shape[1]) * len(loaded.table) + 2_000
    (tmp_path / "m.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="damaged"):
        LinearModel.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_it_learns_from_few_examples(language):
    texts, labels, _ = data(language, 40)
    fit = fit_linear(texts, labels, 2, fold_numbers(texts, labels, 5))
    assert ((fit.scores.argmax(axis=1) == labels).mean()) > 0.9
    others = [(text, int(label == "pos")) for text, label in reviews(language, 40, seed=1)]
    right = fit.model.scores([text for text, _ in others]).argmax(axis=1) == [label for _, label in others]
    assert right.mean() > 0.9
    assert fit.chosen in fit.trials and min(t.log_loss for t in fit.trials) == fit.chosen.log_loss


def test_a_label_without_words_of_its_own_is_not_learned():
    texts, _, _ = data("en", 80)
    labels = np.random.default_rng(0).integers(0, 2, 80)
    fit = fit_linear(texts, labels, 2, fold_numbers(texts, labels, 5))
    assert (fit.unbiased.argmax(axis=1) == labels).mean() < 0.7


def test_no_time_still_gives_a_model():
    texts, labels, _ = data("en")
    assert len(fit_linear(texts, labels, 2, fold_numbers(texts, labels, 3), seconds=0).trials) == 1


def test_default_ngrams_differ_by_language():
    assert default_ngrams(["服务很好"]) == NgramSettings(words=2, characters=5)
    assert default_ngrams(["good service"]) == NgramSettings(words=3, characters=5)
    assert default_ngrams(["good service " * 100_000] * 10).characters == 0


def test_many_examples_are_compared_on_some_of_them(monkeypatch):
    texts, labels, _ = data("en", 90)
    monkeypatch.setattr(fitting, "CHOSEN_IN_FOLDS_BELOW", 0)
    monkeypatch.setattr(fitting, "COMPARED_ON", 30)
    learned = []
    original = fitting.fit_weights
    monkeypatch.setattr(
        fitting, "fit_weights", lambda x, *rest: learned.append(x.shape[0]) or original(x, *rest)
    )
    fit = fit_linear(texts, labels, 2, np.where(np.arange(90) < 10, 0, -1))
    assert set(learned) == {30, 80, 90} and learned[-2:] == [90, 80]
    assert fit.scores.shape == (10, 2) and (fit.scores.argmax(axis=1) == labels[:10]).mean() > 0.8


@pytest.mark.parametrize("best", range(6))
@pytest.mark.parametrize("begin", range(6))
def test_the_climb_finds_the_bottom_of_a_valley(begin, best):
    tried = []
    fitting.climb(lambda v: tried.append(v) or abs(v - best), range(6), begin, lambda: True)
    assert best in tried and len(tried) == len(set(tried))
    assert len(tried) <= abs(best - begin) + 3


def test_the_climb_ends_with_the_time():
    tried = []
    fitting.climb(lambda v: tried.append(v) or -v, range(6), 0, lambda: len(tried) < 2)
    assert tried == [0, 1]
