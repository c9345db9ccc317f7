"""Pieces are counted as Python would count them."""

from collections import Counter

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from wenmo.tokenization.cutting import cut
from wenmo.tokenization.pieces import Pieces


@given(st.lists(st.text(st.sampled_from("ab 江水1，\n"), max_size=20), max_size=8))
@example([])
@example([""])
@example(["a", "b"])
@example(["江水 江水", "江水"])
def test_counts(texts: list[str]) -> None:
    expected: Counter[bytes] = Counter()
    for text in texts:
        data = text.encode()
        start = 0
        for end in cut(np.frombuffer(data, np.uint8)).tolist():
            if end - start > 1:
                expected[data[start:end]] += 1
            start = end
    found = Pieces.of(texts)
    data = found.data.tobytes()
    spelled = [
        data[start : start + size]
        for start, size in zip(found.starts.tolist(), found.sizes.tolist(), strict=True)
    ]
    assert dict(zip(spelled, found.counts.tolist(), strict=True)) == expected
    assert len(set(spelled)) == len(spelled)


def test_what_is_no_character_is_left_out() -> None:
    assert Pieces.of(["a\ud800b"]).data.tobytes() == b"ab"
