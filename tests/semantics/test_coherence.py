import math

import pytest
from scipy.sparse import csr_matrix

from wenmo.semantics.coherence import agreement, diversity, npmi

# words a b c d in 4 documents: a and b always together in two, c alone in two, d everywhere
PRESENCE = csr_matrix([[1, 3, 0, 1], [2, 1, 0, 1], [0, 0, 1, 1], [0, 0, 5, 1]])


def test_npmi_by_hand():
    together, apart, everywhere = npmi([[0, 1], [0, 2], [0, 3]], PRESENCE)
    assert together == pytest.approx(1.0)
    assert apart == -1.0
    assert everywhere == pytest.approx(math.log(0.5 / (0.5 * 1.0)) / -math.log(0.5)) == 0
    assert npmi([[0, 1, 2]], PRESENCE)[0] == pytest.approx((1 - 1 - 1) / 3)


def test_topics_without_pairs_have_none():
    assert all(math.isnan(value) for value in npmi([[0], []], PRESENCE))
    assert npmi([[3, 3]], PRESENCE) == [0.0], "words of every document say nothing"


def test_pairs_that_a_short_topic_lacks_count_as_nothing():
    assert npmi([[0, 1], [0], [], [0, 1, 2]], PRESENCE, 3) == pytest.approx([1 / 3, 0, 0, -1 / 3])
    assert npmi([[0, 1, 2]], PRESENCE, 2) == npmi([[0, 1, 2]], PRESENCE)


def test_diversity_is_the_share_of_different_words():
    assert diversity([[1, 2], [3, 4]]) == 1 and diversity([[1, 2], [1, 2]]) == 0.5 and diversity([]) == 0


def test_agreement_does_not_mind_the_order():
    first = [[1, 2, 3], [4, 5, 6]]
    assert agreement(first, [[6, 5, 4], [3, 1, 2]]) == 1
    assert agreement(first, [[1, 2, 9], [4, 5, 6]]) == pytest.approx((0.5 + 1) / 2)
    assert agreement(first, [[1, 2, 3]]) == 0.5, "a missing topic counts as lost"
    assert agreement(first, []) == 0
