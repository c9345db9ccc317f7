"""What a run says of its models in words."""

from wenmo.workflow.reporting import told_verdict


def test_one_model_is_judged_without_its_name():
    assert told_verdict({"gru": "No overfitting."}, None) == "No overfitting."
    told = told_verdict({"gru": "No overfitting."}, "It repeats itself.")
    assert told.splitlines() == ["No overfitting.", "It repeats itself."]


def test_several_models_are_judged_by_name():
    told = told_verdict({"transformer": "No overfitting.", "lstm": "It levelled off."}, None)
    assert told.splitlines() == ["transformer: No overfitting.", "lstm: It levelled off."]


def test_a_model_that_counts_has_no_curve():
    assert "counts" in told_verdict({}, None)
