"""Compressors as baselines: what PPMd and xz need per byte of held-out text after reading the training text.

A compressor is a language model with a code attached. Held-out text costs it size(train + held) - size(train).
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

PPMD_ORDER = 6
PPMD_MEMORY = 256 << 20
PRIMING_BYTES = 32_000_000
"""Most training bytes (the last ones) that a compressor reads first; xz takes about 12 bytes of memory for each."""

_PPMD_FLUSH = 9
"""Most bytes that end a PPMd stream (5 of the coder and up to 4 that it held back)."""


def documents_bytes(texts: Iterable[str]) -> bytes:
    """Returns the documents as UTF-8 with one NUL byte after each, which stands for what eos is to a model."""
    return b"".join(text.encode() + b"\x00" for text in texts)


def ppmd(prior: bytes, held: bytes) -> float:
    """Returns the bits per byte of `held` in PPMd (variant I, order 6, 256 MB) after `prior`.

    The model learns on while it codes `held`. One pass over both: the few bytes the coder held back at the end of
    `prior`, at most 4, count in PPMd's favour.

    Args:
        prior: Training text; its last `PRIMING_BYTES` are read, nothing when empty.
        held: Held-out text.

    Raises:
        ValueError: When `held` is empty.
    """
    import pyppmd

    _check(held)
    encoder = pyppmd.Ppmd8Encoder(PPMD_ORDER, PPMD_MEMORY)
    if prior:
        encoder.encode(prior[-PRIMING_BYTES:])
    size = len(encoder.encode(held)) + len(encoder.flush()) - _PPMD_FLUSH
    return max(size, 0) * 8 / len(held)


def xz(prior: bytes, held: bytes) -> float:
    """Returns the bits per byte of `held` in xz -9e after `prior`, with a dictionary that covers both.

    Args:
        prior: Training text; its last `PRIMING_BYTES` are read, nothing when empty.
        held: Held-out text.

    Raises:
        ValueError: When `held` is empty.
    """
    _check(held)
    prior = prior[-PRIMING_BYTES:]
    dictionary = max(4096, len(prior) + len(held))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": dictionary}]

    def size(data: bytes) -> int:
        return len(lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=filters))

    with ThreadPoolExecutor(2) as pool:  # the compressor lets go of the interpreter lock
        before, after = pool.map(size, (prior, prior + held))
    return (after - before) * 8 / len(held)


def _check(held: bytes) -> None:
    if not held:
        raise ValueError("there is no held-out text to compress")
