"""How the process talks to its caller: standard streams and Ctrl-C."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


def processes() -> int:
    """Returns how many processes `torchrun` has started for this command; 1 without it."""
    # Some clusters set WORLD_SIZE alone, for whoever wants to know.
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def leads() -> bool:
    """Whether this process is the first of them, which talks to the user."""
    return processes() == 1 or os.environ.get("RANK", "0") == "0"


def use_utf8() -> None:
    """Makes text UTF-8 whatever the locale says; LANG=C must not turn Chinese into question marks."""
    # A stream that the caller has closed is None; what is written to it goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace"), (sys.stdin, "strict")):
        if hasattr(stream, "reconfigure"):
            _reconfigure(stream, errors)


def _reconfigure(stream: TextIO, errors: str) -> None:
    stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[attr-defined]


@contextmanager
def importing() -> Iterator[None]:
    """Imports without looking for garbage, of which modules leave little: an eighth of the time of heavy imports.

    What is there afterwards is not looked at again, until `gc.unfreeze` says so.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if collecting:
            gc.enable()


@contextmanager
def own_stdout() -> Iterator[None]:
    """Keeps standard output for results: what the native code of a library prints goes to standard error.

    Does nothing where standard output is not the process's own, such as under a test that captures it.
    """
    try:
        own = sys.stdout.fileno() == 1 and sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # closed, or not a file
        own = False
    if not own:
        yield
        return
    outer = sys.stdout
    outer.flush()
    descriptor = os.dup(1)
    buffering = 1 if outer.isatty() else -1
    os.dup2(2, 1)
    sys.stdout = open(descriptor, "w", buffering, encoding="utf-8")  # noqa: PTH123, SIM115 - a descriptor
    try:
        yield
    finally:
        # What cannot be written has been reported before this.
        with suppress(OSError):
            sys.stdout.flush()
        os.dup2(descriptor, 1)
        with suppress(OSError):
            sys.stdout.close()
        sys.stdout = outer


class QuickExit:
    """Ends the process as soon as everything that was registered for its end is done.

    Taking loaded libraries apart one by one would cost about a second more, which belongs to the budget that was
    promised. Must be made before they are loaded, so that what they register comes first.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        atexit.register(self._leave)

    def _leave(self) -> None:
        if self.status is None:  # an exception is on its way out: Python reports it and ends as usual
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.status)


def ignore_interrupts() -> None:
    """Lets a process that is ending after Ctrl-C end in order when the key is pressed again."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
