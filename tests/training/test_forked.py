import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_trainers import NEURAL, make_plan, make_trainer, weights

from wenmo.errors import OptionError, ResourceError
from wenmo.training import distributed, hardware
from wenmo.training import forked as forked_module
from wenmo.training.batches import Batch
from wenmo.training.forked import ForkedBackward, shared_like
from wenmo.training.threaded import ThreadedBackward, can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="no process can be forked that trains")


@pytest.mark.parametrize("architecture", NEURAL)
@pytest.mark.parametrize("rows", [4, 5])
def test_processes_take_the_same_steps_as_threads(architecture: str, rows: int, tmp_path: Path) -> None:
    options = {"dropout": 0.2, "rows": rows, "micro_rows": rows, "steps": 4, "workers": 2}
    threads, processes = (
        make_trainer(tmp_path / kind, architecture, worker_kind=kind, **options)
        for kind in ("threads", "processes")
    )
    losses = [trainer.run().curve[-1].train_loss for trainer in (threads, processes)]
    assert losses[0] == losses[1]
    assert all(torch.equal(a, b) for a, b in zip(weights(threads), weights(processes), strict=True))
    assert not multiprocessing.active_children()


def test_training_by_processes_resumes_bitwise(tmp_path: Path) -> None:
    options = {
        "dropout": 0.2, "rows": 6, "micro_rows": 3, "workers": 3, "worker_kind": "processes", "steps": 12,
    }  # fmt: skip
    first = make_trainer(tmp_path / "a", "transformer", **options)
    for step in range(5):
        first._step(0.5 + step / 24)
    first.save()
    rest = make_trainer(tmp_path / "a", "transformer", **options)
    rest.resume()
    for trainer in (first, rest):
        for _ in range(3):
            trainer._step(1.0)
        trainer._parallel.finish()
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(rest), strict=True))


class Scaled:
    """A loss that a helper can be told to fail with."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.first = os.getpid()

    def __call__(self, part: Batch) -> torch.Tensor:
        if os.getpid() != self.first and int(part.inputs[0, 0]) == 1:
            raise ZeroDivisionError("one")
        hidden, _ = self.model.hidden(part.inputs, need_state=False)
        return hidden.square().sum()


def batch_of(first: int) -> Batch:
    ids = torch.full((2, 4), 2)
    ids[1, 0] = first
    return Batch(ids, ids, None)


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return make_trainer(tmp_path, "mingru", dropout=0.0).model.train()


def test_an_error_in_a_process_is_raised_and_the_next_call_works(model: Any) -> None:
    forked, loss = ForkedBackward(model, 2, seed=0), Scaled(model)
    before = forked(loss, batch_of(3), (0, 1))
    with pytest.raises(ZeroDivisionError, match="one"):
        forked(loss, batch_of(1), (0, 2))
    assert forked(loss, batch_of(3), (0, 1)) == before
    forked.close()


def test_a_process_that_was_killed_is_told_of(model: Any) -> None:
    forked, loss = ForkedBackward(model, 2, seed=0), Scaled(model)
    forked(loss, batch_of(3), (0, 1))
    (helper,) = multiprocessing.active_children()
    assert helper.pid is not None
    os.kill(helper.pid, signal.SIGINT)  # Ctrl-C is for the first process
    forked(loss, batch_of(3), (0, 2))
    os.kill(helper.pid, signal.SIGKILL)
    helper.join()
    with pytest.raises(ResourceError, match=r"killed for lack of memory.*--training\.worker-kind threads"):
        forked(loss, batch_of(3), (0, 3))
    forked.close()


class Stuck(Scaled):
    """A loss that waits for ever in so many helpers, as with a lock that their fork took along closed."""

    def __init__(self, model: Any, folder: Path, helpers: int) -> None:
        super().__init__(model)
        self.folder, self.helpers = folder, helpers

    def __call__(self, part: Batch) -> torch.Tensor:
        stuck = len(list(self.folder.iterdir()))
        if os.getpid() != self.first and stuck < self.helpers:
            (self.folder / str(os.getpid())).touch()
            time.sleep(600)
        return super().__call__(part)


def test_helpers_that_do_not_answer_their_first_step_are_forked_again(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forked_module, "PATIENCE", 0.3)
    threads, forked = ThreadedBackward(model, 2, seed=0), ForkedBackward(model, 2, seed=0)
    wanted = threads(Scaled(model), batch_of(3), (0, 1))
    loss = Stuck(model, tmp_path, 2)
    assert forked(loss, batch_of(3), (0, 1)) == wanted
    assert len(list(tmp_path.iterdir())) == 2 and len(multiprocessing.active_children()) == 1
    forked.close()
    never = ForkedBackward(model, 2, seed=0)
    with pytest.raises(ResourceError, match=r"do not answer.*--training\.worker-kind threads"):
        never(Stuck(model, tmp_path, 100), batch_of(3), (0, 1))
    assert not multiprocessing.active_children()
    never.close()
    threads.close()


def test_a_later_step_may_take_as_long_as_it_needs(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked_module, "SLOWER", 0.0)
    forked = ForkedBackward(model, 2, seed=0)
    loss = Scaled(model)
    forked(loss, batch_of(3), (0, 1))
    (helper,) = multiprocessing.active_children()
    monkeypatch.setattr(forked_module, "PATIENCE", 0.0)
    for number in range(20):
        forked(loss, batch_of(3), (0, number))
    assert multiprocessing.active_children() == [helper]
    forked.close()


def test_gradients_add_up_and_parameters_come_back_into_memory_of_their_own(model: Any) -> None:
    plain = [p.detach().clone() for p in model.parameters()]
    loss, batch = Scaled(model), batch_of(3)
    forked = ForkedBackward(model, 2, seed=0)
    assert all(torch.equal(p, x) for p, x in zip(model.parameters(), plain, strict=True))
    for number in range(2):  # a second micro-batch, and then helpers that see changed parameters
        forked(loss, batch, (0, number))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    forked(loss, batch, (1, 0))
    found = [p.grad.clone() for p in model.parameters()]
    shared = [p.data_ptr() for p in model.parameters()]
    forked.close()
    assert not set(shared) & {p.data_ptr() for p in model.parameters()}
    model.zero_grad()
    with torch.no_grad():
        for parameter, x in zip(model.parameters(), plain, strict=True):
            parameter.copy_(x)
    for scale in (1.0, 1.0, 1.5):
        with torch.no_grad():
            for parameter, x in zip(model.parameters(), plain, strict=True):
                parameter.copy_(x * scale)
        loss(batch).backward()
    for ours, parameter in zip(found, model.parameters(), strict=True):
        assert torch.allclose(ours, parameter.grad, rtol=1e-4, atol=1e-5)


def test_shared_memory_has_every_shape_and_type() -> None:
    given = [torch.ones(3, 5), torch.ones(7, dtype=torch.float64), torch.ones(0, 2), torch.tensor(2.0)]
    found = shared_like(given)
    assert [(x.shape, x.dtype) for x in found] == [(x.shape, x.dtype) for x in given]
    assert all(float(x.sum()) == 0.0 for x in found) and all(
        x.data_ptr() % 64 == 0 for x in found if x.numel()
    )
    found[0].fill_(1.0)
    assert float(found[1].sum()) == 0.0
    assert shared_like([]) == []


def test_no_process_outlives_the_first_one(tmp_path: Path) -> None:
    program = f"""
import multiprocessing, os, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
from pathlib import Path
from small_trainers import make_trainer
trainer = make_trainer(Path({str(tmp_path)!r}), "mingru", rows=4, micro_rows=4, workers=3, worker_kind="processes")
trainer._step(1.0)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    found = [int(word) for word in done.stdout.split()]
    assert done.returncode == -signal.SIGKILL and len(found) == 2
    deadline = time.monotonic() + 20.0
    while any(_runs(pid) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in found)


def _runs(pid: int) -> bool:
    """Whether a process is there; one that has ended may wait to be asked about it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


@pytest.mark.parametrize(
    ("processes", "possible", "wanted", "taken"),
    [
        (140.0, True, "auto", "processes"),
        (104.0, True, "auto", "threads"),
        (140.0, False, "auto", "threads"),
        (140.0, True, "threads", "threads"),
        (90.0, True, "processes", "processes"),
    ],
)
def test_processes_are_used_where_they_are_faster(
    processes: float, possible: bool, wanted: Any, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(hardware, "can_fork", lambda: possible)
    speeds = {
        ("threads", 2): 100.0,
        ("processes", 2): processes,
        ("threads", 1): 80.0,
        ("processes", 1): 80.0,
    }
    plan, speed = hardware.choose_execution(
        make_plan(), lambda plan: speeds[plan.worker_kind, plan.workers], precision="fp32", worker_kind=wanted
    )
    assert (plan.worker_kind, plan.workers, speed) == (taken, 2, speeds[taken, 2])


def test_where_no_process_can_be_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_fork()
    with monkeypatch.context() as changed:
        changed.setattr(torch.cuda, "is_available", lambda: True)
        assert not can_fork()
    with monkeypatch.context() as changed:
        changed.setitem(multiprocessing.current_process()._config, "daemon", True)
        assert not can_fork()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_fork()
    with pytest.raises(OptionError, match=r"--training\.worker-kind processes: no process"):
        hardware.choose_execution(make_plan(), lambda plan: 1.0, worker_kind="processes")


def test_a_plan_with_processes_is_carried_out_by_threads_where_none_can_be_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"rows": 4, "micro_rows": 4, "steps": 3, "workers": 2, "worker_kind": "processes"}
    there = make_trainer(tmp_path / "a", "mingru", **options)
    there.run()
    monkeypatch.setattr(distributed, "can_fork", lambda: False)
    here = make_trainer(tmp_path / "b", "mingru", **options)
    assert isinstance(here._parallel._divided, ThreadedBackward)
    here.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(there), weights(here), strict=True))


def test_a_parameter_that_only_a_later_part_touches_gets_a_gradient_of_its_own(model: Any) -> None:
    forked, loss = ForkedBackward(model, 2, seed=0), Partial(model)
    forked(loss, batch_of(3), (0, 0))
    first = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    kept = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    forked(loss, batch_of(4), (0, 1))  # writes to the shared memory again
    forked.close()
    assert len(first) == len(list(model.parameters()))
    assert all(torch.equal(first[name], kept[name]) for name in first)


class Partial(Scaled):
    """A loss that only the second half of a batch of `batch_of` has, but for the embedding."""

    def __call__(self, part: Batch) -> torch.Tensor:
        if os.getpid() == self.first:
            return self.model.output_weight[int(part.inputs[0, 0])].sum()
        return super().__call__(part)
