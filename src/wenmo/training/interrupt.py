"""Ctrl-C, or the request to end, during training."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wenmo.interrupts import take_interrupt

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_interrupt(patient: bool = False) -> Iterator[threading.Event]:
    """Turns the first Ctrl-C or SIGTERM into an event, so that a step is never torn apart; the second ends at once.

    A Ctrl-C that was pressed before and got lost is one too. Outside the main thread, where signals cannot be handled,
    they stay what they were.

    Args:
        patient: Only ever set the event. `torchrun` passes the terminal's signal on to processes that have had it
            already, and ends by itself those that take too long.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    if take_interrupt():
        event.set()

    def handle(number: int, frame: Any) -> None:
        if event.is_set() and not patient:
            raise KeyboardInterrupt
        event.set()

    previous = [(number, signal.signal(number, handle)) for number in SIGNALS]
    try:
        yield event
    finally:
        for number, handler in previous:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
