import threading
import time

import numpy as np
import pytest

from wenmo import progress
from wenmo.progress import Progress, counted, follow, track


def test_one_thing_is_no_things():
    assert [counted(number, "document") for number in (0, 1, 2, 12_345)] == [
        "0 documents",
        "1 document",
        "2 documents",
        "12,345 documents",
    ]


def test_the_last_line_is_not_shown_twice(capsys, monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    with progress.track("counting", 10.0, "B") as shown:
        shown.update(10)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 60.0)
    with progress.track("counting", 10.0, "B") as shown:
        shown._visible = True  # an earlier line was shown
        shown.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["100%", "100%"]


def test_work_in_a_thread_is_followed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    state, seen = np.zeros(2, np.int64), threading.Event()

    def work() -> str:
        state[0] = 30
        assert seen.wait(10)
        return "found"

    with track("counting", 40, "") as bar:
        monkeypatch.setattr(
            bar, "_show", lambda now: (Progress._show(bar, now), seen.set() if bar.done else None)
        )
        assert follow(work, state, bar) == "found"
    assert "counting   75%" in capsys.readouterr().err


def test_followed_work_ends_early() -> None:
    """Ctrl-C waits for the work, which is told to end."""
    state = np.zeros(2, np.int64)

    def work() -> None:
        while not state[1]:
            time.sleep(0.01)
        state[0] = 7

    class Pressed(Progress):
        def update(self, done: float, notes: str = "") -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(work, state, Pressed("counting", 40, ""))
    assert state[0] == 7


def test_followed_work_fails() -> None:
    def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        follow(work, np.zeros(2, np.int64), Progress("counting", 40, ""))
