import numpy as np
import pytest
import torch
from fake_models import ByteVocabulary
from hypothesis import given, settings
from hypothesis import strategies as st

from wenmo.config import SamplingSettings
from wenmo.errors import OptionError
from wenmo.generation import sampling
from wenmo.generation.sampling import Candidates, Sampler, build_sampler, random_generators

VOCABULARY = ByteVocabulary()
OFF = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0}


def row(seed: int, size: int = 257, scale: float = 3.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)


def ours(logits: np.ndarray, step) -> np.ndarray:
    """Logits with -inf where the step drops a token."""
    kept = step(Candidates(np.arange(len(logits)), logits))
    full = np.full(len(logits), -np.inf, np.float32)
    full[kept.ids] = kept.logits
    return full


def theirs(logits: np.ndarray, processor, ids=((1, 2, 3),)) -> np.ndarray:
    return processor(torch.tensor(ids), torch.from_numpy(logits)[None].clone())[0].numpy()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("name", "value", "step"),
    [
        *(("TopKLogitsWarper", k, sampling.top_k) for k in (1, 7, 256)),
        *(("TopPLogitsWarper", p, sampling.top_p) for p in (0.05, 0.6, 0.95, 0.9999)),
        *(("MinPLogitsWarper", p, sampling.min_p) for p in (0.001, 0.05, 0.5)),
        *(("TypicalLogitsWarper", p, sampling.typical) for p in (0.1, 0.5, 0.95)),
    ],
)
def test_the_same_tokens_are_kept_as_in_transformers(seed, name, value, step):
    import transformers

    logits = row(seed)
    reference = theirs(logits, getattr(transformers, name)(value))
    np.testing.assert_array_equal(ours(logits, lambda c: step(c, value)), reference)


@pytest.mark.parametrize("t", [0.3, 0.8, 1.7])
def test_temperature_gives_the_distribution_of_transformers(t):
    import transformers

    logits = row(1)
    reference = torch.from_numpy(theirs(logits, transformers.TemperatureLogitsWarper(t))).softmax(0).numpy()
    found = sampling.temperature(Candidates(np.arange(257), logits), t)
    np.testing.assert_allclose(sampling.probabilities(found.logits), reference, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("penalty", [0.7, 1.3, 2.0])
def test_the_repeat_penalty_is_that_of_transformers(penalty):
    import transformers

    logits, history = row(2), [5, 9, 9, 200, 5]
    sampler = build_sampler(SamplingSettings(**OFF, repeat_penalty=penalty), VOCABULARY)
    found = sampler.candidates(logits, np.array(history)).logits
    reference = theirs(logits, transformers.RepetitionPenaltyLogitsProcessor(penalty), ids=(history,))
    np.testing.assert_allclose(found, reference, rtol=1e-6)


@given(st.integers(0, 50), st.floats(0.01, 0.999), st.floats(0.01, 0.999), st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_no_sampler_drops_the_likeliest_or_everything(seed, p, q, k):
    logits = row(seed, 40)
    start = Candidates(np.arange(40), logits)
    for step, value in (
        (sampling.top_k, k),
        (sampling.top_p, p),
        (sampling.min_p, q),
        (sampling.temperature, q),
    ):
        assert int(logits.argmax()) in step(start, value).ids
    assert len(sampling.typical(start, p).ids) >= 1
    nucleus = sampling.probabilities(logits)[sampling.top_p(start, p).ids]
    assert nucleus.sum() >= p - 1e-5
    assert nucleus.sum() - nucleus.min() < p + 1e-5, "the nucleus is the smallest such set"


def test_values_that_mean_off_change_nothing():
    logits = row(3)
    for step, value in (
        (sampling.top_k, 0),
        (sampling.top_p, 1.0),
        (sampling.min_p, 0.0),
        (sampling.typical, 1.0),
        (sampling.temperature, 1.0),
    ):
        np.testing.assert_array_equal(ours(logits, lambda c, step=step, value=value: step(c, value)), logits)
    found = build_sampler(SamplingSettings(**OFF), VOCABULARY).candidates(logits, np.array([1, 1]))
    np.testing.assert_array_equal(found.logits, logits)


def test_samplers_run_in_the_order_given():
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1], np.float32))
    cut = dict(OFF, top_p=0.6, temperature=4.0)
    before = build_sampler(SamplingSettings(**cut, samplers=("top_p", "temperature")), VOCABULARY)
    after = build_sampler(SamplingSettings(**cut, samplers=("temperature", "top_p")), VOCABULARY)
    none = np.array([], np.int64)
    assert len(before.candidates(logits, none).ids) == 2
    assert len(after.candidates(logits, none).ids) == 3


def test_greedy_takes_the_first_of_the_likeliest():
    logits = np.array([0.0, 2.0, 2.0, 1.0], np.float32)
    sampler = build_sampler(SamplingSettings(temperature=0), VOCABULARY)
    generator = random_generators(0, 1)[0]
    assert {sampler.draw(logits, np.array([3]), generator) for _ in range(20)} == {1}


def test_banned_tokens_and_impossible_ones_are_never_drawn():
    logits = np.array([5.0, 1.0, -np.inf, 1.0], np.float32)
    generator = random_generators(1, 1)[0]
    sampler = Sampler([], banned=[0])
    assert {sampler.draw(logits, np.array([1]), generator) for _ in range(100)} == {1, 3}


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(FloatingPointError):
        Sampler([]).candidates(np.array([np.nan, 1.0], np.float32), np.array([0]))


def test_draws_follow_the_distribution():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    generator, sampler = random_generators(7, 1)[0], Sampler([])
    counts = np.bincount([sampler.draw(logits, np.array([0]), generator) for _ in range(20000)], minlength=4)
    np.testing.assert_allclose(counts / 20000, [0.5, 0.3, 0.15, 0.05], atol=0.012)


def test_a_seed_repeats_and_samples_differ():
    first = [g.random() for g in random_generators(0, 3)]
    assert first == [g.random() for g in random_generators(0, 3)]
    assert first[:1] == [g.random() for g in random_generators(0, 1)]
    assert len(set(first)) == 3
    assert random_generators(0, 1)[0].random() != random_generators(1, 1)[0].random()
    assert random_generators(-1, 1)[0].random() == random_generators(-1, 1)[0].random()
    assert random_generators(None, 1)[0].random() != random_generators(None, 1)[0].random()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"samplers": ("top_k", "mirostat")}, "mirostat"),
        ({"samplers": ("top_k", "top_k")}, "twice"),
        ({"samplers": ("temperature",), "top_k": 5}, "top_k"),
        ({"samplers": ("top_k",), "temperature": 0.5}, "temperature"),
        ({"samplers": ("top_k",), "temperature": 0}, "temperature"),
        ({"samplers": ("top_k",), "repeat_penalty": 1.1}, "penalties"),
        ({"samplers": ("top_k",), "dry_multiplier": 0.8}, "dry"),
        ({"samplers": ("top_k",), "typical_p": 0.8}, "typ_p"),
        ({"repeat_last_n": 5}, "repeat_last_n"),
        ({"dry_base": 3.0}, "dry_base"),
        ({"dry_sequence_breakers": ("x",)}, "dry_sequence_breakers"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(options, word):
    with pytest.raises(OptionError, match=word):
        build_sampler(SamplingSettings(**options), VOCABULARY)


@pytest.mark.parametrize(
    "options", [{"samplers": ("temperature",)}, {"samplers": ("top_k",), "top_k": 5, "top_p": 1.0}]
)
def test_defaults_and_options_that_are_off_need_no_sampler(options):
    build_sampler(SamplingSettings(**options), VOCABULARY)
