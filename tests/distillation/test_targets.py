import numpy as np
import pytest

from wenmo.distillation.targets import Targets
from wenmo.errors import ModelError


@pytest.mark.parametrize(("vocab_size", "dtype"), [(500, np.uint16), (70_000, np.uint32)])
def test_what_is_written_is_read(vocab_size, dtype, tmp_path):
    made = Targets.create(tmp_path / "t", 100, vocab_size, places=8)
    generator = np.random.default_rng(0)
    top = generator.integers(vocab_size, size=(40, 8))
    probabilities = generator.dirichlet(np.ones(8), size=40).astype(np.float32)
    made.write(30, top, probabilities)
    read = Targets.open(tmp_path / "t")
    assert len(read) == 100 and read.top.dtype == dtype
    places = np.arange(30, 70).reshape(4, 10)
    found, shares = read.of(places)
    assert found.shape == shares.shape == (4, 10, 8)
    assert np.array_equal(found.reshape(40, 8), top)
    np.testing.assert_allclose(shares.reshape(40, 8), probabilities, rtol=2e-3, atol=1e-6)
    assert not read.of(np.arange(30))[1].any()


def test_probabilities_never_exceed_one_together(tmp_path):
    made = Targets.create(tmp_path / "t", 1000, 300, places=16)
    probabilities = np.random.default_rng(0).dirichlet(np.full(16, 0.3), size=1000)
    made.write(0, np.zeros((1000, 16), np.int64), probabilities)
    assert made.of(np.arange(1000))[1].astype(np.float64).sum(1).max() <= 1.0


def test_no_more_places_than_tokens(tmp_path):
    assert Targets.create(tmp_path / "t", 10, 5).top.shape == (10, 5)


def test_damage_is_said(tmp_path):
    Targets.create(tmp_path / "t", 10, 300)
    (tmp_path / "t" / "top.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="damaged"):
        Targets.open(tmp_path / "t")
    with pytest.raises(ModelError, match="damaged"):
        Targets.open(tmp_path / "none")
