import pytest
import torch

from wenmo.models import linear_recurrence as module
from wenmo.models.linear_recurrence import CHUNK, WIDE, linear_recurrence

WAYS = ["compiled", "steps", "chunks"]
STEPS = [1, 2, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5, 100]


def take(way, monkeypatch):
    """Lets the recurrence run in one of its ways whatever its sizes."""
    if way != "compiled":
        monkeypatch.setattr(module, "_compiles", lambda x: False)
        monkeypatch.setattr(module, "WIDE", 0 if way == "steps" else 1 << 30)


def naive(decay, added, before):
    states = []
    for a, b in zip(decay, added, strict=True):
        before = a * before + b
        states.append(before)
    return torch.stack(states)


def example(steps, shape=(2, 3), dtype=torch.float64):
    generator = torch.Generator().manual_seed(steps)
    decay = torch.rand(steps, *shape, generator=generator, dtype=dtype)
    added = torch.randn(steps, *shape, generator=generator, dtype=dtype)
    return decay, added, torch.randn(shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("way", WAYS)
def test_equals_a_loop_with_gradients(steps, way, monkeypatch):
    """In compiled loops, step by step and in chunks, whatever the number of steps."""
    take(way, monkeypatch)
    inputs = [x.requires_grad_() for x in example(steps)]
    found, expected = linear_recurrence(*inputs), naive(*inputs)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)
    weights = torch.randn(found.shape, dtype=found.dtype)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("steps", [1, 3, 3 * CHUNK + 2])
@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_those_of_finite_differences(steps, way, monkeypatch):
    take(way, monkeypatch)
    assert torch.autograd.gradcheck(linear_recurrence, [x.requires_grad_() for x in example(steps, (1, 2))])


@pytest.mark.parametrize("way", WAYS)
def test_no_rows_are_no_states(way, monkeypatch):
    take(way, monkeypatch)
    assert linear_recurrence(*example(2 * CHUNK, (0, 3))).shape == (2 * CHUNK, 0, 3)


@pytest.mark.parametrize("compiled", [True, False])
def test_wide_steps_equal_narrow_ones(compiled, monkeypatch):
    monkeypatch.setattr(module, "_compiles", lambda x: compiled)
    decay, added, before = example(70, (8, WIDE // 4), torch.float32)
    wide = linear_recurrence(decay, added, before)
    narrow = torch.cat(
        [linear_recurrence(decay[:, i:j], added[:, i:j], before[i:j]) for i, j in [(0, 3), (3, 8)]], 1
    )
    torch.testing.assert_close(wide, narrow, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_float32_stays_close_over_a_long_text(way, monkeypatch):
    """Decays from nearly nothing to nearly one, and exactly zero and one: nothing overflows, nothing is lost."""
    take(way, monkeypatch)
    generator = torch.Generator().manual_seed(0)
    decay = torch.sigmoid(12.0 * torch.randn(4000, 1, 30, generator=generator))
    decay[:, :, 0], decay[:, :, 1] = 0.0, 1.0
    added = (1 - decay) * torch.randn(decay.shape, generator=generator)
    before = torch.ones(1, 30)
    expected = naive(decay.double(), added.double(), before.double())
    found = linear_recurrence(decay, added, before)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_strides_and_low_precision_do_not_matter(way, monkeypatch):
    take(way, monkeypatch)
    decay, added, before = example(40)
    turned = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (decay, added)]
    torch.testing.assert_close(linear_recurrence(*turned, before), naive(decay, added, before))
    low = linear_recurrence(decay.bfloat16(), added.bfloat16(), before.bfloat16())
    assert low.dtype == torch.float32
    torch.testing.assert_close(
        low, naive(decay.bfloat16().float(), added.bfloat16().float(), before.bfloat16().float())
    )
