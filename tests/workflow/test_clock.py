import math
import time

import pytest

from wenmo.workflow import clock
from wenmo.workflow.clock import Clock


def test_time_is_divided_among_the_trainings_that_are_left() -> None:
    now = Clock(600.0, time.monotonic())
    assert now.training(2) == pytest.approx(now.training(1) / 2, abs=0.1)
    assert now.training(1) == pytest.approx(600.0 - now.reserve(1), abs=0.1)


def test_more_text_reserves_more_time_up_to_what_compressors_read() -> None:
    reserves = [Clock(60.0, 0.0, size).reserve() for size in (0, 10**6, clock.MOST_BYTES, 10**12)]
    assert reserves[0] < reserves[1] < reserves[2] == reserves[3]


def test_a_budget_that_is_used_up_leaves_nothing() -> None:
    late = Clock(10.0, time.monotonic() - 100.0)
    assert late.left < 0 and late.training(1) == 0.0


def test_without_a_budget_there_is_no_end() -> None:
    assert math.isinf(Clock(None, 0.0).training(3))


def test_a_short_test_text_takes_less_than_its_share_of_a_long_budget() -> None:
    short, long = Clock(3600.0, 0.0, held_out_bytes=10_000), Clock(3600.0, 0.0, held_out_bytes=10**9)
    assert short.reserve() == pytest.approx(clock.FINISH_SECONDS + 2 * (1.5 + clock.LONGEST_VARIETY))
    scoring = clock.SCORING_SHARE * 3600.0
    assert long.reserve() == pytest.approx(clock.FINISH_SECONDS + 2 * (scoring + clock.LONGEST_VARIETY))


def test_measured_speeds_replace_the_guess() -> None:
    now = Clock(3600.0, 0.0, held_out_bytes=1_000_000)
    guessed = now.reserve(1)
    now.scoring_speeds["ngram"] = 400_000.0
    assert now.reserve(1) == guessed
    now.scoring_speeds["transformer"] = 50_000.0
    seconds = clock.SCORING_MARGIN * (1e6 / 400_000 + 1e6 / 50_000)
    assert now.reserve() == pytest.approx(clock.FINISH_SECONDS + 2 * (1.0 + seconds + clock.LONGEST_VARIETY))
    assert now.reserve(1) > now.reserve() < guessed


def test_a_slow_model_reserves_no_more_than_the_share() -> None:
    now = Clock(60.0, 0.0, held_out_bytes=10**8, scoring_speeds={"ngram": 4e5, "lstm": 1e3})
    others = 2 * clock.SHORTEST_VARIETY + clock.FINISH_SECONDS
    assert now.reserve() == pytest.approx(others + 2 * clock.SCORING_SHARE * 60.0)
