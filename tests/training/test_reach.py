import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.training import reach
from wenmo.training.reach import Law, Reach, joint_loss, joint_sharpness, needed_loss

PROBED = Reach(10.0, 2.6, 40.0, 2.3)


def test_both_measured_losses_lie_on_the_curve() -> None:
    for ratio in (0.5, reach.RATIO, 0.9):
        assert PROBED.loss(40.0, Law(ratio, 1.0)) == pytest.approx(2.3)
    assert PROBED.fall == pytest.approx(math.log(2.6 / 2.3))


@given(st.floats(41.0, 1e5), st.floats(0.5, 0.95))
def test_time_and_loss_are_inverse(seconds: float, ratio: float) -> None:
    law = Law(ratio, 1.0)
    loss = PROBED.loss(seconds, law)
    assert PROBED.floor(law) < loss < 2.3
    assert PROBED.seconds(loss, law) == pytest.approx(seconds, rel=1e-3)


def test_a_curve_made_by_the_law_is_found_again() -> None:
    floor, rest, ratio = 1.5, 0.8, reach.RATIO

    def loss(seconds: float) -> float:
        return floor * math.exp(rest * ratio ** (math.log(seconds) / math.log(reach.STEP)))

    exact = Reach(20.0, loss(20.0), 80.0, loss(80.0))
    assert floor < exact.floor() < exact.loss(1e7)
    assert exact.seconds(loss(600.0)) == pytest.approx(600.0)


def test_what_lies_below_the_floor_takes_for_ever_and_the_interval_says_how_sure_that_is() -> None:
    seen = Reach(10.0, 2.6, 40.0, 2.3, passes=2.0)
    assert seen.seconds(seen.floor() * 0.99) == math.inf
    near = seen.seconds_span(2.25)
    assert 40.0 < near.low < near.likely < near.high < math.inf
    doubtful = seen.seconds_span(seen.floor() * 1.001)
    assert doubtful.low < doubtful.likely and doubtful.high == math.inf
    floor = seen.floor_span()
    assert floor.low < floor.likely < floor.high < 2.3


def test_what_repetition_costs_is_not_known_well_either() -> None:
    # A Chinese encyclopedia, 1.2 MB: after 280 s the network was at 2.348.
    seen = Reach(10.0, 2.722, 40.0, 2.478, passes=3.2, growth=0.5)
    fast, slow = reach.FAST, reach.SLOW
    assert fast.ratio > reach.RATIO > slow.ratio and fast.cost < 1.0 < slow.cost
    assert seen.loss(280.0, fast) < 2.348 < seen.loss(280.0, slow)
    assert seen.floor_span().low == seen.floor(fast) < seen.floor(Law(fast.ratio, 1.0))


def test_a_text_that_is_seen_often_has_a_higher_floor_and_more_of_it_lowers_that() -> None:
    floors = [Reach(10.0, 2.6, 40.0, 2.3, passes=passes).floor() for passes in (0.1, 1.0, 10.0, 40.0)]
    assert floors == sorted(floors) and floors[0] < floors[-1] - 0.1
    assert reach.repetition(1.0) == reach.repetition(reach.FREE_PASSES) == 0.0
    assert reach.repetition(8.0) == pytest.approx(reach.PENALTY * math.log(8.0 / reach.FREE_PASSES) ** 2)
    grows = Reach(10.0, 2.6, 40.0, 2.3, passes=10.0, growth=0.5)
    assert grows.floor() < floors[2]  # a model that grows as well sees the text less often


def test_a_longer_probe_that_is_no_better_goes_nowhere() -> None:
    flat = Reach(10.0, 2.0, 40.0, 2.01)
    assert flat.fall == 0.0 and flat.floor() == pytest.approx(2.01)
    assert flat.seconds(1.9) == math.inf and flat.seconds(2.2) == 40.0


def test_probes_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Reach(40.0, 2.0, 10.0, 2.5)


@given(st.floats(0.5, 4.0), st.floats(0.5, 4.0), st.floats(1.0, 20.0))
def test_a_mixture_is_better_than_both_and_its_sharpness_is_found_again(
    first: float, second: float, sharpness: float
) -> None:
    together = joint_loss(first, second, sharpness)
    assert together <= min(first, second)
    assert joint_loss(second, first, sharpness) == together
    if together < min(first, second) - 1e-4:
        assert joint_sharpness(first, second, together) == pytest.approx(sharpness, rel=1e-3)
        assert needed_loss(together, second, sharpness) == pytest.approx(first, rel=1e-3, abs=1e-3)


def test_a_mixture_that_gains_nothing_or_everything() -> None:
    assert joint_sharpness(2.0, 3.0, 2.0) == reach.SHARPEST
    assert joint_sharpness(2.0, 2.0, -10.0) == reach.SOFTEST
    assert needed_loss(2.1, 2.0, 5.0) == math.inf
