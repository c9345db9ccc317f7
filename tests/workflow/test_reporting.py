"""What a run says of its models in words."""

import pytest

from wenmo.workflow.reporting import told_prediction, told_verdict
from wenmo.workflow.result import PredictedLoss


@pytest.mark.parametrize(
    ("measured", "words"), [(2.0, "as predicted."), (2.02, "1.0% above that."), (1.98, "1.0% below that.")]
)
def test_what_was_predicted_and_what_came(measured, words):
    found = PredictedLoss(
        share=0.58, predicted=2.0, low=1.9, high=2.1, measured=measured, error=2.0 / measured - 1
    )
    assert told_prediction(found).endswith(f"it ended at {measured:.3f}, {words}")


def test_one_model_is_judged_without_its_name():
    assert told_verdict({"gru": "No overfitting."}, None) == "No overfitting."
    told = told_verdict({"gru": "No overfitting."}, "It repeats itself.")
    assert told.splitlines() == ["No overfitting.", "It repeats itself."]


def test_several_models_are_judged_by_name():
    told = told_verdict({"transformer": "No overfitting.", "lstm": "It levelled off."}, None)
    assert told.splitlines() == ["transformer: No overfitting.", "lstm: It levelled off."]


def test_a_model_that_counts_has_no_curve():
    assert "counts" in told_verdict({}, None)
