import random

import pytest

from wenmo.evaluation.overfitting import (
    Overfitting,
    gap_opening,
    measures_of,
    noise_of,
    onset,
    significant_rise,
)
from wenmo.evaluation.verdict import Course, overfitting_verdict


def curve(train: list[float], valid: list[float]) -> list[dict[str, float]]:
    return [
        {
            "step": 100 * (i + 1),
            "seconds": 60.0 * (i + 1),
            "epochs": 2.5 * (i + 1),
            "train_bpb": t,
            "valid_bpb": v,
        }
        for i, (t, v) in enumerate(zip(train, valid, strict=True))
    ]


TRAIN = [3.0 * n**-0.3 for n in range(1, 13)]
RISING = [3.1, 2.8, 2.6, 2.5, 2.45, 2.43, 2.45, 2.49, 2.54, 2.6, 2.66, 2.72]


def test_overfitting_began_at_the_best_evaluation_with_step_time_and_passes() -> None:
    verdict = overfitting_verdict(curve(TRAIN, RISING))
    began = verdict.facts.began
    assert verdict.kind == "overfitting" and began is not None
    assert (began.step, began.seconds, began.epochs) == (600, 360.0, 15.0)
    assert "began after 6 min 00 s (step 600, 15.0 passes over the text)" in verdict.sentence
    assert verdict.facts.rise == pytest.approx(2.72 / 2.43 - 1.0)
    assert verdict.facts.gap == pytest.approx(2.72 - TRAIN[-1])
    assert verdict.facts.gap_opened is not None and verdict.facts.gap_opened.step <= 600


def test_what_the_recipe_did_and_what_would_help_are_said() -> None:
    plan = {"dropout": 0.1, "weight_decay": 0.4, "embedding_decay": 2.0, "averaging": "ema", "patience": 4}
    verdict = overfitting_verdict(curve(TRAIN, RISING), Course(plan, "early"))
    assert verdict.facts.measures == [
        "dropout 0.1",
        "weight decay 0.4",
        "decay 2 of the embedding",
        "an average of the weights",
        "an end after 4 evaluations without a gain",
        "the weights of the best evaluation kept",
    ]
    assert (
        "dropout 0.1, weight decay 0.4, decay 2 of the embedding, an average of the weights"
        in verdict.sentence
    )
    # It began half-way, so that half of the time gained nothing: the sentence names the option and a value.
    assert "50% of the time gained nothing" in verdict.sentence
    assert "--model.dropout 0.25 instead of 0.1" in verdict.sentence
    late = overfitting_verdict(
        curve(TRAIN, [3.1 - 0.05 * n for n in range(10)] + [2.68, 2.72]), Course(plan, "budget")
    )
    assert "More text would help most" in late.sentence and "--model.dropout" not in late.sentence
    assert measures_of({"dropout": 0.0, "weight_decay": 0.1}, "budget")[0] == "no dropout"


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_overfitting(seed: int) -> None:
    generator = random.Random(seed)
    level = [2.0 + 1.0 / n + generator.gauss(0.0, 0.02) for n in range(1, 25)]
    rows = curve([2.0 - 0.01 * n for n in range(24)], level)
    assert 0.004 < noise_of(level) < 0.02
    assert onset(rows) is None


def test_noise_is_estimated_from_the_bends_and_a_smooth_curve_has_next_to_none() -> None:
    generator = random.Random(0)
    noisy = [2.0 * (1.0 + generator.gauss(0.0, 0.01)) for _ in range(400)]
    assert noise_of(noisy) == pytest.approx(0.01, rel=0.2)
    assert noise_of([2.0 + 0.5 / n for n in range(4, 30)]) < 0.001
    assert noise_of([3.0, 2.0, 2.5]) == 0.0
    assert significant_rise(noisy) == pytest.approx(0.03, rel=0.2)


def test_a_gap_that_closes_again_did_not_open() -> None:
    rows = curve([2.0, 1.7, 1.6, 2.3], [2.2, 2.2, 2.2, 2.2])
    assert gap_opening(rows) is None and gap_opening([]) is None
    opened = gap_opening(curve([2.2, 1.7, 1.6, 1.5], [2.2, 2.2, 2.2, 2.2]))
    assert opened is not None and opened["step"] == 200


def test_the_numbers_are_json() -> None:
    facts = overfitting_verdict(curve(TRAIN, RISING)).facts
    assert Overfitting.model_validate_json(facts.model_dump_json()) == facts
