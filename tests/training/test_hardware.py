import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_trainers import make_trainer

from wenmo.errors import OptionError
from wenmo.training import distributed, hardware
from wenmo.training.distributed import measure_speed


def test_speed_and_memory_are_measured(tmp_path: Path) -> None:
    machine = hardware.measure_machine("cpu", seconds=0.01)
    assert machine.flops > 1e6 and machine.bf16_ratio > 0
    trainer = make_trainer(tmp_path)
    assert measure_speed(trainer.model, trainer.plan, steps=1) > 0
    assert hardware.available_memory("cpu") > 0


def test_speed_is_measured_on_the_text_where_it_is_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, seen = make_trainer(tmp_path), []
    measured = distributed.linear_cross_entropy

    def remember(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(targets)
        return measured(hidden, weight, targets)

    monkeypatch.setattr(distributed, "linear_cross_entropy", remember)
    text = np.arange(100_000, dtype=np.uint16) % 5
    assert measure_speed(trainer.model, trainer.plan, steps=1, text=text) > 0
    assert all(
        torch.equal(after, (before + 1) % 5)
        for rows in seen
        for before, after in zip(rows[:, :-1].T, rows[:, 1:].T, strict=True)
    )
    seen.clear()
    assert measure_speed(trainer.model, trainer.plan, steps=1, text=text[:3]) > 0
    assert max(int(rows.max()) for rows in seen) > 4  # at random


def test_the_median_step_counts_and_the_first_does_not(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, optimizer="sgd")
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    waits = iter([0.5, 0.1, 0.002, 0.002])

    def backward() -> None:
        time.sleep(next(waits))
        sum(parameter.square().sum() for parameter in trainer.model.parameters()).backward()  # type: ignore[union-attr]

    assert 0.002 <= hardware.median_step(trainer.model, trainer.plan, backward, steps=3) < 0.1
    assert next(waits, None) is None
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_refused_by_name() -> None:
    assert hardware.choose_device("auto") == "cpu"
    with pytest.raises(OptionError, match=r"--training\.device"):
        hardware.choose_device("cuda")
