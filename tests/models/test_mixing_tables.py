import numpy as np
import pytest

from wenmo.models import mixing_tables, simd
from wenmo.models.mixing_tables import Tables, copy_tables, new_tables, packed, unpacked


def test_the_table_is_bounded():
    assert mixing_tables.slot_bits(0) == 10
    assert mixing_tables.slot_bits(1e15) <= mixing_tables.MAX_SLOT_BITS
    assert mixing_tables.slot_bits(2e6) > mixing_tables.slot_bits(1e5)
    assert mixing_tables.follower_bits(1 << 40) == mixing_tables.MAX_FOLLOWER_BITS


def test_packed_tables_are_small_and_unpacked_ones_the_same():
    tables = new_tables(3, 12, 10)
    random = np.random.default_rng(0)
    places = random.choice(1 << 12, 50, replace=False)
    tables.slots[places] = random.integers(1, 1 << 32, 50, dtype=np.uint32)
    tables.followers[7] = 5
    arrays = packed(tables)
    assert arrays["slots"].shape == (50,) and arrays["slots_used"].shape == (1 << 9,)
    again = unpacked(arrays, new_tables(3, 10, 10), 8)
    for name in Tables._fields:
        np.testing.assert_array_equal(getattr(again, name), getattr(tables, name))
    with pytest.raises(ValueError, match="slots has a wrong length"):
        unpacked(arrays | {"slots": arrays["slots"][:-1]}, tables, 8)
    with pytest.raises(ValueError, match="followers names tokens"):
        unpacked(arrays, tables, 5)


def test_rows_of_mixers_are_whole_vectors_and_saved_without_what_fills_them_up():
    tables = new_tables(3, 12, 10)
    contexts, columns = len(tables.calibration), tables.mixers.shape[1]
    assert columns % simd.WIDTH == 0 and 2 * contexts + 2 <= columns < 2 * contexts + 2 + simd.WIDTH
    assert packed(tables)["mixers"].shape == (len(tables.mixers), 2 * contexts + 2)
    assert not tables.mixers[:, 2 * contexts + 2 :].any()


def test_a_line_of_slots_lies_in_one_cache_line_in_copies_too():
    tables = new_tables(3, 12, 10)
    for each in (tables, copy_tables(tables), unpacked(packed(tables), tables, 8)):
        assert each.slots.ctypes.data % (4 * simd.LINE) == 0 and len(each.slots) == 1 << 12
    copy = copy_tables(tables)
    copy.slots[0] = copy.followers[0] = 1
    assert tables.slots[0] == tables.followers[0] == 0
