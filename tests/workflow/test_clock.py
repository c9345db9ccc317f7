import math
import time

import pytest

from wenmo.workflow import clock
from wenmo.workflow.clock import Clock


def test_time_is_divided_among_the_trainings_that_are_left() -> None:
    now = Clock(600.0, time.monotonic())
    assert now.training(2) == pytest.approx(now.training(1) / 2, abs=0.1)
    assert now.training(1) == pytest.approx(600.0 - now.reserve, abs=0.1)


def test_more_text_reserves_more_time_up_to_what_compressors_read() -> None:
    reserves = [Clock(60.0, 0.0, size).reserve for size in (0, 10**6, clock.MOST_BYTES, 10**12)]
    assert reserves[0] < reserves[1] < reserves[2] == reserves[3]


def test_a_budget_that_is_used_up_leaves_nothing() -> None:
    late = Clock(10.0, time.monotonic() - 100.0)
    assert late.left < 0 and late.training(1) == 0.0


def test_without_a_budget_there_is_no_end() -> None:
    assert math.isinf(Clock(None, 0.0).training(3))


def test_a_short_test_text_takes_less_than_its_share_of_a_long_budget() -> None:
    short, long = Clock(3600.0, 0.0, held_out_bytes=10_000), Clock(3600.0, 0.0, held_out_bytes=10**9)
    assert short.scoring == pytest.approx(1.5)
    assert long.scoring == clock.SCORING_SHARE * 3600.0
