from __future__ import annotations

import numba as nb
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.models import slots


@nb.njit
def find(line: np.ndarray, base: int, own: int) -> int:
    return slots.find(line, base, np.uint64(own))


def found_one_by_one(line: np.ndarray, base: int, own: int) -> int:
    """What `find` promises, slot after slot."""
    start, check = own % 16, own >> 8 & 1023
    places = [base + (start + j) % 16 for j in range(slots.PROBES)]
    for place in places:
        if line[place] == 0:
            return -1 - place
        if line[place] >> 22 == check:
            return place
    counts = [line[place] >> 16 & 63 for place in places]
    return -1 - places[counts.index(min(counts))]


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 63)), min_size=16, max_size=16),
    st.integers(0, 15),
    st.integers(0, 3),
)
def test_a_slot_is_found_as_if_they_were_looked_at_one_by_one(
    counted: list[tuple[int, int]], start: int, check: int
) -> None:
    line = np.zeros(32, np.uint32)
    line[16:] = [check << 22 | count << 16 | 7 * (count > 0) for check, count in counted]
    own = check << 8 | start
    assert find(line, 16, own) == found_one_by_one(line, 16, own)
