import math

import numpy as np
import pytest

from wenmo.errors import OptionError
from wenmo.workflow.target import parse_target, whole_score


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1.9", 1.9, "bpb"),
        ("1.9bpb", 1.9, "bpb"),
        (" 2 BPB ", 2.0, "bpb"),
        ("80ppl", 80.0, "ppl"),
        ("1.5 ppl", 1.5, "ppl"),
    ],
)
def test_targets(text: str, value: float, unit: str) -> None:
    target = parse_target(text)
    assert (target.value, target.unit) == (value, unit)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("low", "write it like 1.9bpb"),
        ("-1", "write it like"),
        ("1,9", "write it like"),
        ("1.9bits", "write it like"),
        ("0", "no model reaches that"),
        ("1ppl", "above 1"),
        ("8", "every model reaches that"),
        ("100bpb", "8 bits"),
    ],
)
def test_what_is_no_target_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(OptionError, match="--target") as caught:
        parse_target(text)
    assert words in str(caught.value)


def test_a_perplexity_is_turned_into_bits_per_byte_exactly() -> None:
    # A token costs log2(64) = 6 bits; 100 tokens over 250 bytes.
    assert parse_target("64ppl").bits_per_byte(100, 250) == pytest.approx(2.4)
    assert parse_target("1.9").bits_per_byte(100, 250) == 1.9
    nats = np.full(100, math.log(64.0))
    assert whole_score([nats], 250) == pytest.approx(2.4)


def test_members_together_are_better_than_each_where_they_err_apart() -> None:
    one, other = np.tile([0.5, 3.0], 500), np.tile([3.0, 0.5], 500)
    together = whole_score([one, other], 2000)
    assert together < whole_score([one], 2000) == pytest.approx(1000 * 1.75 / math.log(2.0) / 2000)
    assert whole_score([one, one + 9.0], 2000) == pytest.approx(whole_score([one], 2000), rel=1e-3)
