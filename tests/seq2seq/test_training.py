"""Training, its checkpoints, and the recipe."""

import os
import signal

import pytest
import torch

from wenmo.errors import TrainingError
from wenmo.seq2seq.batches import PairBatches, TokenPairs, make_batch
from wenmo.seq2seq.objective import consistency, held_out_loss, pair_loss
from wenmo.seq2seq.plan import PairPlan
from wenmo.seq2seq.recipe import choose_batch, choose_config, estimate, passes_in, shape_fields
from wenmo.seq2seq.registry import build_model, parse_config
from wenmo.seq2seq.training import PairTrainer


def copying(count=120, seed=0):
    """Targets that repeat their sources: what attention learns first."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(2, 6, (count,), generator=generator).tolist()
    rows = [torch.randint(1, 12, (size,), generator=generator).numpy() for size in sizes]
    return TokenPairs(
        [torch.cat((torch.tensor(r), torch.zeros(1, dtype=torch.int64))).numpy() for r in rows], rows
    )


def small(**fields):
    torch.manual_seed(0)
    data = {"architecture": "gru", "vocab_size": 12, "layers": 1, "embedding_size": 16, "hidden_size": 16}
    return build_model(parse_config({**data, "dropout": 0.1, **fields}))


def trainer(directory, model=None, **plan):
    defaults = {"steps": 12, "evaluations": 3, "batch_tokens": 64}
    return PairTrainer(
        model or small(),
        copying(),
        copying(20, 1),
        PairPlan(**{**defaults, **plan}),
        directory=directory,
        progress=False,
    )


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_training_learns_to_copy(tmp_path):
    model = small(attention="general", embedding_size=32, hidden_size=32)
    before = held_out_loss(model.eval(), copying(20, 1), 64)
    outcome = trainer(tmp_path, model, steps=150, lr=1e-2, muon_lr=0.05).run()
    assert outcome.stopped == "steps" and outcome.steps == 150 and len(outcome.curve) == 3
    assert -outcome.best == min(p.valid_loss for p in outcome.curve)
    assert held_out_loss(model, copying(20, 1), 64) == pytest.approx(-outcome.best, rel=1e-5)
    assert -outcome.best < 0.6 * before
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, optimizer):
    first = trainer(tmp_path, optimizer=optimizer)
    for _ in range(5):
        first._step(0.5)
    first.save()
    expected = first.run()
    second = trainer(tmp_path, optimizer=optimizer)
    second.resume()
    assert second._now.step == 5
    found = second.run()
    assert torch.equal(weights(first.model), weights(second.model))
    assert [p.valid_loss for p in expected.curve] == [p.valid_loss for p in found.curve]
    assert found.steps == 12


def test_ctrl_c_keeps_the_best_and_a_checkpoint(tmp_path):
    run = trainer(tmp_path, steps=10_000, evaluations=5_000)
    seen = []

    def score(model):
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return float(len(seen))

    run._score = score
    outcome = run.run()
    assert outcome.stopped == "interrupted" and outcome.best == len(seen) and outcome.steps < 10_000
    assert (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("moment", ["evaluation", "line"])
def test_ctrl_c_in_the_last_step_is_not_lost_and_leaves_nothing_to_do(tmp_path, monkeypatch, moment):
    whole = trainer(tmp_path / "whole").run()
    run = trainer(tmp_path / "run")
    method = {"evaluation": "_evaluate", "line": "_line"}[moment]
    original, pressed = getattr(PairTrainer, method), []

    def pressing(self):
        if self._now.step == 12 and not pressed:
            pressed.append(os.kill(os.getpid(), signal.SIGINT))
        return original(self)

    monkeypatch.setattr(PairTrainer, method, pressing)
    assert run.run().stopped == "interrupted" and pressed
    again = trainer(tmp_path / "run")
    again.resume()
    outcome = again.run()
    assert (outcome.stopped, outcome.steps, outcome.best) == ("steps", 12, whole.best)


def test_patience_ends_training():
    run = trainer(None, steps=1000, evaluations=500, patience=3)
    run._score = lambda model: 0.0
    outcome = run.run()
    assert outcome.stopped == "early" and len(outcome.curve) == 4


def test_a_loss_that_is_not_finite_is_a_sentence():
    model = small()
    with torch.no_grad():
        model.embedding.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="--lr"):
        trainer(None, model).run()


def test_batches_hold_every_pair_once_within_the_tokens_and_go_on_where_they_were():
    pairs = copying(200)
    batches = PairBatches(pairs, 40, seed=3)
    seen = []
    for _ in range(batches.batches):
        batch = batches.next()
        assert max(batch.source.numel(), batch.inputs.numel()) <= 40
        seen += [
            tuple(row[: int(n)].tolist()) for row, n in zip(batch.source, batch.source_lengths, strict=True)
        ]
    assert sorted(seen) == sorted(tuple(s.tolist()) for s in pairs.sources)
    batches.next()
    other = PairBatches(pairs, 40, seed=3)
    other.restore(batches.state())
    assert torch.equal(other.next().source, batches.next().source)


def test_rdrop_without_dropout_is_the_plain_loss():
    model = small(dropout=0.0).train()
    batch = make_batch(copying(), range(8))
    plain = pair_loss(model, batch, 0.1)
    torch.testing.assert_close(consistency(model, batch, 0.1, 5.0), plain, atol=1e-5, rtol=1e-5)
    noisy = small(dropout=0.5).train()
    assert consistency(noisy, batch, 0.1, 5.0) > consistency(noisy, batch, 0.1, 0.0)


def test_more_time_buys_a_larger_model_within_the_fixed_fields():
    pairs = copying(2000)
    sizes = []
    for seconds in (1.0, 600.0, 360_000.0):
        config = choose_config("transformer", 500, pairs, 1e10, seconds, {})
        sizes.append(sum(p.numel() for p in build_model(config).parameters()))
    assert sizes[0] < sizes[1] < sizes[2]
    fixed = choose_config("transformer", 500, pairs, 1e10, 60.0, shape_fields("auto", 1, 48, 0.25))
    assert (fixed.encoder_layers, fixed.decoder_layers, fixed.width, fixed.dropout) == (1, 1, 48, 0.25)
    assert fixed.heads * fixed.head_size == 48
    recurrent = choose_config("lstm", 500, pairs, 1e10, 60.0, shape_fields("lstm", 2, 32, None))
    assert (recurrent.layers, recurrent.hidden_size) == (2, 32)
    assert passes_in(fixed, pairs, 1e10, 60.0) > 0 and 256 <= choose_batch(pairs, 10) <= 2048


def test_the_estimate_comes_from_steps_that_were_made():
    plan = PairPlan(steps=100, batch_tokens=64)
    cost = estimate(small(), copying(), plan)
    assert cost.step_seconds > 0 and cost.passes == pytest.approx(100 / PairBatches(copying(), 64, 0).batches)
    assert cost.memory > 300e6
