import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from wenmo.interrupts import (
    deferred_interrupt,
    kept_interrupts,
    raise_lost_interrupt,
    raised_interrupts,
    take_interrupt,
    unbroken,
)
from wenmo.progress import track
from wenmo.workflow.clock import Clock


@pytest.fixture(autouse=True)
def plain_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def lose_a_press() -> None:
    """As native code does that asks for an attribute and drops whatever was raised."""
    with pytest.raises(KeyboardInterrupt):
        press()


def begin_a_stage() -> None:
    with Clock(10.0, 0.0).stage("scoring"):
        raise AssertionError("began after Ctrl-C")


def advance_a_bar() -> None:
    with track("reading", 10.0, "B", enabled=False) as shown:
        shown.advance()
        raise AssertionError("went on after Ctrl-C")


@pytest.mark.parametrize("go_on", [begin_a_stage, advance_a_bar, raise_lost_interrupt])
def test_a_lost_press_stops_what_comes_next(go_on: Callable[[], None]) -> None:
    with kept_interrupts():
        lose_a_press()
        with pytest.raises(KeyboardInterrupt):
            go_on()
        raise_lost_interrupt()  # once is enough


def test_a_lost_press_ends_the_training_that_begins() -> None:
    with kept_interrupts():
        lose_a_press()
        with deferred_interrupt() as interruption:
            assert interruption.asked
        with deferred_interrupt() as interruption:
            assert not interruption.asked


def test_a_press_that_did_its_work_is_forgotten() -> None:
    with kept_interrupts():
        lose_a_press()
        assert take_interrupt()
        assert not take_interrupt()
        raise_lost_interrupt()
    with kept_interrupts():
        lose_a_press()
    raise_lost_interrupt()


def test_a_press_in_a_destructor_is_raised_again() -> None:
    class Pressing:
        def __del__(self) -> None:
            press()

    waiting = threading.Event()
    with kept_interrupts(), pytest.raises(KeyboardInterrupt):
        Pressing()
        waiting.wait(10.0)
        raise AssertionError("Ctrl-C was lost")


def test_other_threads_go_on() -> None:
    seen = []

    def work() -> None:
        raise_lost_interrupt()
        seen.append("went on")

    with kept_interrupts():
        lose_a_press()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == ["went on"]
        assert take_interrupt()


@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda number, frame: None])
def test_another_handler_stays(other: Callable[..., None]) -> None:
    signal.signal(signal.SIGINT, other)
    with kept_interrupts():
        assert signal.getsignal(signal.SIGINT) is other
    assert signal.getsignal(signal.SIGINT) is other
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with kept_interrupts():
        signal.signal(signal.SIGINT, other)
    assert signal.getsignal(signal.SIGINT) is other
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with kept_interrupts():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_interrupt_is_noted_and_the_second_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as interruption:
        assert not interruption.asked
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.asked
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_leaves_interrupts_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with deferred_interrupt() as interruption:
            seen.append((interruption.asked, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


@pytest.mark.parametrize("pressed", [0, 1, 2, 3])
def test_a_press_waits_for_the_step_that_is_under_way(pressed: int) -> None:
    done: list[int] = []
    yielded: list[int] = []

    def steps() -> Iterator[int]:
        for step in range(4):
            if step == pressed:
                press()
            if step == 3:  # the one that finds out that there are no more
                return
            done.append(step)
            yield step

    with pytest.raises(KeyboardInterrupt):
        for step in unbroken(steps()):
            yielded.append(step)
    assert yielded == list(range(pressed))
    assert done == list(range(min(pressed + 1, 3)))


def test_a_press_between_two_steps_and_a_second_one_within_end_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        for _ in unbroken(iter(range(3))):
            press()

    def insisted() -> Iterator[int]:
        press()
        press()
        raise AssertionError("went on after the second Ctrl-C")
        yield 0

    with pytest.raises(KeyboardInterrupt):
        next(unbroken(insisted()))
    assert list(unbroken(iter("abc"))) == ["a", "b", "c"]


def test_a_press_that_native_code_went_on_after_is_no_bug() -> None:
    inner = SystemError("a function returned a result with an exception set")
    inner.__cause__ = KeyboardInterrupt()
    for cause in (inner, inner.__cause__):
        with pytest.raises(KeyboardInterrupt), raised_interrupts():
            raise SystemError("another one did, too") from cause
    with pytest.raises(SystemError), raised_interrupts():
        raise SystemError("another") from ValueError()
