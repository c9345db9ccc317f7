import os
import signal
from pathlib import Path

import pytest
from small_trainers import make_trainer, weights

from wenmo.training.counters import Counters


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
