import math

import pytest

from wenmo.evaluation.doubling import KEPT, TwiceTheText, network_fall, ngram_fall, sentence
from wenmo.training.reach import FREE_PASSES, repetition


def test_an_ngram_model_gains_a_share_of_what_it_gained_last_time() -> None:
    assert ngram_fall(2.2, 2.0) == pytest.approx(KEPT * math.log(1.1))
    assert ngram_fall(2.0, 2.1) == 0.0  # no better with the second half: nothing is promised


def test_a_network_gains_what_repetition_costs_it() -> None:
    assert network_fall(0.5) == network_fall(FREE_PASSES) == 0.0
    assert network_fall(20.0) == pytest.approx(repetition(20.0) - repetition(10.0))
    assert network_fall(40.0) > network_fall(20.0)
    assert network_fall(20.0, 0.5) == pytest.approx(network_fall(20.0) / 2)


def test_it_is_said_with_its_interval_and_its_method() -> None:
    found = TwiceTheText(now=2.0, predicted=1.9, low=1.85, high=1.97, method="by this and that")
    assert sentence(found) == (
        "Twice the text of the same kind would give about 5.0% fewer bits per byte in the same time "
        "(1.5% to 7.5%): by this and that."
    )
    little = TwiceTheText(now=2.0, predicted=2.0, low=1.995, high=2.0, method="by this")
    assert "next to nothing in the same time (less than 0.5%)" in sentence(little)
