"""bfloat16 and torch.compile: the code that runs on a GPU, run here on the CPU."""

import functools
import math
import shutil
import statistics
from pathlib import Path

import pytest
import torch
from small_trainers import NEURAL, VOCAB, make_trainer, weights
from torch import nn
from torch.nn.functional import cross_entropy

from wenmo.config import TrainingSettings
from wenmo.models.low_precision import LowPrecisionProducts, lstm_runs_low, product
from wenmo.models.storage import load_model, save_model
from wenmo.training import budget as dial
from wenmo.training import distributed, hardware
from wenmo.training.batches import Batch
from wenmo.training.hardware import Machine
from wenmo.training.objective import linear_cross_entropy
from wenmo.training.optimisation import orthogonalise
from wenmo.training.trainer import Trainer


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiles with everything but the code generator, whose compiler would take most of a minute a test."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))


def gradient(trainer: Trainer, batch: Batch) -> tuple[float, torch.Tensor]:
    """The loss of a batch and its gradient, all parameters in a row."""
    loss = trainer._loss(batch, batch.tokens)
    loss.backward()
    flat = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
    trainer.model.zero_grad(set_to_none=True)
    return loss.item(), flat


@pytest.mark.parametrize("architecture", NEURAL)
def test_bfloat16_has_the_loss_and_the_gradient_of_float32_all_along_a_training(
    architecture: str, tmp_path: Path
) -> None:
    # Two trainings part by chance after a rounding, how far depends on the processor: so both formats are asked at the
    # same weights, those of a training in float32.
    options = {"dropout": 0.0, "steps": 120, "lr": 2e-2}
    exact = make_trainer(tmp_path / "exact", architecture, **options)
    low = make_trainer(tmp_path / "low", architecture, precision="bf16", **options)
    losses, gradients = [], []
    for step in range(120):
        batch = low._batches.next()
        with torch.no_grad():
            for ours, theirs in zip(low.model.parameters(), exact.model.parameters(), strict=True):
                ours.copy_(theirs)
        (expected, direction), (loss, ours) = gradient(exact, batch), gradient(low, batch)
        assert not torch.equal(ours, direction)
        losses.append(loss / expected - 1)
        gradients.append(((ours - direction).norm() / direction.norm()).item())
        exact._step(1 - step / 120)
    # bfloat16 has 8 bits: a relative error of 2**-9 a product, which falls either way.
    assert max(map(abs, losses)) < 2**-7 and abs(statistics.mean(losses)) < 2**-9
    assert max(gradients) < 0.1 and statistics.median(gradients) < 2**-6


@pytest.mark.parametrize("architecture", NEURAL)
def test_a_training_in_bfloat16_learns(architecture: str, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, architecture, dropout=0.0, steps=120, lr=2e-2, precision="bf16")
    first, *_, last = trainer.run().curve
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters())
    # Some have learned all that can be learned, all but the first token of a document, before they are first judged.
    assert last.valid_loss < max(0.9 * first.valid_loss, 0.2 * math.log(VOCAB))


def test_the_output_layer_computes_in_bfloat16_and_adds_up_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(4096, 32, generator=generator)
    weight = torch.randn(2048, 32, generator=generator) * 0.1
    targets = torch.randint(2048, (4096,), generator=generator)
    low, exact = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    loss = linear_cross_entropy(hidden.bfloat16(), low, targets)  # 16 chunks
    loss.backward()
    expected = cross_entropy(hidden @ exact.T, targets)
    expected.backward()
    assert low.grad is not None and exact.grad is not None and low.grad.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=2e-3)
    assert (low.grad - exact.grad).norm() < 0.01 * exact.grad.norm()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_model_trains_resumes_and_is_saved_as_any_other(precision: str, tmp_path: Path) -> None:
    options = {"micro_rows": 3, "precision": precision, "steps": 12}  # the last micro-batch has one row
    plain = make_trainer(tmp_path / "plain", dropout=0.0, **options)
    compiled = make_trainer(tmp_path / "compiled", dropout=0.0, compile=True, **options)
    reference, outcome = plain.run(), compiled.run()
    tolerance = 1e-4 if precision == "fp32" else 0.02
    for row, other in zip(outcome.curve, reference.curve, strict=True):
        assert row.train_loss == pytest.approx(other.train_loss, rel=tolerance)
        assert row.valid_loss == pytest.approx(other.valid_loss, rel=tolerance)
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())
    save_model(compiled.model, tmp_path / "model", tokenizer=None)
    loaded = load_model(tmp_path / "model").model
    ids = torch.randint(VOCAB, (2, 9))
    with torch.no_grad():
        assert torch.equal(loaded(ids)[0], compiled.model(ids)[0])

    half = make_trainer(tmp_path / "half", compile=True, **options)
    for step in range(6):
        half._step(0.5 + step / 12)
    half.save()
    half._step(1.0)
    resumed = make_trainer(tmp_path / "half", compile=True, **options)
    resumed.resume()
    resumed._step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(weights(half), weights(resumed), strict=True))
    ended = resumed.run()
    assert ended.steps == 12 and len(ended.curve) > 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_generated_code_gives_the_same_losses(tmp_path: Path) -> None:
    torch._dynamo.reset()
    losses = []
    for compiled in (False, True):
        trainer = make_trainer(tmp_path / str(compiled), dropout=0.0, layers=1, compile=compiled, steps=3)
        losses.append([row.valid_loss for row in trainer.run().curve])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_compiling_is_left_out_where_it_costs_more_than_it_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    def pays(architecture: str, device: str, seconds: float | None) -> bool:
        model = make_trainer(Path("unused"), architecture).model
        return dial.compiling_pays(model, Machine(device, 1e12, 2.0), seconds)

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert pays("transformer", "cuda", 600.0) and pays("transformer", "cuda", None)
    assert not pays("transformer", "cuda", 60.0)
    assert not pays("transformer", "cpu", 6000.0)
    assert not pays("lstm", "cuda", 6000.0)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not pays("transformer", "cuda", 6000.0)


@pytest.mark.parametrize(
    ("ratio", "wanted", "speeds", "taken"),
    [
        (7.0, "auto", {"fp32": 100.0, "bf16": 150.0}, "bf16"),
        (7.0, "auto", {"fp32": 100.0, "bf16": 102.0}, "fp32"),
        (0.3, "auto", {"fp32": 100.0, "bf16": 150.0}, "fp32"),
        (0.3, "bf16", {"fp32": 100.0, "bf16": 50.0}, "bf16"),
        (7.0, "fp32", {"fp32": 100.0, "bf16": 150.0}, "fp32"),
    ],
)
def test_bfloat16_is_taken_where_a_step_is_faster(
    ratio: float, wanted: str, speeds: dict[str, float], taken: str
) -> None:
    model = make_trainer(Path("unused")).model
    settings = TrainingSettings(precision=wanted)
    plan = dial.resolve_plan(
        model, settings, context=8, batch_tokens=64, weight_decay=0.1, seconds=1.0, steps=None, valid_tokens=9,
        machine=Machine("cpu", 1e12, ratio),
    )  # fmt: skip
    chosen, speed = hardware.choose_execution(plan, lambda plan: speeds[plan.precision], precision=wanted)
    assert chosen.precision == taken and speed == speeds[taken]


@pytest.mark.parametrize("bias", [True, False])
def test_products_alone_are_made_in_bfloat16(bias: bool) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(48, 24, bias=bias), torch.randn(3, 5, 48, requires_grad=True)
    exact = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    with LowPrecisionProducts():
        out = layer(x)
        norm = nn.functional.rms_norm(out, (24,))
    rounded = torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])
    assert out.dtype == norm.dtype == torch.float32
    assert not torch.equal(out, layer(x)) and torch.allclose(out, layer(x), atol=0.02)
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.01 * theirs.norm()


@pytest.mark.skipif(not lstm_runs_low(), reason="this processor has no LSTM in bfloat16")
def test_an_lstm_layer_runs_in_bfloat16_as_a_whole() -> None:
    model = make_trainer(Path("unused"), "lstm").model.eval()
    ids = torch.randint(VOCAB, (2, 9))
    with LowPrecisionProducts():
        low, _ = model.hidden(ids)
    exact, _ = model.hidden(ids)
    assert not torch.equal(low.float(), exact) and torch.allclose(low.float(), exact, atol=0.02)


def test_an_lstm_layer_stays_in_float32_where_the_processor_cannot_run_it_lower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise RuntimeError(
            "could not create a primitive descriptor for the LSTM forward propagation primitive"
        )

    with monkeypatch.context() as patch:
        patch.setattr(torch, "lstm", missing)
        assert not lstm_runs_low.__wrapped__()
    monkeypatch.setattr("wenmo.models.low_precision.lstm_runs_low", lambda: False)
    layer, x = nn.LSTM(24, 24, batch_first=True), torch.randn(2, 9, 24)
    with LowPrecisionProducts():
        out, _ = layer(x)
    assert torch.equal(out, layer(x)[0])


def test_orthogonalising_in_bfloat16_is_near_enough() -> None:
    torch.manual_seed(0)
    update = torch.randn(2, 256, 128)
    low, exact = orthogonalise(update, low_precision=True), orthogonalise(update)
    assert low.dtype == torch.float32 and not torch.equal(low, exact)
    assert (low - exact).norm() < 0.05 * exact.norm()
    small = torch.randn(2, 64, 64)
    assert torch.equal(orthogonalise(small, low_precision=True), orthogonalise(small))


def test_speed_is_measured_in_the_precision_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def linear(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(hidden.dtype)
        return linear_cross_entropy(hidden, weight, targets)

    monkeypatch.setattr(distributed, "linear_cross_entropy", linear)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        trainer = make_trainer(tmp_path, precision=precision)
        assert distributed.measure_speed(trainer.model, trainer.plan, steps=1) > 0
        assert set(seen) == {dtype}
        seen.clear()


def test_a_product_of_matrices_is_timed_in_both_formats() -> None:
    machine = hardware.measure_machine("cpu", seconds=0.01)
    assert machine.flops > 1e8 and machine.bf16_ratio > 0


def test_the_fixture_really_compiles(traced: None) -> None:
    layer = nn.Linear(2, 2)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch.compile(layer)(torch.ones(1, 2))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before + 1


def test_a_product_for_a_loop_stays_in_bfloat16_where_products_are() -> None:
    x, layer, biased = torch.randn(3, 5, 8, requires_grad=True), nn.Linear(8, 6, bias=False), nn.Linear(8, 6)
    weight = layer.weight
    assert product(layer, x).dtype == torch.float32
    with LowPrecisionProducts():
        kept = product(layer, x)
        with LowPrecisionProducts():
            assert product(layer, x).dtype == torch.bfloat16
        assert product(layer, x.double()).dtype == torch.float32  # as other linear layers
        assert product(biased, x).dtype == product(nn.Sequential(layer), x).dtype == torch.float32
        again = nn.functional.linear(kept, torch.randn(4, 6))
    assert kept.dtype == torch.bfloat16 and again.dtype == torch.float32
    by_x, by_weight = torch.autograd.grad(again.sum(), (x, weight))
    assert by_x.dtype == by_weight.dtype == torch.float32
    torch.testing.assert_close(kept.float(), x @ weight.T, rtol=0.02, atol=0.05)
    assert product(layer, x).dtype == torch.float32
