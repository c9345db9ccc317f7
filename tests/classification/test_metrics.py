import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from wenmo.classification.calibration import Calibration, fit_calibration, fit_favour, identity
from wenmo.classification.metrics import (
    bootstrap_macro_f1,
    calibration_error,
    confusion,
    log_loss,
    log_softmax,
    macro_f1,
    scores_of,
    wilson,
)

RANDOM = np.random.default_rng(0)


def sample(n=500, classes=3, strength=2.0):
    labels = RANDOM.integers(0, classes, n)
    scores = RANDOM.normal(size=(n, classes))
    scores[np.arange(n), labels] += strength
    return scores, labels


def test_scores_are_those_of_scikit_learn():
    scores, labels = sample()
    log_probs = log_softmax(scores)
    said = scores.argmax(axis=1)
    assert (confusion(said, labels, 3) == reference.confusion_matrix(labels, said)).all()
    assert macro_f1(confusion(said, labels, 3)) == pytest.approx(
        reference.f1_score(labels, said, average="macro")
    )
    assert log_loss(log_probs, labels) == pytest.approx(reference.log_loss(labels, np.exp(log_probs)))
    assert scores_of(log_probs, labels)["accuracy"] == reference.accuracy_score(labels, said)


def test_classes_that_do_not_occur_do_not_count():
    assert macro_f1(confusion(np.array([0, 1]), np.array([0, 1]), 5)) == 1.0


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_contains_the_share(hits, total):
    hits = min(hits, total)
    low, high = wilson(hits, total)
    assert 0 <= low <= hits / total <= high <= 1


def test_wilson_against_known_values():
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_bootstrap_interval_is_about_right():
    labels = np.arange(400) % 2
    said = np.where(RANDOM.random(400) < 0.1, 1 - labels, labels)
    low, high = bootstrap_macro_f1(said, labels, 2)
    assert low < (said == labels).mean() < high and 0.03 < high - low < 0.09


def test_calibration_error_of_known_cases():
    probs = np.full((100, 2), 0.5)
    probs[:, 0], probs[:, 1] = 0.8, 0.2
    labels = np.array([0] * 80 + [1] * 20)
    assert calibration_error(probs, labels) == pytest.approx(0.0, abs=1e-9)
    assert calibration_error(probs, np.zeros(100, int)) == pytest.approx(0.2)


def test_temperature_is_found_again():
    scores, _ = sample(20_000)
    labels = np.array([RANDOM.choice(3, p=p) for p in np.exp(log_softmax(scores))])
    fitted = fit_calibration(scores * 4 + 10, labels)
    assert fitted.temperature == pytest.approx(4, rel=0.05)
    assert np.ptp(fitted.offsets) < 0.1
    assert calibration_error(np.exp(fitted.log_probs(scores * 4)), labels) < 0.02


def test_few_examples_do_not_make_probabilities_extreme():
    scores = np.array([[1.0, -1.0], [-1.0, 1.0]] * 5)
    labels = np.array([0, 1] * 5)
    assert np.exp(fit_calibration(scores, labels).log_probs(scores)).max() < 0.999
    assert isinstance(fit_calibration(np.zeros((0, 2)), np.zeros(0, int)), Calibration)


def test_calibration_lowers_the_log_loss():
    scores, labels = sample()
    for factor in (0.1, 1, 10):
        changed = scores * factor + np.array([2.0, 0, 0])
        fitted = fit_calibration(changed, labels)
        plain = identity(3).log_probs(changed)
        assert log_loss(fitted.log_probs(changed), labels) <= log_loss(plain, labels) + 1e-3


def test_rare_classes_are_favoured_only_where_it_helps():
    scores, labels = sample(900)
    assert not fit_favour(log_softmax(scores), labels).any()
    rare = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:20]])
    weak = log_softmax(scores[rare][:, :2] * 0.3 + np.array([2.0, 0.0]))
    favour = fit_favour(weak, labels[rare])
    assert favour[1] > favour[0] >= 0
    better = confusion((weak + favour).argmax(axis=1), labels[rare], 2)
    assert macro_f1(better) > macro_f1(confusion(weak.argmax(axis=1), labels[rare], 2))
