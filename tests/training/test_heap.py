import ctypes
import platform
import resource

import pytest
import torch

from wenmo.training import hardware
from wenmo.training.heap import MOST_MAPPED, keep_freed_memory, return_freed_memory

GLIBC = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries decide for themselves"
)


@GLIBC
def test_memory_settings_of_the_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def malloc_trim(self, pad: int) -> None:
            trimmed.append(pad)

        def mallopt(self, option: int, value: int) -> None:
            changed.append((option, value))

    trimmed: list[int] = []
    changed: list[tuple[int, int]] = []
    monkeypatch.setattr("ctypes.CDLL", lambda name: Library())
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    keep_freed_memory(large=True)
    return_freed_memory()
    assert not changed and len(trimmed) == 2
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    keep_freed_memory(large=False)
    assert changed and (MOST_MAPPED, 0) not in changed
    keep_freed_memory(large=True)
    assert (MOST_MAPPED, 0) in changed


def faults() -> int:
    """Pages that the system hands out for two large blocks, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(2):
        torch.empty(16 << 20).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@GLIBC
def test_large_blocks_are_kept_until_freed_memory_is_given_back() -> None:
    keep_freed_memory(large=True)
    kept = min(
        faults() for _ in range(10)
    )  # first a freed block may be a little short of the next, aligned one
    assert kept < 20
    return_freed_memory()
    assert faults() > 30  # at least 32 pages of 2 MB, or 16,384 of 4 kB


@GLIBC
def test_freed_memory_is_given_back() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    size = 64 << 10
    blocks = [library.malloc(size) for _ in range(3000)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for number, block in enumerate(blocks):
        if number % 100:  # those that are left keep the others from being given back at once
            library.free(block)
    held = hardware.resident_memory("cpu")
    return_freed_memory()
    given_back = held - hardware.resident_memory("cpu")
    for block in blocks[::100]:
        library.free(block)
    assert given_back > 0.9 * 2970 * size
