"""Progress on stderr: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from wenmo.interrupts import raise_lost_interrupt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Result = TypeVar("Result")
QUIET_SECONDS = 2.0
PLAIN_INTERVAL = 10.0
BAR_INTERVAL = 0.1


def duration(seconds: float) -> str:
    """Formats seconds as people say them: `8.3 s`, `2 min 05 s`, `1 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, thing: str) -> str:
    """Formats a number of things: `counted(1, "document")` is `1 document`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def quantity(value: float, unit: str) -> str:
    """Formats a count with a decimal prefix: `quantity(1_830_000, "B")` is `1.83 MB`."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


class Progress:
    """One running task; shows nothing when it ends within two seconds.

    Args:
        description: What is being done, in a few words.
        total: Units of work in all, or None when not known.
        unit: Name of a unit, such as `B` or `steps`; empty where a rate would say nothing.
        enabled: False silences it.
    """

    def __init__(self, description: str, total: float | None, unit: str, enabled: bool = True) -> None:
        self.description = description
        self.total = total
        self.unit = unit
        self.enabled = enabled
        self.done = 0.0
        self._notes = ""
        self._started = time.monotonic()
        self._shown = self._started
        self._terminal = sys.stderr.isatty()
        self._visible = False
        self._shown_done = -1.0

    def advance(self, amount: float = 1.0, notes: str = "") -> None:
        """Adds finished units; `notes` (such as a loss) stand at the end of the line."""
        self.update(self.done + amount, notes)

    def update(self, done: float, notes: str = "") -> None:
        """Sets the finished units.

        Raises:
            KeyboardInterrupt: Where Ctrl-C was pressed before and got lost.
        """
        raise_lost_interrupt()
        self.done = done
        if notes:
            self._notes = notes
        now = time.monotonic()
        interval = BAR_INTERVAL if self._terminal else PLAIN_INTERVAL
        if self.enabled and now - self._started >= QUIET_SECONDS and now - self._shown >= interval:
            self._shown = now
            self._show(now)

    def close(self) -> None:
        """Shows the last state (if anything was shown before) and ends the line."""
        if self._visible:
            if self.done != self._shown_done:
                self._show(time.monotonic())
            if self._terminal:
                sys.stderr.write("\n")
                sys.stderr.flush()

    def _show(self, now: float) -> None:
        self._visible = True
        self._shown_done = self.done
        elapsed = max(now - self._started, 1e-9)
        rate = self.done / elapsed
        parts = [self.description]
        if self.total:
            share = min(self.done / self.total, 1.0)
            if self._terminal:
                filled = round(share * 24)
                parts.append("━" * filled + "─" * (24 - filled))
            parts.append(f"{share:4.0%}")
            if rate > 0:
                parts.append(f"{duration(max(self.total - self.done, 0) / rate)} left")
        else:
            parts.append(quantity(self.done, self.unit))
        if self.unit:
            parts.append(f"{quantity(rate, self.unit)}/s")
        if self._notes:
            parts.append(self._notes)
        line = "  ".join(parts)
        sys.stderr.write(f"\r\x1b[2K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()


@contextmanager
def track(description: str, total: float | None, unit: str, enabled: bool = True) -> Iterator[Progress]:
    """Context manager around a `Progress`; see there."""
    progress = Progress(description, total, unit, enabled)
    try:
        yield progress
    finally:
        progress.close()


def follow(work: Callable[[], Result], state: npt.NDArray[np.int64], progress: Progress) -> Result:
    """Runs compiled code that lets go of the interpreter's lock in a thread, and shows how far it is.

    Args:
        work: It writes its finished units into `state[0]` and ends early once `state[1]` is not 0.
        state: int64 (2,).
        progress: Is told of the units.

    Raises:
        KeyboardInterrupt: Ctrl-C; the code has ended by then.
    """
    with ThreadPoolExecutor(1, "followed") as pool:
        task = pool.submit(work)
        try:
            while wait([task], BAR_INTERVAL).not_done:
                progress.update(float(state[0]))
        except BaseException:
            state[1] = 1
            raise
        return task.result()
