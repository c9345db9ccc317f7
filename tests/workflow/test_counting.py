from types import SimpleNamespace

import numpy as np
import pytest

from wenmo.models.ngram import NgramConfig
from wenmo.workflow import counting
from wenmo.workflow.clock import Clock


@pytest.mark.parametrize("compiles", [True, False])
def test_compiling_is_told_and_does_not_count_as_counting(monkeypatch, compiles):
    ids, token_bytes = np.arange(400) % 7, [bytes([97 + token]) for token in range(7)]
    texts = SimpleNamespace(
        train=SimpleNamespace(ids=ids, num_bytes=400, num_documents=1),
        tokenizer=SimpleNamespace(vocab_size=7, token_bytes=token_bytes),
    )
    counted = iter([3, 3 + compiles])
    monkeypatch.setattr(counting, "compilations", lambda: next(counted))
    told = []
    member = counting.train_ngram(texts, Clock(None, 0.0), 0, told.append, False)
    assert [("compiled" in line, "wenmo doctor" in line) for line in told] == [(True, True)] * compiles
    assert member.model.tokens_seen == len(ids)


@pytest.mark.parametrize("shaping", [0.0, 2.0])
def test_shaping_the_tree_is_not_taken_for_counting(monkeypatch, shaping):
    now = 0.0

    class Counted:
        """Takes a tenth of a millisecond for each token, and before the first ones what the tree takes."""

        def __init__(self, config):
            self.started = False

        def fit(self, ids, token_bytes):
            nonlocal now
            now += len(ids) / 10_000 + shaping * (not self.started)
            self.started = True

    monkeypatch.setattr(counting, "NgramModel", Counted)
    monkeypatch.setattr(counting.time, "monotonic", lambda: now)
    texts = SimpleNamespace(
        train=SimpleNamespace(ids=np.arange(50_000) % 7), tokenizer=SimpleNamespace(token_bytes=[])
    )
    config = NgramConfig(vocab_size=7, context_length=16)
    left = 20.0 - 3 * counting.PROBED_TOKENS / 10_000 - 2 * shaping
    expected = left * 10_000 * counting.LARGE_TABLES_SPEED
    assert counting._countable(config, texts, 20.0) == pytest.approx(expected)
    assert counting._countable(config, texts, shaping) == 0.0
    texts.train.ids = texts.train.ids[: counting.PROBED_TOKENS]
    assert counting._countable(config, texts, 20.0) == np.inf
