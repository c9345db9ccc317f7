import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wenmo.models import likelihood
from wenmo.models.base import LanguageModel, ModelConfig, State
from wenmo.models.likelihood import bits_per_byte, perplexity, score_stream, windows
from wenmo.models.recurrent import RecurrentConfig, RecurrentModel

VOCAB = 11


class LastTokens(State):
    """The last token of each row."""

    def __init__(self, last, lengths):
        self.last, self.lengths = last, lengths

    def select(self, rows):
        return LastTokens(self.last[rows], self.lengths[rows])

    def truncate(self, lengths):
        raise NotImplementedError


class Bigram(LanguageModel):
    """Known by its logits only: they depend on the last two tokens, so that a lost state shows."""

    architecture = "bigram"

    def __init__(self):
        super().__init__()
        self.config = ModelConfig(vocab_size=VOCAB, context_length=6)
        self.table = nn.Parameter(torch.randn(VOCAB, VOCAB, VOCAB))

    def initial_state(self, batch):
        return LastTokens(torch.zeros(batch, dtype=torch.int64), torch.zeros(batch, dtype=torch.int64))

    def forward(self, ids, state=None, lengths=None):
        state = state or self.initial_state(len(ids))
        before = torch.cat([state.last[:, None], ids[:, :-1]], 1)
        return self.table[before, ids], LastTokens(ids[:, -1], state.lengths + ids.shape[1])


def lstm():
    config = RecurrentConfig(
        vocab_size=VOCAB, context_length=6, architecture="lstm", embedding_size=5, hidden_size=7, layers=1
    )
    return RecurrentModel(config)


def naive(model, ids, context):
    """The protocol said again without windows laid in advance: one token after the other."""
    stream = [0, *ids.tolist()]
    stride, width, nats = max(1, context // 2), min(context, len(ids)), []
    start = 0
    for place in range(len(ids)):
        if place >= start + width:
            start = min(start + stride, len(ids) - width)
        logits, _ = model(torch.tensor([stream[start : place + 1]]))
        nats.append(-torch.log_softmax(logits[0, -1].double(), -1)[stream[place + 1]].item())
    return np.array(nats)


@given(num_tokens=st.integers(1, 300), context=st.integers(1, 40))
def test_windows_score_every_token_once_with_enough_context(num_tokens, context):
    scored = []
    for start, first in windows(num_tokens, context):
        width = min(context, num_tokens)
        assert 0 <= start <= num_tokens - width
        for place in range(first, width):
            scored.append(start + place)
            assert place + 1 >= context // 2 or start == 0
    assert scored == list(range(num_tokens))


def test_windows_slide_by_half_the_context():
    assert windows(20, 8).tolist() == [[0, 0], [4, 4], [8, 4], [12, 4]]
    assert windows(18, 8).tolist() == [[0, 0], [4, 4], [8, 4], [10, 6]]
    assert windows(3, 8).tolist() == [[0, 0]]


@pytest.mark.parametrize("make", [lstm, Bigram])
@pytest.mark.parametrize("context", [1, 2, 5, 6, 200])
@pytest.mark.parametrize("num_tokens", [1, 5, 6, 7, 50])
def test_equals_the_naive_scorer(make, context, num_tokens):
    model = make().eval()
    ids = np.random.default_rng(0).integers(0, VOCAB, num_tokens).astype(np.uint16)
    nats = score_stream(model, ids, eos_id=0, context=context, batch_tokens=17)
    assert nats.dtype == np.float64
    np.testing.assert_allclose(nats, naive(model, ids, context), atol=2e-6)


@pytest.mark.parametrize("make", [lstm, Bigram])
def test_small_chunks_of_logits_change_nothing(make, monkeypatch):
    model = make()
    ids = np.random.default_rng(1).integers(0, VOCAB, 60)
    whole = score_stream(model, ids, eos_id=0)
    monkeypatch.setattr(likelihood, "LOGITS", 4 * VOCAB)
    np.testing.assert_allclose(score_stream(model, ids, eos_id=0), whole, atol=1e-6)


def test_logits_stay_below_the_limit(monkeypatch):
    """No tensor larger than the limit goes through the normalisation."""
    seen = []
    monkeypatch.setattr(likelihood, "LOGITS", 5 * VOCAB)
    original = torch.nn.functional.cross_entropy

    def watched(logits, *args, **kwargs):
        seen.append(logits.numel())
        return original(logits, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", watched)
    for model in (lstm(), Bigram()):
        score_stream(model, np.arange(100) % VOCAB, eos_id=0)
    assert seen and max(seen) <= 5 * VOCAB


def test_leaves_the_mode_as_it_was_and_scores_without_dropout():
    config = lstm().config.model_copy(update={"dropout": 0.5, "recurrent_dropout": 0.5})
    model = RecurrentModel(config).train()
    ids = np.arange(40) % VOCAB
    first = score_stream(model, ids, eos_id=0)
    assert model.training
    np.testing.assert_array_equal(first, score_stream(model.eval(), ids, eos_id=0))
    assert not model.training


def test_a_family_may_score_in_its_own_way():
    class Own(Bigram):
        def token_nats(self, ids, context, adaptive, eos_id=0):
            return np.full(len(ids), float(context) if adaptive else 1.0)

    nats = score_stream(Own(), np.arange(5), eos_id=0, context=4, adaptive=True)
    assert nats.tolist() == [4.0] * 5
    assert score_stream(Own(), np.arange(5), eos_id=0).tolist() == [1.0] * 5


def test_progress_counts_every_token():
    from wenmo.progress import Progress

    progress = Progress("Scoring", 33, "tokens", enabled=False)
    score_stream(lstm(), np.arange(33) % VOCAB, eos_id=0, batch_tokens=10, progress=progress)
    assert progress.done == 33


def test_nothing_to_score_is_refused():
    with pytest.raises(ValueError, match="no token"):
        score_stream(lstm(), np.array([], np.int64), eos_id=0)
    with pytest.raises(ValueError, match="context"):
        score_stream(lstm(), np.arange(3), eos_id=0, context=0)
    with pytest.raises(ValueError, match="bytes"):
        bits_per_byte(np.ones(2), 0)
    with pytest.raises(ValueError, match="tokens"):
        perplexity(np.array([]))


def test_a_uniform_model_has_the_scores_of_the_textbook():
    nats = np.full(8, math.log(256))
    assert bits_per_byte(nats, 8) == pytest.approx(8.0)
    assert bits_per_byte(nats, 16) == pytest.approx(4.0)
    assert perplexity(nats) == pytest.approx(256.0)
    assert perplexity(np.array([1e4])) == math.inf
