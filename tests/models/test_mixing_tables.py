import numpy as np
import pytest

from wenmo.models import mixing_tables
from wenmo.models.mixing_tables import Tables, new_tables, packed, unpacked


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
