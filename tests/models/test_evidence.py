from dataclasses import replace

import numpy as np
import pytest

from wenmo.models import evidence as evidence_module
from wenmo.models import token_tree, tree_mixing
from wenmo.models.evidence import (
    CACHE,
    Evidence,
    fit_mixer,
    joined,
    linear_gains,
    mixed_nats,
    mixer_gains,
    mixer_pays,
    mixer_shares,
    new_mixer,
)

V = 16


def witnesses(tokens, seed=0, noises=(1.0, 1.0), names=("lstm", "ngram"), cache=False):
    """Evidence of members that see the logits a text was drawn from, each through noise of its own."""
    random = np.random.default_rng(seed)
    logits = 1.5 * random.standard_normal((tokens, V))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    ids = np.array([random.choice(V, p=row) for row in chances])
    tree = token_tree.plain(V)
    lengths = np.diff(tree.path_offsets)[ids]
    count = int(lengths.sum())
    nats, columns = [], []
    for noise in noises:
        seen = logits + noise * random.standard_normal(logits.shape)
        logs = (seen - np.log(np.exp(seen).sum(1, keepdims=True))).astype(np.float32)
        odds, bands = np.zeros(count, np.float32), tree_mixing.entropy_bands(logs, np.exp(logs))
        order = np.argsort(tree.rank)
        places = np.append(0, np.cumsum(lengths)[:-1])
        tree_mixing.path_odds(
            0, tokens, 0, np.exp(logs), ids, order, tree.middle, tree.path, tree.path_offsets, places, odds
        )
        nats.append(-logs[np.arange(tokens), ids].astype(np.float64))
        columns.append(odds)
    inputs = tuple(names)
    if cache:
        inputs, columns = (*names, CACHE), [*columns, random.standard_normal(count).astype(np.float32)]
    zeros = np.zeros(tokens, np.int64)
    rows, bits = tree_mixing.path_rows(
        ids, zeros, bands, zeros, np.zeros(count, np.int16), np.zeros(count), tree.depth, tree.path,
        tree.path_offsets,
    )  # fmt: skip
    selectors = (("ngram", (0, 2)), ("lstm", (2,)), (CACHE, (4,)))
    return Evidence(
        tuple(names), np.array(nats), zeros, inputs, np.stack(columns, 1), bits, rows, lengths, selectors,
        "lstm" if cache else "",
    )  # fmt: skip


def test_a_new_mixer_averages_the_members_log_odds_and_ignores_the_cache():
    evidence = witnesses(200, cache=True)
    shares = mixer_shares(evidence, new_mixer(evidence.inputs))
    assert shares == pytest.approx({"lstm": 0.5, "ngram": 0.5, CACHE: 0.0})
    alone = witnesses(200, noises=(1.0,), names=("lstm",))
    assert mixed_nats(alone, new_mixer(alone.inputs), False) == pytest.approx(alone.nats[0], abs=2e-3)


def test_a_fitted_mixer_beats_its_members_and_averages_on_new_text():
    fitted, new = witnesses(3000), witnesses(2000, seed=1)
    mixer = fit_mixer(fitted)
    before = [part.copy() for part in mixer]
    nats = mixed_nats(new, mixer, False)
    assert len(nats) == 2000
    averaged = -np.log(np.exp(-new.nats).mean(0)).sum()
    assert nats.sum() < averaged < new.nats.sum(1).min()
    assert not np.array_equal(mixed_nats(new, mixer, True), nats)
    assert all(np.array_equal(old, now) for old, now in zip(before, mixer, strict=True))


def test_a_learning_mixer_follows_members_that_change():
    fitted, new = witnesses(3000, noises=(0.3, 3.0)), witnesses(3000, seed=1, noises=(3.0, 0.3))
    mixer = fit_mixer(fitted)
    assert mixed_nats(new, mixer, True).sum() < 0.95 * mixed_nats(new, mixer, False).sum()


def test_each_token_is_scored_before_it_is_learned_from():
    evidence, mixer = witnesses(60), new_mixer(("lstm", "ngram"))
    whole = mixed_nats(evidence, mixer, True)
    assert np.array_equal(mixed_nats(evidence.tokens(0, 30), mixer, True), whole[:30])


def test_the_mixer_is_used_where_it_pays_only():
    assert mixer_pays(witnesses(2000), 1)
    assert not mixer_pays(witnesses(50), 1), "too little text to tell"
    # Log-odds that say nothing lose against probabilities that say something.
    good = witnesses(2000)
    blind = replace(good, odds=np.random.default_rng(0).standard_normal(good.odds.shape).astype(np.float32))
    assert not mixer_pays(blind, 1)


def test_a_mixer_that_wins_on_some_text_is_not_tried_on_all(monkeypatch):
    tried = []
    real = evidence_module.fit_gate
    monkeypatch.setattr(
        evidence_module, "fit_gate", lambda nats, *rest: (tried.append(nats.shape[1]), real(nats, *rest))[1]
    )
    monkeypatch.setattr(evidence_module, "DECIDING_TOKENS", 900)
    good = witnesses(2000)
    assert mixer_pays(good, 1) and tried == [600] * 3
    # One that loses there is given all of it.
    first = int(good.lengths[:900].sum())
    noise = np.random.default_rng(0).standard_normal((first, good.odds.shape[1])).astype(np.float32)
    late = replace(good, odds=np.concatenate([noise, good.odds[first:]]))
    tried.clear()
    mixer_pays(late, 1)
    assert tried[:3] == [600] * 3 and sum(tried[3:]) == 2 * 2000


def test_stretches_are_cut_and_joined_at_tokens():
    evidence = witnesses(50)
    again = joined(evidence.tokens(0, 20), evidence.tokens(20, 50))
    for name in ("nats", "known", "odds", "bits", "rows", "lengths"):
        assert np.array_equal(getattr(again, name), getattr(evidence, name)), name


def test_gains_are_what_is_lost_without_a_member():
    held_out, scored = (
        witnesses(3000, noises=(0.5, 1.0), cache=True),
        witnesses(2000, seed=1, noises=(0.5, 1.0), cache=True),
    )
    for learning in (False, True):
        gains = mixer_gains(held_out, scored, learning)
        assert gains["lstm"] > gains["ngram"] > 10
        assert abs(gains[CACHE]) < 40, "noise is worth nothing"
    averaged = linear_gains(held_out, scored, 1, False)
    assert set(averaged) == {"lstm", "ngram"} and averaged["lstm"] > averaged["ngram"]
    assert linear_gains(held_out, scored, 1, True)["lstm"] > 50


def test_without_a_member_its_choice_of_weights_is_gone():
    evidence = witnesses(100, cache=True)
    left = evidence.without("ngram")
    assert left.inputs == ("lstm", CACHE) and left.odds.shape[1] == 2
    assert (left.rows[:, 0] == tree_mixing.FIRST_ROWS[0]).all()
    assert not (left.rows[:, 1] == tree_mixing.FIRST_ROWS[1]).all()
