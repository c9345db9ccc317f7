from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wenmo.training.outcome import CurveRow
from wenmo.training.plan import TrainingPlan
from wenmo.workflow.watching import Watch, usual_schedule

PLAN = TrainingPlan(
    optimizer="muon", lr=3e-3, muon_lr=0.02, weight_decay=0.1, context=16, rows=4, micro_rows=4, steps=120,
    valid_tokens=100,
)  # fmt: skip


def row(number: int, bpb: float) -> CurveRow:
    return CurveRow(10 * number, float(number), 640 * number, 0.1 * number, 2.0, 2.0, bpb, bpb, 1.0)


def watched(plan: TrainingPlan = PLAN, **changes: Any) -> tuple[Watch, list[str]]:
    told: list[str] = []
    return Watch("gru", plan, told.append, **changes), told


def test_the_end_is_predicted_and_told_twice() -> None:
    watch, told = watched()
    endings = []
    for number in range(1, 12):
        assert not watch(row(number, 2.5 * number**-0.1), number / 12)
        assert len(told) == (number >= 5) + (number >= 7)
        if watch.ending is not None and watch.ending not in endings:
            endings.append(watch.ending)
    assert [ending.share for ending in endings] == pytest.approx([5 / 12, 7 / 12])
    assert endings[1].high - endings[1].low < endings[0].high - endings[0].low
    for ending, line, again in zip(endings, told, ("", "now "), strict=True):
        assert f"is {again}predicted to end at {ending.loss:.3f}" in line
    assert "gru: after 42% of the training" in told[0] and "gru: after 58% of the training" in told[1]


def test_a_first_evaluation_that_comes_late_is_told_once() -> None:
    watch, told = watched()
    for number in (3, 7, 9):
        watch(row(number, 2.5 * number**-0.1), number / 12)
    assert len(told) == 1 and "after 58%" in told[0] and " now " not in told[0]


def test_after_an_interruption_the_same_end_is_predicted() -> None:
    rows = [row(number, 2.5 * number**-0.1) for number in range(1, 8)]
    whole, _ = watched()
    for each in rows:
        whole(each, each.step / 120)
    resumed, _ = watched()
    resumed.resume(rows)
    assert resumed.ending == whole.ending is not None
    timed = PLAN.model_copy(update={"steps": None, "seconds": 12.0})
    by_time, _ = watched(timed)
    by_time.resume(rows)
    assert by_time.ending == whole.ending


@pytest.mark.parametrize("changes", [{"schedule": "cosine"}, {"decay": 0.2}, {"warmup": 0.1}])
def test_another_schedule_is_not_predicted(changes: dict[str, Any]) -> None:
    plan = PLAN.model_copy(update=changes)
    assert not usual_schedule(plan) and usual_schedule(PLAN)
    watch, told = watched(plan)
    for number in range(1, 12):
        watch(row(number, 2.5 * number**-0.1), number / 12)
    assert watch.ending is None and told == []


def test_training_ends_when_the_members_together_reach_the_target() -> None:
    held_out = SimpleNamespace(nats=np.tile([0.5, 3.0], 500), ids=np.zeros(1000), num_bytes=2000)
    companion = np.tile([3.0, 0.5], 500)
    alone, _ = watched(target=1.0, num_bytes=2000, held_out=held_out)
    assert not alone(row(1, 2.0), 0.1) and alone.whole == pytest.approx(1.2623, abs=1e-3)
    together, _ = watched(target=1.1, num_bytes=2000, held_out=held_out, companions=[companion])
    assert together(row(1, 2.0), 0.1)
    assert together.whole is not None and together.whole < 1.1
