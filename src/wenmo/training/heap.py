"""Memory that a training frees and takes again at every step, kept instead of being given back and cleared anew.

The system clears each page that it hands out, and lets all threads of a process wait while it takes one back. That
undid what a second thread gained, and is 2 to 5 % of a step of one thread (docs/lab.md, 2026-11-29).
"""

from __future__ import annotations

import ctypes
import os
import platform

_OPTIONS = {
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 64 << 20),
    "M_MMAP_THRESHOLD": (-3, 32 << 20),
}
MOST_MAPPED = -4
"""M_MMAP_MAX: blocks that may be mapped one by one, which are given back whenever they are freed."""
_MAPPED = 1 << 16
"""As many as malloc itself allows."""


def _malloc() -> ctypes.CDLL | None:
    """The C library where malloc is glibc's."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _settings_of_the_user() -> bool:
    return any(name.startswith("MALLOC_") for name in os.environ)


def keep_freed_memory(large: bool) -> None:
    """Lets the C library keep memory that is freed; what earlier work left is given back first.

    It applies to glibc; settings of the user's (`MALLOC_...`) are kept.

    Args:
        large: Blocks of 32 MB and more, too. Threads beside the first cannot keep them, and the first, which only
            evaluates where others train, would keep what it needs for that.
    """
    return_freed_memory()
    library = _malloc()
    if library is None or _settings_of_the_user():
        return
    for option, value in _OPTIONS.values():
        library.mallopt(option, value)
    if large:
        library.mallopt(MOST_MAPPED, 0)


def return_freed_memory() -> None:
    """Gives memory that was freed back to the system, and from now on blocks of 32 MB and more whenever they are freed.

    What earlier work left between its blocks would stay resident. It applies to glibc.
    """
    library = _malloc()
    if library is None:
        return
    if not _settings_of_the_user():
        library.mallopt(MOST_MAPPED, _MAPPED)
    library.malloc_trim(0)
