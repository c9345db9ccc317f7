import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.workflow import clock
from wenmo.workflow.clock import Clock, Cost


class FakeTime:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


def started(budget: float | None, **changes: object) -> tuple[Clock, FakeTime]:
    now = FakeTime()
    return Clock(budget, now(), now=now, **changes), now  # type: ignore[arg-type]


def test_time_is_divided_among_the_trainings_that_are_left() -> None:
    now, _ = started(600.0)
    assert now.training(2) == pytest.approx(now.training(1) / 2)
    assert now.training(1) == pytest.approx(600.0 - now.reserve(1))


def test_more_text_reserves_more_time_up_to_what_compressors_read() -> None:
    reserves = [started(60.0, text_bytes=size)[0].reserve() for size in (0, 10**6, clock.MOST_BYTES, 10**12)]
    assert reserves[0] < reserves[1] < reserves[2] == reserves[3]


def test_half_a_minute_on_seven_megabytes_leaves_time_for_a_network() -> None:
    half, time = started(
        30.0, text_bytes=7_090_000, held_out_bytes=394_000.0, scoring_speeds={"ngram": 250_000.0}
    )
    time.pass_by(11.3)  # prepared, tokenized and counted
    assert half.training(1) > 2.0


def test_a_budget_that_is_used_up_leaves_nothing() -> None:
    late, time = started(10.0)
    time.pass_by(100.0)
    assert late.left == -90.0 and late.training(1) == 0.0 and late.allowance("variety") == late.variety
    late.plan_finish({"variety": 2.0})
    assert late.allowance("variety") == 0.0


def test_without_a_budget_there_is_no_end() -> None:
    free, _ = started(None)
    assert math.isinf(free.training(3)) and free.left == math.inf
    free.plan_finish({"weights": 3.0, "samples": 2.0})
    with free.stage("weights") as seconds:
        assert seconds == clock.UNBOUNDED_SCORING  # ample: what is done must not depend on the speed
    assert free.allowance("samples") == clock.UNBOUNDED_SCORING


def test_measured_speeds_replace_the_guess() -> None:
    now, _ = started(3600.0, held_out_bytes=1_000_000)
    guessed = now.reserve(1)
    now.scoring_speeds["ngram"] = 400_000.0
    assert now.reserve(1) == guessed
    now.scoring_speeds["transformer"] = 50_000.0
    seconds = clock.SCORING_MARGIN * (1e6 / 400_000 + 1e6 / 50_000)
    expected = clock.FINISH_SECONDS + 2 * (0.5 + seconds) + clock.LONGEST_VARIETY
    assert now.reserve() == pytest.approx(expected)
    assert now.reserve(1) > now.reserve() < guessed


def test_a_slow_model_reserves_no_more_than_the_share() -> None:
    slow, _ = started(60.0, held_out_bytes=10**8, scoring_speeds={"ngram": 4e5, "lstm": 1e3})
    assert slow.scoring_seconds(1e8) == slow.scoring == clock.SCORING_SHARE * 60.0


def test_a_planned_finish_is_what_is_reserved_and_shrinks_as_it_goes() -> None:
    now, time = started(60.0)
    now.plan_finish({"saving": 1.0, "weights": 2.0, "variety": 3.0})
    assert now.reserve(5) == 6.0 and now.training(1) == 54.0
    assert list(now.expected) == ["weights", "variety", "saving"]
    time.pass_by(54.0)
    with now.stage("weights") as seconds:
        assert seconds == pytest.approx(2.0)
        time.pass_by(2.0)
    assert now.reserve() == 4.0
    with pytest.raises(ValueError, match="coffee"):
        now.plan_finish({"coffee": 1.0})


def test_stages_are_measured_and_an_inner_one_counts_for_itself() -> None:
    now, time = started(60.0)
    with now.stage("training"):
        time.pass_by(5.0)
        with now.stage("rivals"):
            time.pass_by(2.0)
        time.pass_by(1.0)
    with now.stage("training"):
        time.pass_by(4.0)
    assert now.spent == {"rivals": 2.0, "training": 10.0}
    assert sum(now.spent.values()) == now.elapsed


def test_late_stages_are_shortened_in_proportion_and_early_ones_stretch_the_last() -> None:
    finish = {"weights": 4.0, "scores": 5.0, "samples": 2.0, "variety": 2.0, "saving": 1.0}
    late, time = started(60.0)
    late.plan_finish(finish)
    time.pass_by(60.0 - 14.0 + 4.0)  # four seconds late: half of what the elastic stages were planned with
    assert [late.allowance(name) for name in ("weights", "samples")] == pytest.approx([2.0, 1.0])
    assert late.allowance("scores") == 5.0
    early, time = started(60.0)
    early.plan_finish(finish)
    time.pass_by(60.0 - 14.0 - 3.0)
    assert early.allowance("weights") == 4.0
    early.expected = {"variety": 2.0, "saving": 12.0}
    assert early.allowance("variety") == 5.0
    early.expected = {"variety": 2.0}
    assert early.allowance("variety") == clock.STRETCH * 2.0


@given(
    budget=st.sampled_from([30.0, 60.0, 120.0, 600.0, 3600.0]),
    weights=st.floats(0.0, 0.06),
    scores=st.floats(0.005, 0.06),
    samples=st.floats(0.01, 0.04),
    saving=st.floats(0.002, 0.03),
    speed=st.floats(0.75, 1.35),
    change=st.floats(0.85, 1.2),
)
def test_the_budget_is_kept_within_five_percent_whatever_the_speed(
    budget: float, weights: float, scores: float, samples: float, saving: float, speed: float, change: float
) -> None:
    """A finish on a machine that is slower or faster than when it was measured, and changes again half-way.

    Elastic stages measure their speed anew and fill their allowance, or do all there is to do; the others take what
    they take.
    """
    now, time = started(budget)
    work = {"weights": weights, "scores": scores, "samples": samples, "saving": saving}
    plan = {name: share * budget for name, share in work.items()}
    now.plan_finish({**plan, "variety": now.variety, "leaving": 0.2})
    time.pass_by(now.training(1))
    for name in ("weights", "scores", "samples", "variety", "saving"):
        pace = speed if name in ("weights", "scores") else speed * change
        with now.stage(name) as seconds:
            if name == "variety":
                time.pass_by(min(seconds, pace * clock.STRETCH * now.variety))
            elif name in clock.ELASTIC:
                time.pass_by(min(seconds, pace * plan[name]))
            else:
                time.pass_by(pace * plan[name])
    time.pass_by(0.2)
    assert abs(now.elapsed / budget - 1.0) < 0.05


def test_a_cost_is_the_line_through_two_timings() -> None:
    cost = Cost.through(400, 1.4, 2000, 3.0)
    assert (cost.once, cost.token) == (pytest.approx(1.0), pytest.approx(1e-3))
    assert cost.of(5000) == pytest.approx(6.0) and cost.tokens(6.0, 10**6) == pytest.approx(5000, abs=1)
    assert cost.tokens(0.5, 100) == 0 and cost.tokens(math.inf, 100) == cost.tokens(6.0, 100) == 100
    disturbed = Cost.through(400, 2.9, 2000, 3.0)
    assert disturbed.token == pytest.approx(clock.LEAST_SLOPE * 1.5e-3)
    assert disturbed.of(2000) == pytest.approx(3.0)
    alike = Cost.through(300, 0.5, 300, 0.6)
    assert (alike.once, alike.token) == (0.0, pytest.approx(2e-3))
    slow = Cost.through(400, 0.1, 2000, 3.0)  # a disturbed longer one: nothing is less than nothing
    assert slow.once == 0.0 and slow.token == pytest.approx(2.9 / 1600)
