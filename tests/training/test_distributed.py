import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_trainers import make_trainer
from worlds import lose_one, outcome, read, run_world, train_all, train_apart, train_until

from wenmo.training import checkpoint

CASES: dict[str, dict[str, Any]] = {
    "ddp": {"parallel": "ddp"},
    "ddp-accumulated": {
        "parallel": "ddp",
        "micro_rows": 1,
        "optimizer": "adamw",
        "checkpoint_activations": True,
    },
    "ddp-untied": {"parallel": "ddp", "tied": False, "workers": 2},
    "ddp-lstm": {"parallel": "ddp", "architecture": "lstm"},
    "fsdp": {"parallel": "fsdp"},
    "fsdp-accumulated": {"parallel": "fsdp", "micro_rows": 1, "optimizer": "adamw", "tied": False},
    "fsdp-recomputed": {"parallel": "fsdp", "checkpoint_activations": True},
    "fsdp-gru": {"parallel": "fsdp", "architecture": "gru", "optimizer": "sgd"},
}
COMMON: dict[str, Any] = {"dropout": 0.0, "rows": 5, "micro_rows": 5, "steps": 8, "lr": 1e-2}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of each case."""
    folder = tmp_path_factory.mktemp("alone")
    for name, case in CASES.items():
        outcome(make_trainer(folder / name, **{**COMMON, **case}), folder, name)
    return folder


def assert_same(found: Path, wanted: Path, names: list[str], ranks: int = 1) -> None:
    for name in names:
        expected, weights = read(wanted, name)
        for rank in range(ranks):
            facts, ours = read(found, name, rank)
            assert (facts["stopped"], facts["steps"]) == (expected["stopped"], expected["steps"])
            assert facts["tokens"] == expected["tokens"]
            np.testing.assert_allclose(facts["curve"], expected["curve"], rtol=1e-5, atol=1e-5, err_msg=name)
            for one, other in zip(ours, weights, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("size", "names"), [(2, list(CASES)), (4, ["ddp", "fsdp"])])
def test_many_processes_train_what_one_does(size: int, names: list[str], alone: Path, tmp_path: Path) -> None:
    cases = {name: {**COMMON, **CASES[name]} for name in names}
    assert run_world(size, train_all, tmp_path, cases) == [0] * size
    assert_same(tmp_path, alone, names, ranks=size)


def test_all_begin_with_the_weights_of_the_first(alone: Path, tmp_path: Path) -> None:
    """Processors of several kinds do not compute the same initial embedding to the last bit."""
    names = ["ddp", "fsdp", "fsdp-gru"]
    cases = {name: {**COMMON, **CASES[name]} for name in names}
    assert run_world(2, train_apart, tmp_path, cases) == [0, 0]
    assert_same(tmp_path, alone, names, ranks=2)


def test_a_checkpoint_is_gone_on_with_by_any_number_of_processes(alone: Path, tmp_path: Path) -> None:
    """FSDP on 2, DDP on 4, one process, FSDP on 4, each for a few steps: as if one had trained all along."""
    name, case = "way", {**COMMON, "parallel": "fsdp"}
    assert run_world(2, train_until, tmp_path, {name: 3}, {name: case}) == [0, 0]
    files = {path.name for path in (tmp_path / name).rglob("*") if path.is_file()}
    assert files == {"00000.safetensors", "00001.safetensors", "checkpoint.json", "metrics.jsonl"}
    assert read(tmp_path, name, 0)[0]["steps"] == read(tmp_path, name, 1)[0]["steps"] == 3
    assert run_world(4, train_until, tmp_path, {name: 5}, {name: {**case, "parallel": "ddp"}}) == [0] * 4
    assert {path.name for path in (tmp_path / name).iterdir()} == {"checkpoint.safetensors", "metrics.jsonl"}
    assert run_world(1, train_until, tmp_path, {name: 6}, {name: case}) == [0]
    assert run_world(4, train_all, tmp_path, {name: case}) == [0] * 4
    shutil.copy(alone / "fsdp.0.json", alone / "way.0.json")
    shutil.copy(alone / "fsdp.0.npz", alone / "way.0.npz")
    assert_same(tmp_path, alone, [name], ranks=4)


def test_resuming_with_dropout_is_bitwise(tmp_path: Path) -> None:
    """Every process draws the same masks again after a resume, and other ones than its neighbour."""
    cases = {kind: {"parallel": kind, "dropout": 0.2, "steps": 10} for kind in ("ddp", "fsdp")}
    assert run_world(2, train_all, tmp_path / "whole", cases) == [0, 0]
    stops = {"ddp": 4, "fsdp": 7}
    assert run_world(2, train_until, tmp_path / "part", stops, cases) == [0, 0]
    assert read(tmp_path / "part", "ddp")[0]["stopped"] == "interrupted"
    assert run_world(2, train_all, tmp_path / "part", cases) == [0, 0]
    for kind in cases:
        facts, weights = read(tmp_path / "part", kind)
        expected, theirs = read(tmp_path / "whole", kind)
        assert facts == expected
        assert all(np.array_equal(one, other) for one, other in zip(weights, theirs, strict=True))


def test_the_clock_of_one_process_ends_all(tmp_path: Path) -> None:
    cases = {
        kind: {"parallel": kind, "steps": None, "seconds": 1.0, "patience": 1000} for kind in ("ddp", "fsdp")
    }
    assert run_world(2, train_all, tmp_path, cases) == [0, 0]
    for kind in cases:
        (first, _), (second, _) = (read(tmp_path, kind, rank) for rank in range(2))
        assert first == second and first["stopped"] == "budget" and first["steps"] >= 1


def test_a_lost_process_is_said_in_a_sentence(tmp_path: Path) -> None:
    assert run_world(2, lose_one, tmp_path) == [3, -9]
    assert "another process of this training was lost" in (tmp_path / "error.0").read_text()


def test_recomputed_activations_give_the_same_gradients_bitwise(tmp_path: Path) -> None:
    kept = make_trainer(tmp_path / "a", dropout=0.2)
    kept.run()
    again = make_trainer(tmp_path / "b", dropout=0.2, checkpoint_activations=True)
    calls: list[int] = []
    block = again.model.blocks[0]
    block.ffn.register_forward_hook(lambda *_: calls.append(block.training))
    again.run()
    for ours, theirs in zip(again.model.parameters(), kept.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert sum(calls) == 2 * 20  # forward, and once more in the backward pass of each step
    assert "forward" not in vars(block)


def test_a_damaged_or_half_written_set_of_slices(tmp_path: Path) -> None:
    case = {**COMMON, "parallel": "fsdp"}
    assert run_world(2, train_until, tmp_path, {"run": 2}, {"run": case}) == [0, 0]
    folder = tmp_path / "run"
    (folder / "checkpoint-9").mkdir()  # a later one that was not completed
    (folder / "checkpoint-9" / "00000.safetensors").write_bytes(b"half")
    trainer = make_trainer(folder, **COMMON)
    trainer.resume()
    assert trainer._progress.step == 2
    trainer.save()
    assert {path.name for path in folder.iterdir()} == {"checkpoint.safetensors", "metrics.jsonl"}
    assert run_world(2, train_until, tmp_path, {"run": 3}, {"run": case}) == [0, 0]
    shard = next(folder.glob("checkpoint-*/00001.safetensors"))
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(checkpoint.ModelError, match="damaged"):
        make_trainer(folder, **COMMON).resume()
