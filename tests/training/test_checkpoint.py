import resource
from pathlib import Path

import pytest
import torch

from wenmo.errors import ModelError, ResourceError
from wenmo.training.checkpoint import load_checkpoint, save_checkpoint


def test_tensors_and_state_return(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5), "rng": torch.get_rng_state()}
    save_checkpoint(path, tensors, {"step": 3, "说明": ["一", 2.5]})
    found, state = load_checkpoint(path)
    assert state == {"step": 3, "说明": ["一", 2.5]}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_a_missing_or_damaged_checkpoint_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(ModelError, match="nothing to resume"):
        load_checkpoint(path)
    save_checkpoint(path, {"a": torch.randn(100)}, {})
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.safetensors"
    monkeypatch.setattr("wenmo.training.checkpoint.VERSION", "0")
    save_checkpoint(path, {"a": torch.zeros(1)}, {})
    monkeypatch.undo()
    with pytest.raises(ModelError, match="another version"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"a": torch.ones(2)}, {"step": 1})

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # stands for a full disk
    try:
        with pytest.raises(ResourceError, match="no space left"):
            save_checkpoint(path, {"a": torch.zeros(2000)}, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path)[1] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]
