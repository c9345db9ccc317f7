"""Errors a person can act on.

Everything a user can cause raises a `WenmoError`: one sentence that names the file, line or option and says
what to do. The command line prints it and exits with `exit_code`; `--debug` shows the traceback as well.
"""

from __future__ import annotations


class WenmoError(Exception):
    """A mistake or a limit that the user can act on; never a bug in wenmo.

    Attributes:
        exit_code: The status with which the command line ends.
        told: Whether the user has been told already, by another process of the run.
    """

    exit_code = 2
    told = False


class InputError(WenmoError):
    """A file or folder that cannot be read as text, or holds too little of it."""


class OptionError(WenmoError):
    """An option that is unknown, out of range, or contradicts another."""


class ModelError(WenmoError):
    """A model directory that is missing, truncated, of another version, or unfit for what was asked."""


class ResourceError(WenmoError):
    """Not enough memory, disk or time for what was asked."""


class TrainingError(WenmoError):
    """Training that cannot go on, such as a loss that is not finite."""


class LostProcessError(TrainingError):
    """Another process of a training was lost; the command is begun again, by `torchrun` or the user."""


class Interrupted(WenmoError):
    """Ctrl-C during work that was saved; the message says how to go on."""

    exit_code = 130
