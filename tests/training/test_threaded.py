from pathlib import Path

import pytest
import torch
from small_trainers import NEURAL, make_plan, make_trainer, weights

from wenmo.training import hardware
from wenmo.training.threaded import ThreadedBackward


@pytest.mark.parametrize("architecture", NEURAL)
@pytest.mark.parametrize("rows", [4, 5])
def test_threads_make_the_gradient_of_the_whole_batch(architecture: str, rows: int, tmp_path: Path) -> None:
    options = {"dropout": 0.0, "rows": rows, "micro_rows": rows, "optimizer": "sgd", "steps": 3}
    alone = make_trainer(tmp_path / "a", architecture, **options)
    threaded = make_trainer(tmp_path / "b", architecture, workers=2, **options)
    losses = [trainer.run().curve[-1].train_loss for trainer in (alone, threaded)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for ours, theirs in zip(weights(threaded), weights(alone), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("architecture", ["transformer", "lstm"])
def test_training_by_threads_is_bitwise_repeatable_and_resumes(architecture: str, tmp_path: Path) -> None:
    options = {"dropout": 0.2, "rows": 6, "micro_rows": 6, "workers": 3, "steps": 12}
    first, second = (make_trainer(tmp_path / name, architecture, **options) for name in "ab")
    first.run()
    for step in range(5):
        second._step(0.5 + step / 24)
    whole = make_trainer(tmp_path / "c", architecture, **options)
    whole.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(whole), strict=True))
    second.save()
    rest = make_trainer(tmp_path / "b", architecture, **options)
    rest.resume()
    for trainer in (second, rest):
        for _ in range(3):
            trainer._step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(weights(second), weights(rest), strict=True))


def test_dropout_differs_between_steps_and_between_threads(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, dropout=0.5, rows=4, micro_rows=4)
    model = trainer.model.train()
    batch = trainer._batches.next()
    same = type(batch)(batch.inputs[:1].repeat(4, 1), batch.targets[:1].repeat(4, 1), None)
    seen: list[torch.Tensor] = []

    def loss_of(part):
        hidden, _ = model.hidden(part.inputs, need_state=False)
        seen.append(hidden.detach())
        return hidden.sum()

    threaded = ThreadedBackward(model, 2, seed=0)
    threaded(loss_of, same, (0, 1))
    threaded(loss_of, same, (1, 1))
    threaded.close()
    assert len(seen) == 4
    for index, one in enumerate(seen):
        assert not any(torch.equal(one, other) for other in seen[index + 1 :])


def test_an_error_in_a_thread_is_raised(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    threaded = ThreadedBackward(trainer.model, 2, seed=0)
    with pytest.raises(ZeroDivisionError):
        threaded(lambda part: 1 / 0, trainer._batches.next(), (0, 1))
    threaded.close()


@pytest.mark.parametrize(
    ("alone", "wanted", "taken"),
    [(100.0, None, 2), (122.0, None, 2), (150.0, None, 1), (150.0, 2, 2), (100.0, 1, 1)],
)
def test_threads_are_used_where_they_are_faster(
    alone: float, wanted: int | None, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    speeds = {1: alone, 2: 120.0}
    plan, speed = hardware.choose_execution(
        make_plan(), lambda plan: speeds[plan.workers], precision="fp32", workers=wanted
    )
    assert plan.workers == taken and speed == speeds[taken]


def test_nothing_is_tried_where_a_step_is_a_long_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    tried = []

    def measure(plan):
        tried.append(plan)
        return 1.0

    hardware.choose_execution(make_plan(precision="bf16"), measure, seconds=60.0)
    assert len(tried) == 1
