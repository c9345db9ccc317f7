import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_trainers import NEURAL, VOCAB, make_trainer, weights

from wenmo.errors import TrainingError
from wenmo.training.held_out import HeldOut
from wenmo.training.trainer import Trainer


@pytest.mark.parametrize("architecture", NEURAL)
def test_training_learns_and_writes_its_curve(architecture: str, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, architecture, dropout=0.0, steps=400, lr=2e-2)
    outcome = trainer.run()
    assert outcome.stopped == "steps" and outcome.steps == 400
    assert outcome.curve[-1].valid_loss < 1.0 < 0.5 * math.log(VOCAB)
    assert outcome.best_bpb == pytest.approx(min(row.valid_bpb for row in outcome.curve))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [row.step for row in outcome.curve]
    assert len(lines) == 4


@pytest.mark.parametrize("architecture", NEURAL)
def test_the_embedding_decays_as_planned(architecture: str, tmp_path: Path) -> None:
    tables = []
    for decay in (0.0, 30.0):
        trainer = make_trainer(
            tmp_path / str(decay), architecture, embedding_decay=decay, averaging="none", steps=1
        )
        before = trainer.model.embedding.weight.detach().clone()
        trainer._step(1.0)
        tables.append((before, trainer.model.embedding.weight.detach()))
    (before, free), (_, decayed) = tables
    torch.testing.assert_close(decayed - free, -3e-3 * 30.0 * before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("architecture", NEURAL)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_resume_is_bitwise(architecture: str, optimizer: str, tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole", architecture, optimizer=optimizer)
    expected = whole.run()
    part = make_trainer(tmp_path / "part", architecture, optimizer=optimizer)
    for stop_at in (7, 13):
        _stop_after(part, stop_at)
        torch.manual_seed(999)  # the random state must come from the checkpoint
        part = make_trainer(tmp_path / "part", architecture, optimizer=optimizer)
        part.resume()
    outcome = part.run()
    assert [row.valid_loss for row in outcome.curve] == [row.valid_loss for row in expected.curve]
    assert [row.train_loss for row in outcome.curve] == [row.train_loss for row in expected.curve]
    for ours, theirs in zip(weights(part), weights(whole), strict=True):
        assert torch.equal(ours, theirs)


def _stop_after(trainer: Trainer, step: int) -> None:
    """Interrupts the run, as Ctrl-C does, once `step` steps are done."""
    original = trainer._step

    def step_and_interrupt(factor: float) -> None:
        original(factor)
        if trainer._progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    trainer._step = step_and_interrupt  # type: ignore[method-assign]
    outcome = trainer.run()
    assert outcome.stopped == "interrupted" and outcome.steps == step


def test_accumulated_gradients_equal_the_big_batch(tmp_path: Path) -> None:
    big = make_trainer(tmp_path / "a", dropout=0.0, rows=8, micro_rows=8, optimizer="sgd", steps=3)
    small = make_trainer(tmp_path / "b", dropout=0.0, rows=8, micro_rows=3, optimizer="sgd", steps=3)
    big.run()
    small.run()
    for ours, theirs in zip(weights(small), weights(big), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    # Nothing but noise to learn: the held-out loss soon rises, and training must not go on to the end.
    generator = np.random.default_rng(0)
    trainer = make_trainer(tmp_path, dropout=0.0, steps=4000, evaluations=200, patience=5, lr=1e-2)
    ids = generator.integers(1, VOCAB, 300).astype(np.uint16)
    trainer._batches._ids = ids
    trainer._batches._offsets = np.array([0, 300])
    trainer._batches._load_epoch()
    held_out = HeldOut(
        generator.integers(1, VOCAB, 200), np.ones(VOCAB, dtype=np.int64), eos_id=0, context=16
    )
    trainer._held_out = held_out
    outcome = trainer.run()
    assert outcome.stopped == "early" and outcome.steps < 4000
    assert held_out.loss(trainer.model) / math.log(2) == pytest.approx(outcome.best_bpb, rel=1e-5)
    assert outcome.curve[-1].valid_bpb > outcome.best_bpb


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, steps=50)
    original = trainer._step

    def poison(factor: float) -> None:
        if trainer._progress.step == 9:
            with torch.no_grad():
                next(trainer.model.parameters()).fill_(float("nan"))
        original(factor)

    trainer._step = poison  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"step 10 .*--training\.lr"):
        trainer.run()
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())


def test_the_time_budget_ends_the_run(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, steps=None, seconds=1.5, patience=1000)
    started = time.monotonic()
    outcome = trainer.run()
    assert outcome.stopped == "budget"
    assert time.monotonic() - started < 30


def test_training_in_a_thread_works(tmp_path: Path) -> None:
    outcomes: list[str] = []
    trainer = make_trainer(tmp_path, steps=3)
    thread = threading.Thread(target=lambda: outcomes.append(trainer.run().stopped))
    thread.start()
    thread.join()
    assert outcomes == ["steps"]


def test_resume_after_kill(tmp_path: Path) -> None:
    """A process killed with SIGKILL loses nothing before its last checkpoint, and goes on bitwise."""
    expected = make_trainer(tmp_path / "whole", steps=120, checkpoint_seconds=0.05, evaluations=5)
    wanted = expected.run()
    script = textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import torch; torch.set_num_threads({torch.get_num_threads()})
        from pathlib import Path
        from small_trainers import make_trainer
        make_trainer(Path({str(tmp_path / "killed")!r}), steps=120, checkpoint_seconds=0.05, evaluations=5).run()
    """)
    process = subprocess.Popen([sys.executable, "-c", script])
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    limit = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    trainer = make_trainer(tmp_path / "killed", steps=120, checkpoint_seconds=0.05, evaluations=5)
    trainer.resume()
    outcome = trainer.run()
    assert [row.valid_loss for row in outcome.curve] == [row.valid_loss for row in wanted.curve]
    for ours, theirs in zip(weights(trainer), weights(expected), strict=True):
        assert torch.equal(ours, theirs)
