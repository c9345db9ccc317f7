import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from wenmo.models.likelihood import score_stream
from wenmo.models.mixing_weights import (
    adaptive_nats,
    fit_gate,
    fit_weights,
    mixture_nats,
)
from wenmo.models.mixture import MixtureConfig, MixtureModel
from wenmo.models.mixture_state import MixtureState
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.recurrent import RecurrentModel
from wenmo.models.recurrent_config import RecurrentConfig
from wenmo.models.registry import build_model

TEXT = "the cat sat on the mat. the dog sat on the log. 猫坐在垫子上。狗坐在木头上。" * 30
CHARS = sorted(set(TEXT))
TOKEN_BYTES = [b"", *(c.encode() for c in CHARS)]
IDS = np.array([CHARS.index(c) + 1 for c in TEXT] + [0])
V = len(TOKEN_BYTES)


@pytest.fixture(scope="module")
def members():
    torch.manual_seed(0)
    gram = NgramModel(NgramConfig(vocab_size=V, context_length=32))
    gram.fit(IDS[:800], TOKEN_BYTES)
    shape = RecurrentConfig(
        architecture="gru", vocab_size=V, context_length=16, layers=1, embedding_size=16, hidden_size=16
    )
    return {"gru": RecurrentModel(shape).eval(), "ngram": gram}


@pytest.fixture
def mixture(members):
    return MixtureModel.of(members).eval()


def draw(weights, tokens, seed=0):
    """Nats of three fixed distributions over 8 symbols, on symbols drawn from their mixture."""
    random = np.random.default_rng(seed)
    distributions = random.dirichlet(np.full(8, 0.4), 3)
    symbols = random.choice(8, tokens, p=np.asarray(weights) @ distributions)
    return -np.log(distributions[:, symbols])


def test_em_recovers_the_weights_text_was_drawn_with():
    truth = [0.6, 0.3, 0.1]
    assert np.allclose(fit_weights(draw(truth, 200_000)), truth, atol=0.02)


def test_em_agrees_with_a_grid_search():
    nats = draw([0.3, 0.7, 0.0], 500)[:2]
    grid = np.linspace(0, 1, 2001)
    best = grid[np.argmin([mixture_nats(nats, np.array([w, 1 - w])).sum() for w in grid])]
    assert fit_weights(nats)[0] == pytest.approx(best, abs=2e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 60))
def test_the_fit_is_never_worse_than_equal_weights_or_any_member(seed, members, tokens):
    nats = np.random.default_rng(seed).exponential(2.0, (members, tokens))
    weights = fit_weights(nats)
    fitted = mixture_nats(nats, weights).sum()
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    assert fitted <= mixture_nats(nats, np.full(members, 1 / members)).sum() + 1e-9
    assert fitted <= nats.sum(1).min() + 2e-2 * tokens


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_step_of_em_raises_the_likelihood(seed):
    import wenmo.models.mixing_weights as module

    nats = np.random.default_rng(seed).exponential(2.0, (3, 50))
    before, steps = module.ITERATIONS, []
    try:
        for module.ITERATIONS in range(1, 15):
            steps.append(mixture_nats(nats, fit_weights(nats)).sum())
    finally:
        module.ITERATIONS = before
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(steps))


def test_no_tokens_are_refused():
    with pytest.raises(ValueError, match="no tokens"):
        fit_weights(np.zeros((2, 0)))


def test_the_gate_is_used_where_it_pays_only():
    nats = draw([1.0, 0.0, 0.0], 20_000)
    buckets = np.arange(20_000) % 2
    swapped = np.where(buckets == 1, nats[[1, 0, 2]], nats)
    gate = fit_gate(swapped, buckets, 3)
    assert gate[0, 0] > 0.85 and gate[1, 1] > 0.85
    noise = fit_gate(draw([0.5, 0.3, 0.2], 4000), np.random.default_rng(1).integers(0, 3, 4000), 3)
    gated = np.abs(noise - noise[0]).max()
    assert gated < 0.2
    few = fit_gate(nats[:, :5], buckets[:5], 3)
    assert np.array_equal(few[0], few[1])


def test_adapting_weights_follow_the_better_member():
    nats = np.tile(np.array([[3.0], [1.0]]), (1, 5000))
    buckets = np.zeros(5000, np.int64)
    start = np.array([[0.5, 0.5]])
    scored = adaptive_nats(nats, buckets, start, 0.01)
    assert scored[0] == pytest.approx(mixture_nats(nats[:, :1], start[0])[0])
    assert scored[-1] == pytest.approx(1.0, abs=1e-3)
    assert np.array_equal(start, [[0.5, 0.5]])
    # Weights that were fitted for something else are left behind within a hundred tokens, in every bucket.
    wrong = np.array([[0.95, 0.05], [0.95, 0.05]])
    scored = adaptive_nats(nats, np.arange(5000) % 2, wrong, 0.001)
    assert scored[200:].mean() < 1.1 < scored[:20].mean()


def test_forward_averages_probabilities(mixture, members):
    mixture.weights.copy_(torch.tensor([0.25, 0.75]).expand_as(mixture.weights))
    ids = torch.from_numpy(IDS[None, :20])
    logits, _ = mixture(ids)
    expected = 0.25 * members["gru"](ids)[0].softmax(-1) + 0.75 * members["ngram"](ids)[0].softmax(-1)
    assert torch.allclose(logits.exp(), expected, atol=1e-6)
    mixture.weights.fill_(0.5)


def test_state_select_and_truncate(mixture):
    ids = torch.from_numpy(IDS[None, :24]).repeat(2, 1)
    whole, _ = mixture(ids)
    _, state = mixture(ids[:, :16], lengths=torch.tensor([16, 10]))
    assert state.lengths.tolist() == [16, 10]
    again = state.truncate(torch.tensor([8, 8])).select(torch.tensor([1, 0, 1]))
    rest, end = mixture(ids[[0, 0, 0], 8:24], again)
    assert torch.allclose(rest, whole[[0, 0, 0], 8:], atol=1e-5)
    assert end.lengths.tolist() == [24, 24, 24]


def test_scores_agree_with_forward(mixture):
    ids = IDS[800:830]
    assert mixture.evidence(ids, 64, False).nats.shape == (2, 30)
    mixture.weights.copy_(torch.rand(mixture.weights.shape, dtype=torch.float64) + 0.1)
    mixture.weights.div_(mixture.weights.sum(1, keepdim=True))
    given = torch.from_numpy(np.append(0, ids)[None])
    expected = cross_entropy(mixture(given[:, :-1])[0][0], given[0, 1:], reduction="none")
    scored = score_stream(mixture, ids, eos_id=0, context=64)
    assert np.allclose(scored, expected.detach().numpy(), atol=1e-5)
    mixture.weights.fill_(0.5)


def test_fitting_weights_lowers_held_out_nats(mixture):
    held_out = IDS[800:1400][::-1].copy()
    equal = mixture.token_nats(held_out, 16, False).sum()
    mixture.fit_weights(held_out, mixing="linear")
    nats = mixture.held_out[0].nats
    fitted = mixture.token_nats(held_out, 16, False).sum()
    assert fitted < equal
    assert fitted <= nats.sum(1).min() + 1
    assert mixture.token_nats(held_out, 16, True).sum() < fitted
    mixture.weights.fill_(0.5)


def test_saved_and_restored(mixture):
    again = MixtureModel.restore(
        MixtureConfig.model_validate_json(mixture.config.model_dump_json()),
        mixture.saved_tensors(),
        mixture.saved_members(),
    )
    ids = torch.from_numpy(IDS[None, :12])
    assert torch.equal(again(ids)[0], mixture(ids)[0])
    with pytest.raises(ValueError, match="weights"):
        MixtureModel.restore(mixture.config, {"weights": torch.zeros(1, 3)}, mixture.saved_members())
    with pytest.raises(ValueError, match="members"):
        MixtureModel.restore(mixture.config, mixture.saved_tensors(), {})


@pytest.fixture(scope="module")
def logistic(members):
    model = MixtureModel.of(members).eval()
    model.fit_weights(IDS[800:1400], mixing="logistic")
    return model


def test_the_logistic_way_gives_the_same_tokens_in_scores_and_in_distributions(logistic):
    ids = IDS[700:760]
    stream = torch.from_numpy(np.append(0, ids)[None])
    with torch.no_grad():
        logits, _ = logistic(stream[:, :-1])
    assert torch.allclose(logits.double().exp().sum(-1), torch.ones(1, 60, dtype=torch.float64), atol=1e-5)
    expected = cross_entropy(logits[0], stream[0, 1:], reduction="none")
    assert np.allclose(score_stream(logistic, ids, eos_id=0, context=64), expected.numpy(), atol=1e-5)


def test_what_the_model_writes_itself_is_no_evidence_for_the_cache(logistic):
    text = torch.from_numpy(IDS[700:720][None])
    gru = logistic.members["gru"]
    with torch.no_grad():
        _, read = logistic(text)
        _, state = logistic(text[:, :12])
        own = state.writing(True)
        for place in range(12, 20):
            logits, own = logistic(text[:, place : place + 1], own)
        given, _ = logistic(text[:, 19:], logistic(text[:, :19])[1])
        assert not torch.allclose(logits, given, atol=1e-3)
        hidden, _ = gru.hidden(text)
        assert own.recent.given.tolist() == [[True] * 12 + [False] * 8]
        assert torch.allclose(own.recent.vectors, torch.nn.functional.normalize(hidden, dim=-1), atol=1e-6)

        # The same as if the cache had stopped at the last token that was given.
        short = dataclasses.replace(read.recent, given=own.recent.given)
        expected, _ = logistic(text[:, :1], MixtureState(read.states, short))
        found, after = logistic(text[:, :1], own.writing(False))
    assert torch.allclose(found, expected, atol=1e-5)
    assert after.recent.given[0, -1] and after.select(torch.tensor([0, 0])).own is False
    assert own.select(torch.tensor([0, 0])).own and own.truncate(torch.tensor([14])).own


def test_what_the_neural_members_said_is_used_again(logistic):
    frozen = logistic.evidence(IDS[300:500], 16, False)
    learning = logistic.evidence(IDS[300:500], 16, True, neural=frozen)
    anew = logistic.evidence(IDS[300:500], 16, True)
    assert np.array_equal(learning.odds, anew.odds) and np.array_equal(learning.nats, anew.nats)
    assert not np.array_equal(learning.nats[1], frozen.nats[1])
    assert np.array_equal(learning.nats[0], frozen.nats[0])
    gains = logistic.gains(learning, True)
    assert set(gains) == {"gru", "ngram", "cache"} and all(np.isfinite(list(gains.values())))
    assert set(logistic.shares(frozen)) == {"gru", "ngram", "cache"}


def test_a_long_stream_is_scored_in_stretches_and_what_was_learned_is_carried_on(logistic, monkeypatch):
    ids = IDS[200:500]
    whole = logistic.token_nats(ids, 16, True)
    monkeypatch.setattr("wenmo.models.mixture.STRETCH", 100)
    cut, members = logistic.score(ids, 16, True)
    assert np.array_equal(cut[:80], whole[:80]) and members.shape == (2, 300)
    anew = np.concatenate([logistic.token_nats(part, 16, True) for part in np.split(ids, 3)])
    assert cut.sum() < anew.sum(), "the second and third stretch know more than the first"
    frozen = logistic.score(ids, 16, False)[0]
    expected = np.concatenate([logistic.token_nats(part, 16, False) for part in np.split(ids, 3)])
    assert np.array_equal(frozen, expected)


def test_a_logistic_mixture_is_saved_and_restored(logistic):
    tensors = logistic.saved_tensors()
    assert set(tensors) == {"weights", "mixing", "mixing_sets"}
    again = MixtureModel.restore(logistic.config, tensors, logistic.saved_members())
    assert again.logistic and again.cached > 0
    ids = torch.from_numpy(IDS[None, :12])
    assert torch.equal(again(ids)[0], logistic(ids)[0])
    assert again.gains(logistic.evidence(IDS[:50], 16, False), False) == {}, "it was not fitted here"


def test_a_mixture_without_a_mixer_is_linear_as_it_was(logistic):
    old = MixtureModel.restore(
        logistic.config, {"weights": logistic.saved_tensors()["weights"]}, logistic.saved_members()
    )
    assert not old.logistic and old.cached == 0
    broken = {**logistic.saved_tensors(), "mixing": torch.zeros(2, 3, 4)}
    with pytest.raises(ValueError, match="trained again"):
        MixtureModel.restore(logistic.config, broken, logistic.saved_members())


def test_a_mixture_of_mixtures_is_linear(members, logistic):
    nested = MixtureModel.of({"first": logistic, "gru": members["gru"]}).eval()
    nested.fit_weights(IDS[800:900])
    assert not nested.logistic
    with pytest.raises(ValueError, match="logistic way"):
        nested.fit_weights(IDS[800:900], mixing="logistic")


def test_built_from_its_configuration(mixture):
    assert isinstance(build_model(mixture.config), MixtureModel)
    assert mixture.num_parameters() == sum(m.num_parameters() for m in mixture.saved_members().values())


def test_members_must_agree(members):
    with pytest.raises(ValueError, match="at least one"):
        MixtureModel.of({})
    other = NgramModel(NgramConfig(vocab_size=V + 1))
    with pytest.raises(ValueError, match="tokens"):
        MixtureModel.of({**members, "other": other})
