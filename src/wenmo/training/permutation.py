"""Random orders of many things: an array where that is small, a formula where it would not fit into memory."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

ROUNDS = 6
"""Rounds of the Feistel network; four make it indistinguishable from a random order (Luby & Rackoff 1988)."""
_MASK = (1 << 64) - 1


class FeistelPermutation:
    """A random order of `size` things that takes no memory: position -> thing, each thing once.

    A Feistel network of `ROUNDS` rounds permutes the numbers of 2k bits, the smallest such range that holds `size`;
    a result outside of the range is permuted again until it falls inside (cycle walking, Black & Rogaway 2002).

    Args:
        size: Number of things, at least 1.
        key: Numbers that decide the order.
    """

    def __init__(self, size: int, key: tuple[int, ...]) -> None:
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)
        digest = hashlib.blake2b(repr(key).encode("ascii"), digest_size=8 * ROUNDS).digest()
        self._keys = [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(ROUNDS)]

    def __len__(self) -> int:
        """Number of things."""
        return self.size

    def __getitem__(self, position: int) -> int:
        """Returns the thing at a position.

        Raises:
            IndexError: When the position is not in range.
        """
        if not 0 <= position < self.size:
            raise IndexError(position)
        value = self._permute(int(position))
        while value >= self.size:
            value = self._permute(value)
        return value

    def _permute(self, value: int) -> int:
        low_bits = (1 << self._half) - 1
        left, right = value >> self._half, value & low_bits
        for key in self._keys:
            mixed = ((right + key) * 0x9E3779B97F4A7C15) & _MASK
            mixed = ((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9) & _MASK
            left, right = right, left ^ ((mixed ^ (mixed >> 32)) & low_bits)
        return left << self._half | right


Order = npt.NDArray[np.int64] | FeistelPermutation
"""Position -> thing."""


def random_order(generator: np.random.Generator, size: int, key: tuple[int, ...], most: int) -> Order:
    """Returns a random order of `size` things: an array drawn from `generator` up to `most`, beyond it a formula.

    Args:
        generator: Drawn from only where an array is made.
        size: Number of things.
        key: Decides the order where a formula is made.
        most: Largest array.
    """
    return generator.permutation(size) if size <= most else FeistelPermutation(size, key)
