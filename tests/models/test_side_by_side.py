"""Calls that are made at the same time: order, threads, errors."""

import threading
from collections.abc import Iterator

import pytest
import torch

from wenmo.models.side_by_side import beside, side_by_side


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_results_come_in_order_whatever_the_number_of_threads(threads: None, number: int) -> None:
    torch.set_num_threads(number)
    assert side_by_side([lambda n=n: n * n for n in range(7)]) == [n * n for n in range(7)]
    assert beside(lambda: "own", [lambda: 1, lambda: 2]) == ("own", [1, 2])
    assert beside(lambda: "own", []) == ("own", [])
    assert side_by_side([]) == []


def test_calls_run_at_the_same_time(threads: None) -> None:
    torch.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=30)
    assert sorted(side_by_side([meeting.wait, meeting.wait])) == [0, 1]


def test_one_thread_makes_the_calls_one_after_the_other(threads: None) -> None:
    torch.set_num_threads(1)
    made: list[tuple[int, int]] = []
    side_by_side([lambda n=n: made.append((n, threading.get_ident())) for n in range(3)])
    assert made == [(n, threading.get_ident()) for n in range(3)]


def test_the_first_call_stays_in_the_callers_thread(threads: None) -> None:
    torch.set_num_threads(2)
    with torch.no_grad():
        own, (other,) = beside(torch.is_grad_enabled, [torch.is_grad_enabled])
    assert not own and other


def test_further_threads_have_one_inside_and_leave_no_trace(threads: None) -> None:
    torch.set_num_threads(3)
    own, others = beside(torch.get_num_threads, [torch.get_num_threads] * 4)
    assert own == 3 and others == [1] * 4
    fresh: list[int] = []
    later = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert torch.get_num_threads() == 3 and fresh == [3]


@pytest.mark.parametrize("number", [1, 2])
def test_an_error_is_raised_when_all_have_ended(threads: None, number: int) -> None:
    torch.set_num_threads(number)
    ended: list[str] = []

    def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        beside(fail, [lambda: ended.append("other")])
    assert ended == (["other"] if number > 1 else [])
    with pytest.raises(ValueError, match="no"):
        side_by_side([lambda: "fine", fail])
