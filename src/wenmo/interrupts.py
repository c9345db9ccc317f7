"""Ctrl-C, or the request to end: never lost, and put off where it must not tear a step apart.

Python turns the signal into an exception wherever the program happens to be. Where that is a callback of native code,
the exception may be dropped: Python tells of some of these cases, others pass in silence, and the program would go on
as if the key had never been pressed. So the press is also remembered until something has taken note of it.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

Step = TypeVar("Step")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a training to end."""
RETRY_SECONDS = 0.01
"""Until Ctrl-C is raised again where Python has told that it was dropped."""

_pressed = False
"""A plain value, as `Interruption` is: the lock of an event could be held by the code that the signal interrupts."""


def _press(number: int, frame: Any) -> None:
    global _pressed
    _pressed = True
    raise KeyboardInterrupt


def take_interrupt() -> bool:
    """Returns whether Ctrl-C was pressed within `kept_interrupts` since this was last asked."""
    global _pressed
    pressed, _pressed = _pressed, False
    return pressed


def raise_lost_interrupt() -> None:
    """Raises `KeyboardInterrupt` where Ctrl-C was pressed and the program goes on nevertheless.

    For the main thread, between the steps of long work; elsewhere it does nothing.
    """
    if _pressed and threading.current_thread() is threading.main_thread():
        take_interrupt()
        raise KeyboardInterrupt


@contextmanager
def raised_interrupts() -> Iterator[None]:
    """Raises Ctrl-C itself where it fell into native code that went on, of which Python makes a `SystemError`."""
    try:
        yield
    except SystemError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__
        if cause is None:
            raise
        take_interrupt()
        raise KeyboardInterrupt from error


@contextmanager
def kept_interrupts() -> Iterator[None]:
    """Remembers each Ctrl-C, and raises it again where it fell into a callback in which Python ignores exceptions.

    Leaves the signal as it is where it is ignored or handled already, and outside the main thread.
    """
    outer = sys.unraisablehook

    def hook(ignored: sys.UnraisableHookArgs) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            threading.Timer(RETRY_SECONDS, _thread.interrupt_main).start()
        else:
            outer(ignored)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    take_interrupt()
    if ours:
        signal.signal(signal.SIGINT, _press)
    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = outer
        # A handler that was put in its place within, such as one that ignores the signal, stays.
        if ours and signal.getsignal(signal.SIGINT) is _press:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        take_interrupt()


@dataclass
class Interruption:
    """What `deferred_interrupt` tells.

    Attributes:
        asked: Whether Ctrl-C or SIGTERM has come.
    """

    asked: bool = False


@contextmanager
def deferred_interrupt(patient: bool = False) -> Iterator[Interruption]:
    """Takes note of the first Ctrl-C or SIGTERM, so that a step is never torn apart; the second ends at once.

    A Ctrl-C that was pressed before and got lost is one too. Outside the main thread, where signals cannot be handled,
    they stay what they were.

    Args:
        patient: Only ever take note. `torchrun` passes the terminal's signal on to processes that have had it already,
            and ends by itself those that take too long.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    interruption.asked = take_interrupt()

    def handle(number: int, frame: Any) -> None:
        if interruption.asked and not patient:
            raise KeyboardInterrupt
        interruption.asked = True

    previous = [(number, signal.signal(number, handle)) for number in SIGNALS]
    try:
        yield interruption
    finally:
        for number, handler in previous:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def unbroken(steps: Iterator[Step]) -> Generator[Step, None, None]:
    """Yields what `steps` does, and lets the first Ctrl-C or SIGTERM wait until the step that is under way is done.

    For native code that calls back: an exception in its callback would make it panic, or leave a thread of its own
    that is never told to end.

    Raises:
        KeyboardInterrupt: After the step in which the signal came.
    """
    while True:
        with deferred_interrupt() as interruption:
            found = list(islice(steps, 1))
        if interruption.asked:
            raise KeyboardInterrupt
        if not found:
            return
        yield found[0]
