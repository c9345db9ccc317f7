"""What a run says of its models in words."""

from wenmo.evaluation.verdict import overfitting_verdict
from wenmo.workflow.reporting import told_verdict


def verdict(losses):
    return overfitting_verdict(
        [{"seconds": 10.0 * i, "train_bpb": loss, "valid_bpb": loss} for i, loss in enumerate(losses)]
    )


def test_one_model_is_judged_without_its_name():
    falling = verdict([4.0, 3.0, 2.5, 2.2, 2.0])
    assert told_verdict({"gru": falling}, None) == falling.sentence
    assert told_verdict({"gru": falling}, "It repeats itself.").splitlines() == [
        falling.sentence,
        "It repeats itself.",
    ]


def test_several_models_are_judged_by_name():
    falling, level = verdict([4.0, 3.0, 2.5, 2.2, 2.0]), verdict([4.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    assert falling.kind != level.kind
    told = told_verdict({"transformer": falling, "lstm": level}, None).splitlines()
    assert told == [f"transformer: {falling.sentence}", f"lstm: {level.sentence}"]


def test_a_model_that_counts_has_no_curve():
    assert "counts" in told_verdict({}, None)
