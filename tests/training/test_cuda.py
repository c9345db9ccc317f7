"""What only a GPU can show; skipped where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_trainers import NEURAL, make_plan, make_stream, make_trainer, weights

from texts import documents
from wenmo.api import load
from wenmo.config import ModelSettings, Recipe, TokenizerSettings, TrainingSettings
from wenmo.models.likelihood import score_stream
from wenmo.training import hardware
from wenmo.training.trainer import Trainer
from wenmo.workflow import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def on_gpu(directory: Path, architecture: str, **changes: object) -> Trainer:
    """A trainer as the CPU's tests have it, on the GPU."""
    made = make_trainer(directory, architecture, **changes)
    lengths = np.ones(made.model.vocab_size, dtype=np.int64)
    lengths[0] = 0
    return Trainer(
        made.model.to("cuda"), make_stream(40, 0), make_stream(10, 1), made.plan,
        byte_lengths=lengths, eos_id=0, directory=directory, show_progress=False,
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("architecture", NEURAL)
def test_losses_agree_with_the_cpu(architecture: str, precision: str, tmp_path: Path) -> None:
    options = {"dropout": 0.0, "micro_rows": 3, "steps": 60}
    here = make_trainer(tmp_path / "cpu", architecture, **options).run()
    there = on_gpu(tmp_path / "cuda", architecture, precision=precision, **options).run()
    tolerance = 0.005 if precision == "fp32" else 0.03
    for row, other in zip(there.curve, here.curve, strict=True):
        assert row.valid_loss == pytest.approx(other.valid_loss, rel=tolerance)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_resumed_run_goes_on(compiled: bool, tmp_path: Path) -> None:
    if compiled and hardware.compiler("cuda") is None:
        pytest.skip("torch.compile needs a C compiler")
    options = {"precision": "bf16", "compile": compiled, "dropout": 0.1}
    first = on_gpu(tmp_path, "transformer", **options)
    for _ in range(5):
        first._step(1.0)
    first.save()
    first._step(1.0)
    again = on_gpu(tmp_path, "transformer", **options)
    again.resume()
    again._step(1.0)
    for one, other in zip(weights(first), weights(again), strict=True):
        assert torch.allclose(one, other, atol=1e-3)
    assert again.run().steps == make_plan().steps


@pytest.mark.parametrize("architecture", NEURAL)
def test_scores_and_states_agree_with_the_cpu(architecture: str, tmp_path: Path) -> None:
    model = make_trainer(tmp_path, architecture).model.eval()
    ids = make_stream(10, 1).ids.astype(np.int64)
    rows = torch.from_numpy(ids[:24].reshape(2, 12))
    lengths = torch.tensor([12, 7])
    results = {}
    for device in ("cpu", "cuda"):
        model.to(device)
        nats = score_stream(model, ids, eos_id=0)
        with torch.no_grad():
            _, state = model(rows.to(device), lengths=lengths.to(device))
            cut = state.truncate(torch.tensor([5, 7], device=device)).select(
                torch.tensor([1, 0, 1], device=device)
            )
            logits, _ = model(rows[:1, :3].expand(3, 3).to(device), cut)
        results[device] = (nats, logits.cpu().numpy())
    for here, there in zip(results["cpu"], results["cuda"], strict=True):
        assert np.allclose(here, there, atol=2e-3)


def test_bfloat16_is_chosen_where_it_is_faster() -> None:
    machine = hardware.measure_machine("cuda")
    assert machine.flops > 1e11
    if torch.cuda.get_device_capability()[0] >= 8:
        assert machine.bf16_ratio > 1.2


@pytest.mark.parametrize("members", [("transformer", "ngram"), ("lstm", "ngram")])
def test_text_becomes_a_model_that_writes(members: tuple[str, ...], tmp_path: Path) -> None:
    source = tmp_path / "texts"
    source.mkdir()
    for language in ("en", "zh"):
        for number, text in enumerate(documents(language, 6000)):
            (source / f"{language}{number}.txt").write_text(text, encoding="utf-8")
    recipe = Recipe(
        members=members,
        tokenizer=TokenizerSettings(kind="bpe", vocab_size=400),
        model=ModelSettings(layers=1, width=32, context=32),
        training=TrainingSettings(steps=12, batch_tokens=128, evaluations=3, device="cuda"),
    )
    result = train(source, tmp_path / "model", recipe, progress=False)
    assert 0 < result.bits_per_byte < 8
    model = load(tmp_path / "model", device="cuda")
    here = load(tmp_path / "model", device="cpu")
    for prompt in ("The ", "早上，"):
        found = model.generate(prompt, max_tokens=20, seed=1, ignore_eos=True)
        assert len(found[0].tokens) == 20
        best = model.generate(prompt, beams=3, max_tokens=5)
        assert best[0].tokens == here.generate(prompt, beams=3, max_tokens=5)[0].tokens
    text = "".join(documents("zh", 2000, seed=1))
    assert model.score(text).bits_per_byte == pytest.approx(here.score(text).bits_per_byte, rel=1e-3)
