import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from wenmo.answering.confidence import Held, fit_confidence, logistic_regression


def test_logistic_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * [1.0, 5.0, 0.2] + [0.0, 3.0, -1.0]
    y = (x @ [1.0, -0.3, 2.0] + rng.normal(size=200) > -2).astype(float)
    ours = logistic_regression(x, y, penalty=1.0)
    scaled = (x - x.mean(0)) / x.std(0)
    peer = LogisticRegression(C=1.0, tol=1e-10).fit(scaled, y)
    np.testing.assert_allclose(ours[:-1] * x.std(0), peer.coef_[0], rtol=2e-3)


def test_the_threshold_keeps_the_right_and_refuses_the_wrong():
    rng = np.random.default_rng(1)
    good = [Held((float(value),), 1.0, True) for value in rng.normal(3, 1, 100)]
    bad = [Held((float(value),), 0.0, False) for value in rng.normal(-3, 1, 100)]
    fitted = fit_confidence(good + bad)
    assert fitted.answerable_f1 > 97 and fitted.refused > 97
    assert fitted.probability(np.array([4.0])) > fitted.threshold > fitted.probability(np.array([-4.0]))
    again = type(fitted).model_validate_json(fitted.model_dump_json())
    assert again == fitted


def test_a_hopeless_reader_refuses():
    held = [Held((0.0,), 0.0, True)] * 20 + [Held((0.0,), 0.0, False)] * 20
    fitted = fit_confidence(held)
    assert fitted.refused == 100 and fitted.answerable_f1 == 0


def test_both_kinds_are_needed():
    with pytest.raises(ValueError, match="with and without"):
        fit_confidence([Held((0.0,), 1.0, True)])
