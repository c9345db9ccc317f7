"""Compressors as baselines: what PPMd and xz need per byte of held-out text after reading the training text.

A compressor is a language model with a code attached. Held-out text costs it size(train + held) - size(train).
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable

from wenmo.models.side_by_side import beside

PPMD_ORDER = 6
PPMD_MEMORY = 256 << 20
PRIMING_BYTES = 32_000_000
"""Most training bytes (the last ones) that a compressor reads first."""
XZ_MEMORY = 12
"""Bytes of memory that xz takes for each of what it reads and codes, about."""

_PPMD_FLUSH = 9
"""Most bytes that end a PPMd stream (5 of the coder and up to 4 that it held back)."""


def documents_bytes(texts: Iterable[str]) -> bytes:
    """Returns the documents as UTF-8 with one NUL byte after each, which stands for what eos is to a model."""
    return b"".join(text.encode() + b"\x00" for text in texts)


class Compressors:
    """PPMd and xz that have read a text, and can code another one after it.

    Reading takes nearly all of their time, and can be done before the other text is known.

    Attributes:
        read: Bytes of the training text that each has read, its last ones.
    """

    def __init__(self, prior: bytes, most: int, xz_bytes: int = PRIMING_BYTES) -> None:
        """Reads, side by side where there is more than one thread.

        Args:
            prior: Training text; its last `PRIMING_BYTES` are read.
            most: Bytes that the text to be coded will have at most; the dictionary of xz covers them too.
            xz_bytes: Of `prior` xz, which is slow, reads no more than the last so many bytes.
        """
        known = {"ppmd": prior[-PRIMING_BYTES:], "xz": prior[-min(PRIMING_BYTES, xz_bytes) :]}
        self.read = {name: len(text) for name, text in known.items()}
        self._ppmd, (self._xz,) = beside(lambda: _Ppmd(known["ppmd"]), [lambda: _Xz(known["xz"], most)])

    def score(self, held: bytes) -> dict[str, float]:
        """Returns the bits per byte of `held` in `ppmd` and in `xz`; can be called once.

        Raises:
            ValueError: When `held` is empty.
        """
        _check(held)
        return {"ppmd": self._ppmd.score(held), "xz": self._xz.score(held)}


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
    _check(held)
    return _Ppmd(prior[-PRIMING_BYTES:]).score(held)


def xz(prior: bytes, held: bytes) -> float:
    """Returns the bits per byte of `held` in xz -9e after `prior`, with a dictionary that covers both.

    Args:
        prior: Training text; its last `PRIMING_BYTES` are read, nothing when empty.
        held: Held-out text.

    Raises:
        ValueError: When `held` is empty.
    """
    _check(held)
    return _Xz(prior[-PRIMING_BYTES:], len(held)).score(held)


class _Ppmd:
    """PPMd that has read a text."""

    def __init__(self, prior: bytes) -> None:
        import pyppmd

        self._encoder = pyppmd.Ppmd8Encoder(PPMD_ORDER, PPMD_MEMORY)
        if prior:
            self._encoder.encode(prior)

    def score(self, held: bytes) -> float:
        """Bits per byte of `held`, which ends the stream."""
        size = len(self._encoder.encode(held)) + len(self._encoder.flush()) - _PPMD_FLUSH
        return max(size, 0) * 8 / len(held)


class _Xz:
    """xz that has read a text, and knows how long it is when coded."""

    def __init__(self, prior: bytes, most: int) -> None:
        dictionary = max(4096, len(prior) + most)
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": dictionary}]

        def coder() -> lzma.LZMACompressor:
            return lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=filters)

        alone, self._coder = coder(), coder()  # what is coded so far can only be told at the end
        self._before, (self._written,) = beside(
            lambda: len(alone.compress(prior)) + len(alone.flush()),
            [lambda: len(self._coder.compress(prior))],
        )

    def score(self, held: bytes) -> float:
        """Bits per byte of `held`, which ends the stream."""
        after = self._written + len(self._coder.compress(held)) + len(self._coder.flush())
        return (after - self._before) * 8 / len(held)


def _check(held: bytes) -> None:
    if not held:
        raise ValueError("there is no held-out text to compress")
