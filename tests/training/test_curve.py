import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.evaluation import doubling
from wenmo.training import curve, reach
from wenmo.training.curve import between, last_fall, predict_ending

BENCH = Path(__file__).resolve().parents[2] / "bench"
TWELFTHS = [n / 12 for n in range(1, 13)]


def fits() -> ModuleType:
    """The module of the fits, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("laws_fit", BENCH / "laws_fit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["laws_fit"] = module
    spec.loader.exec_module(module)
    return module


def points() -> list[dict]:
    lines = (BENCH / "results" / "laws.points.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_law_of_the_curve_is_what_the_recorded_points_say() -> None:
    table = fits().fit_curve(points())
    assert [row["share"] for row in table] == pytest.approx(curve.SHARES, abs=1e-3)
    assert [row["gain"] for row in table] == pytest.approx(curve.GAINS, abs=2e-3)
    assert [row["cooling"] for row in table] == pytest.approx(curve.COOLINGS, abs=2e-4)
    assert [row["spread"] for row in table] == pytest.approx(curve.SPREADS, abs=2e-3)
    falls = []
    for row in points():
        if row["kind"] == "run":
            shares, losses = ([step[name] for step in row["curve"]] for name in ("share", "valid"))
            for count in range(1, len(shares)):
                if shares[count - 1] >= curve.EARLIEST:
                    falls.append(last_fall(shares[:count], losses[:count]) or 0.0)
    assert curve.STEEPEST - 0.02 < max(falls) <= curve.STEEPEST


def test_recorded_trainings_end_near_what_was_predicted_without_their_text() -> None:
    module = fits()
    early, sure = (
        [abs(error) for _, error in module.left_out(module.endings(points(), share))]
        for share in (5 / 12, 7 / 12)
    )
    assert min(len(early), len(sure)) >= 50
    assert sum(error < 0.03 for error in early) >= 0.9 * len(early)
    long = [
        point for point in points() if point.get("seconds", math.inf) >= 15.0
    ]  # not of half a minute's budget
    early_long = [abs(error) for _, error in module.left_out(module.endings(long, 5 / 12))]
    assert len(early_long) >= 40 and max(early_long) < 0.05
    assert sum(error < 0.03 for error in early_long) >= 0.9 * len(early_long)
    assert sum(error < 0.03 for error in sure) >= 0.98 * len(sure) and max(sure) < 0.031


def test_the_laws_across_trainings_and_texts_are_what_the_recorded_points_say() -> None:
    module = fits()
    ratios = [row["ratio"] for row in module.fit_reach(points())["rows"]]
    width = reach.NINETY * reach.RATIO_SPREAD
    assert ratios and all(reach.RATIO - width <= min(ratio, 1.0) <= reach.RATIO + width for ratio in ratios)
    repetition = module.fit_repetition(module.fit_network(points()))
    assert pytest.approx(repetition, abs=2e-4) == reach.PENALTY
    ngram = module.fit_ngram(points())
    assert pytest.approx(ngram["kept"], abs=2e-3) == doubling.KEPT
    assert pytest.approx(ngram["spread"], abs=2e-3) == doubling.KEPT_SPREAD


@given(st.floats(0.5, 4.0), st.floats(0.01, 0.3))
def test_a_power_law_falls_by_its_exponent(first: float, exponent: float) -> None:
    losses = [first * share**-exponent for share in TWELFTHS]
    for count in range(2, 13):
        fall = last_fall(TWELFTHS[:count], losses[:count])
        assert fall == pytest.approx(exponent * math.log(2.0), rel=1e-6)


def test_too_little_is_no_ground_for_a_prediction() -> None:
    losses = [3.0 - share for share in TWELFTHS]
    assert last_fall(TWELFTHS[:1], losses[:1]) is None
    assert predict_ending([], []) is None
    assert predict_ending(TWELFTHS[:4], losses[:4]) is None  # a third of the time
    assert predict_ending(TWELFTHS, losses) is None  # over
    assert predict_ending([0.45], [2.0]) is None
    assert predict_ending([0.2, 0.5], [math.inf, 2.0]) is None


def test_a_fall_beyond_those_of_the_law_is_no_ground_for_a_prediction() -> None:
    steep = [2.5 * share**-0.4 for share in TWELFTHS]
    assert last_fall(TWELFTHS[:6], steep[:6]) == pytest.approx(0.4 * math.log(2.0)) and curve.STEEPEST < 0.27
    assert predict_ending(TWELFTHS[:6], steep[:6]) is None
    calmer = [*steep[:6], *(steep[5] * 0.99**count for count in range(1, 5))]
    assert predict_ending(TWELFTHS[:10], calmer) is not None


def test_a_prediction_is_below_the_loss_and_its_interval_narrows() -> None:
    losses = [2.5 * share**-0.1 for share in TWELFTHS]
    widths = []
    for count in range(5, 12):
        ending = predict_ending(TWELFTHS[:count], losses[:count])
        assert ending is not None and ending.share == TWELFTHS[count - 1]
        assert ending.low < ending.loss < ending.high <= losses[count - 1]
        widths.append(ending.high - ending.low)
    assert widths == sorted(widths, reverse=True)


def test_a_loss_that_rises_is_not_predicted_to_rise_on() -> None:
    losses = [2.5, 2.2, 2.0, 2.1, 2.2, 2.3]
    ending = predict_ending(TWELFTHS[:6], losses)
    assert ending is not None and ending.loss == ending.high == 2.0 > ending.low  # the best weights are kept


def test_one_noisy_evaluation_does_not_end_the_fall() -> None:
    losses = [2.5 * share**-0.1 for share in TWELFTHS[:7]]
    calm = predict_ending(TWELFTHS[:7], losses)
    losses[-1] = losses[-2] * 1.002  # a little above the best, and far below that of half the time
    noisy = predict_ending(TWELFTHS[:7], losses)
    assert calm is not None and noisy is not None
    assert noisy.loss < 0.98 * min(losses)
    assert noisy.loss == pytest.approx(calm.loss, rel=0.04)


def test_the_law_is_continuous_and_nothing_is_left_at_the_end() -> None:
    assert between(0.1, curve.GAINS) == curve.GAINS[0]
    assert between(curve.SHARES[3], curve.GAINS) == pytest.approx(curve.GAINS[3])
    middle = between((curve.SHARES[0] + curve.SHARES[1]) / 2, curve.GAINS)
    assert middle == pytest.approx((curve.GAINS[0] + curve.GAINS[1]) / 2)
    assert between(1.0, curve.GAINS) == 0.0
