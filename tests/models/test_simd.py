"""What compiled loops do by vectors is compared with NumPy."""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.models import simd


@nb.njit
def line_masks(slots: np.ndarray, base: int, check: int) -> int:
    return simd.line_masks(slots, base, np.uint32(check))


@nb.njit
def lowest_bit(value: int) -> int:
    return simd.lowest_bit(value)


@nb.njit
def dot(weights: np.ndarray, row: int, inputs: np.ndarray) -> float:
    return simd.dot(weights, row, inputs)


@nb.njit
def add_scaled(weights: np.ndarray, row: int, factor: float, inputs: np.ndarray) -> None:
    simd.add_scaled(weights, row, np.float32(factor), inputs)


@nb.njit
def prefetch(array: np.ndarray, place: int) -> None:
    simd.prefetch(array, place)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, 2**32 - 1), min_size=32, max_size=32), st.booleans(), st.integers(0, 1023))
def test_masks_tell_which_slots_of_a_line_are_wanted_and_which_are_empty(
    values: list[int], second: bool, check: int
) -> None:
    slots = np.array(values, np.uint32)
    slots[::3] = 0
    slots[1::5] = np.uint32(check << 22) | (slots[1::5] & np.uint32(0x3FFFFF)) | np.uint32(1)
    line = slots[16 * second :][:16]
    masks = line_masks(slots, 16 * second, check)
    for place in range(16):
        assert masks >> place & 1 == (line[place] >> 22 == check and line[place] != 0)
        assert masks >> (16 + place) & 1 == (line[place] == 0)


@pytest.mark.parametrize("place", range(63))
def test_the_lowest_bit(place: int) -> None:
    assert lowest_bit(1 << place) == place
    assert lowest_bit(1 << place | 1 << 62) == place


@pytest.mark.parametrize("length", [8, 24, 40])
def test_products_and_sums_of_rows(length: int) -> None:
    random = np.random.default_rng(length)
    weights = random.normal(size=(5, length)).astype(np.float32)
    inputs = random.normal(size=length).astype(np.float32)
    before = weights.copy()
    for row in range(5):
        assert dot(weights, row, inputs) == pytest.approx(float(before[row] @ inputs), abs=1e-5)
    add_scaled(weights, 2, 0.25, inputs)
    np.testing.assert_allclose(weights[2], before[2] + np.float32(0.25) * inputs, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(np.delete(weights, 2, 0), np.delete(before, 2, 0))


def test_prefetching_changes_nothing_and_may_miss() -> None:
    array = np.arange(4, dtype=np.uint32)
    prefetch(array, 2)
    prefetch(array, 1 << 40)  # no address of this process: the processor takes no offence
    np.testing.assert_array_equal(array, [0, 1, 2, 3])
