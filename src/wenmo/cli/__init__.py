"""The street door: `wenmo VERB ...`.

A verb parses its options, calls one function of the house and prints the result: a short table, or with
`--json` one object on standard output. Progress and messages go to standard error. Nothing heavy is imported
before a verb runs, so that `wenmo --help` answers at once.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
import time

from wenmo.cli.process import QuickExit, ignore_interrupts, leads, own_stdout, use_utf8
from wenmo.interrupts import kept_interrupts, raised_interrupts

_started = time.monotonic()
INTERRUPTED = 130
BUG = 1
STDIN = "\x00"
"""Stands for `-` (standard input) while options are parsed; no argument of a process can hold a NUL."""


def started() -> float:
    """Returns `time.monotonic()` at which the command began, from which the budget of `train` counts."""
    return _started


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Words after `wenmo`; those of the process when None.

    Returns:
        The exit status: 0; 2 for a mistake of the user; 130 after Ctrl-C.
    """
    global _started
    if arguments is not None:
        _started = time.monotonic()  # several commands may run in one process
    use_utf8()
    words = sys.argv[1:] if arguments is None else arguments
    words = [STDIN if word == "-" else _as_text(word) for word in words]
    quick = QuickExit() if arguments is None else None
    with own_stdout(), kept_interrupts():
        status = _guarded(words, process=arguments is None)
    if quick is not None:
        quick.status = status
    else:
        gc.unfreeze()  # see `importing`
    return status


def _guarded(words: list[str], process: bool) -> int:
    """Runs the verb and turns every failure into a sentence and an exit status."""
    debug = "--debug" in words
    try:
        with raised_interrupts():
            status = _run(words)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as interrupt:
        if process:
            ignore_interrupts()
        if debug:
            raise
        if not leads():
            return INTERRUPTED
        message = str(interrupt) or "nothing half-written was left behind; run the same command again"
        return _fail(f"interrupted: {message}", words, INTERRUPTED)
    except (BrokenPipeError, SystemExit):
        # The reader (such as head) has closed; rich then leaves by SystemExit, as nothing else here does.
        # A second failure while Python exits must not show either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from wenmo.errors import LostProcessError, OptionError, WenmoError

        if debug:
            raise
        if isinstance(error, WenmoError):
            if not leads() and (error.told or isinstance(error, OptionError)):
                return error.exit_code  # the first process has the same words to say
            if isinstance(error, LostProcessError):  # no result: that comes when the command has begun again
                words = [word for word in words if word != "--json"]
            if process and error.exit_code == INTERRUPTED:
                ignore_interrupts()
            return _fail(str(error), words, error.exit_code)
        if isinstance(error, OSError) and error.filename:
            return _fail(f"{error.filename}: {error.strerror}", words, WenmoError.exit_code)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            message = "no space left where the output goes; free some space and run again"
            return _fail(message, words, WenmoError.exit_code)
        kind = type(error).__name__
        return _fail(f"a bug in wenmo ({kind}: {error}); run again with --debug and report it", words, BUG)


def _run(words: list[str]) -> int:
    from cyclopts import CycloptsError

    from wenmo.cli.app import build_app
    from wenmo.errors import OptionError

    try:
        status = build_app(words)(
            words or ["--help"], exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        from wenmo.cli.options import option_sentence

        raise OptionError(option_sentence(error)) from error
    return status if isinstance(status, int) else 0


def _fail(message: str, words: list[str], status: int) -> int:
    if words[:1] != ["train"] and words[:2] != ["tokenizer", "train"]:
        message = message.replace("--corpus.", "--")  # there the settings of the corpus have no prefix
    print(f"wenmo: {message}", file=sys.stderr)
    if "--json" in words:
        from wenmo.cli.output import print_json

        print_json({"error": message, "exit_code": status})
    return status


def _as_text(word: str) -> str:
    """Undoes the locale's decoding of an argument that is really UTF-8."""
    if word.isascii():
        return word
    return os.fsencode(word).decode("utf-8", errors="surrogateescape")
