"""Splits hold groups together, keep the shares, and do not depend on the order of the rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenmo.examples import split_groups


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab好")), max_size=80),
    st.floats(0, 0.4),
    st.floats(0, 0.4),
    st.integers(0, 3),
)
def test_every_example_is_on_one_side_with_its_group(rows, valid, test, seed):
    groups = [key for key, _ in rows]
    split = split_groups(groups, valid=valid, test=test, seed=seed, strata=[label for _, label in rows])
    sides = (split.train, split.valid, split.test)
    assert sorted([*split.train, *split.valid, *split.test]) == list(range(len(rows)))
    keys = [{groups[i] for i in side} for side in sides]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])


def test_shares_hold_in_every_stratum():
    labels = ["好"] * 900 + ["坏"] * 100
    split = split_groups(range(1000), valid=0.1, test=0.2, strata=labels)
    assert Counter(labels[i] for i in split.test) == {"好": 180, "坏": 20}
    assert Counter(labels[i] for i in split.valid) == {"好": 90, "坏": 10}


def test_the_order_of_the_rows_does_not_matter():
    texts = [f"第 {i} 句" for i in range(200)]
    split = split_groups(texts, valid=0.1, test=0.1, seed=1)
    turned = split_groups(texts[::-1], valid=0.1, test=0.1, seed=1)
    assert {texts[i] for i in split.test} == {texts[::-1][i] for i in turned.test}
    assert split != split_groups(texts, valid=0.1, test=0.1, seed=2)


def test_no_share_holds_nothing_out():
    assert split_groups("abc", valid=0, test=0).train == [0, 1, 2]


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match="something to learn from"):
        split_groups("abc", valid=0.5, test=0.5)
