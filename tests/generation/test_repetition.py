import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wenmo.generation.repetition import dry, penalties, tokens_since_breaker

PIECES = [b"", b"a", b"b", b"c", b"\n", b"x:", b"::", b"=", b">", "。".encode()[:2], "。".encode()[2:]]
SIZE = len(PIECES)
texts = st.lists(st.integers(1, 3) | st.integers(0, SIZE - 1), max_size=25)


def slow_penalties(logits, history, last_n, repeat, presence, frequency):
    window = history if last_n == -1 else history[-last_n:] if last_n else []
    out = []
    for token, logit in enumerate(logits):
        times = window.count(token)
        if times:
            logit = logit / repeat if logit > 0 else logit * repeat
            logit -= presence + frequency * times
        out.append(logit)
    return np.array(out)


@given(
    texts,
    st.integers(-1, 8),
    st.sampled_from([1.0, 1.3]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.0, -0.25]),
)
@settings(deadline=None)
def test_penalties_agree_with_a_plain_loop(history, last_n, repeat, presence, frequency):
    logits = np.linspace(-2, 3, SIZE).astype(np.float32)
    found = penalties(
        np.arange(SIZE), logits, np.array(history, np.int64), last_n, repeat, presence, frequency
    )
    np.testing.assert_allclose(
        found, slow_penalties(logits, history, last_n, repeat, presence, frequency), rtol=1e-6
    )


def slow_since(text, breakers):
    """Tokens after the one that holds the last byte of the last breaker."""
    for after in range(len(text)):
        end = len(text) - after
        before = b"".join(PIECES[t] for t in text[: end - 1])
        joined = before + PIECES[text[end - 1]]
        for b in breakers:
            place = joined.rfind(b)
            if place >= 0 and place + len(b) > len(before):
                return after
    return len(text)


def slow_dry(logits, history, multiplier, base, allowed, last_n, breakers):
    text = history if last_n == -1 else history[-last_n:] if last_n else []
    since = slow_since(text, breakers)
    longest = {}
    for i in range(len(text) - 1):
        length = 0
        while length <= i and text[i - length] == text[len(text) - 1 - length]:
            length += 1
        length = min(length, since)
        if length >= max(allowed, 1) and len(text) > allowed:
            token = text[i + 1]
            longest[token] = max(longest.get(token, 0), length)
    return np.array(
        [
            x - (multiplier * base ** (longest[t] - allowed) if t in longest else 0)
            for t, x in enumerate(logits)
        ]
    )


@given(
    texts,
    st.integers(0, 3),
    st.sampled_from([-1, 0, 1, 6, 12]),
    st.sampled_from([(), (b"\n", b":"), ("。".encode(), b"=>"), (b"abc",)]),
    st.sampled_from([1.0, 1.75]),
)
@example([1, 2, 3, 1, 2], 2, -1, (), 1.75)
@settings(max_examples=300, deadline=None)
def test_dry_agrees_with_a_plain_loop(history, allowed, last_n, breakers, base):
    logits = np.linspace(-2, 3, SIZE).astype(np.float32)
    found = dry(
        np.arange(SIZE), logits, np.array(history, np.int64), PIECES, 0.8, base, allowed, last_n, breakers
    )
    np.testing.assert_allclose(
        found, slow_dry(logits, history, 0.8, base, allowed, last_n, breakers), rtol=1e-5
    )


def test_dry_penalises_the_token_that_would_continue_a_repetition():
    logits = np.zeros(SIZE, np.float32)
    found = dry(np.arange(SIZE), logits, np.array([1, 2, 3, 3, 1, 2]), PIECES, 0.8, 1.75, 2, -1, ())
    expected = np.zeros(SIZE)
    expected[3] = -0.8
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    longer = dry(np.arange(SIZE), logits, np.array([3, 1, 2, 3, 3, 1, 2]), PIECES, 0.8, 1.75, 2, -1, ())
    assert longer[3] == pytest.approx(-0.8 * 1.75)


def test_dry_works_on_candidates_already_cut():
    ids = np.array([9, 3, 1])
    found = dry(ids, np.zeros(3, np.float32), np.array([1, 2, 3, 3, 1, 2]), PIECES, 0.8, 1.75, 2, -1, ())
    np.testing.assert_allclose(found, [0, -0.8, 0], rtol=1e-6)


def test_dry_stays_finite_after_a_very_long_repetition():
    found = dry(
        np.arange(SIZE), np.zeros(SIZE, np.float32), np.ones(5000, np.int64), PIECES, 1.0, 4.0, 2, -1, ()
    )
    assert np.isfinite(found).all() and found[1] < -1e37


@pytest.mark.parametrize(
    ("text", "count"), [([1, 4, 2, 3], 2), ([1, 2, 3], 3), ([1, 4], 0), ([9, 10, 1], 1), ([5, 1], 1)]
)
def test_tokens_since_a_breaker(text, count):
    assert tokens_since_breaker(np.array(text), len(text), PIECES, [b"\n", b":", "。".encode()]) == count
