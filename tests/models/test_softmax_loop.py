import pytest
import torch

from wenmo.models import softmax_loop
from wenmo.models.softmax_loop import softmax


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 50, 1180])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_it_is_the_softmax(scale: float, size: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the greatest logit stands, with rows divided over threads or not."""
    monkeypatch.setattr(softmax_loop, "parts", lambda rows, numbers: threads)
    generator = torch.Generator().manual_seed(size)
    logits = scale * torch.randn(9, size, generator=generator)
    tokens = torch.randint(size, (9, 3), generator=generator)
    logs = logits.double().log_softmax(-1)
    picked, mean, made = softmax(logits.clone(), None, tokens, True, torch.empty(9, size))
    torch.testing.assert_close(picked.double(), logs.gather(1, tokens), rtol=2e-6, atol=1e-5)
    assert mean is not None
    torch.testing.assert_close(mean.double(), logs.mean(1), rtol=2e-6, atol=1e-5)
    torch.testing.assert_close(made.double(), logs.exp(), rtol=2e-6, atol=1e-7)
    torch.testing.assert_close(made.sum(1), torch.ones(9))


def test_it_may_be_made_in_place_with_offsets_and_without_a_mean() -> None:
    torch.manual_seed(0)
    logits, offsets, tokens = torch.randn(4, 37), torch.randn(37), torch.randint(37, (4, 1))
    logs = (logits + offsets).log_softmax(-1)
    picked, mean, made = softmax(logits, offsets, tokens, False, logits)
    assert mean is None and made.data_ptr() == logits.data_ptr()
    torch.testing.assert_close(picked, logs.gather(1, tokens))
    torch.testing.assert_close(logits, logs.exp())


def test_bfloat16_is_read() -> None:
    torch.manual_seed(0)
    logits, tokens = torch.randn(4, 37).bfloat16(), torch.randint(37, (4, 2))
    logs = logits.float().log_softmax(-1)
    picked, _, made = softmax(logits, None, tokens, False, torch.empty(4, 37))
    torch.testing.assert_close(picked, logs.gather(1, tokens))
    torch.testing.assert_close(made, logs.exp())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_hidden(bad: float) -> None:
    logits = torch.zeros(1, 40)
    logits[0, 7] = bad
    picked, _, _ = softmax(logits.clone(), None, torch.tensor([[7]]), False, torch.empty(1, 40))
    assert not picked.isfinite().all()
