import os
import signal
import threading
from pathlib import Path

import pytest
from small_trainers import make_trainer, weights

from wenmo.training.counters import Counters
from wenmo.training.interrupt import deferred_interrupt


def test_the_first_interrupt_is_an_event_and_the_second_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as event:
        assert not event.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert event.is_set()
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_leaves_interrupts_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with deferred_interrupt() as event:
            seen.append((event.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def test_an_interrupt_in_the_last_evaluation_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_trainer(tmp_path / "a", steps=8)
    whole.run()
    trainer = make_trainer(tmp_path / "b", steps=8)
    evaluate = trainer._evaluate

    def evaluate_and_interrupt(final: bool) -> None:
        evaluate(final)
        if final:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(trainer, "_evaluate", evaluate_and_interrupt)
    assert trainer.run().stopped == "interrupted"
    again = make_trainer(tmp_path / "b", steps=8)
    again.resume()
    outcome = again.run()
    assert (outcome.stopped, outcome.steps) == ("steps", 8)
    assert all((a == b).all() for a, b in zip(weights(again), weights(whole), strict=True))


def test_an_interrupt_after_the_last_look_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(tmp_path, steps=8)
    line = Counters.line

    def line_and_interrupt(counters: Counters, epochs: float) -> str:
        if counters.step == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return line(counters, epochs)

    monkeypatch.setattr(Counters, "line", line_and_interrupt)
    assert trainer.run().stopped == "interrupted"
