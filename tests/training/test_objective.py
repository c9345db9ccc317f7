import pytest
import torch
import torch.nn.functional as F

from wenmo.training import objective
from wenmo.training.objective import Columns, chunk_rows, linear_cross_entropy


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [5, 1000])
def test_equals_torch_cross_entropy_and_its_gradients(
    smoothing: float, weighted: bool, chunk: int, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "chunk_rows", lambda device, vocab: chunk)
    torch.manual_seed(0)
    hidden = torch.randn(3, 7, 5, requires_grad=True)
    weight = torch.randn(11, 5, requires_grad=True)
    targets = torch.randint(11, (3, 7))
    weights = torch.rand(3, 7) if weighted else None
    losses = F.cross_entropy(
        (hidden @ weight.T).reshape(-1, 11), targets.reshape(-1), reduction="none", label_smoothing=smoothing
    )
    scale = torch.ones(21) if weights is None else weights.reshape(-1)
    expected = (losses * scale).sum() / scale.sum()
    wanted = torch.autograd.grad(expected * factor, [hidden, weight])
    loss = linear_cross_entropy(hidden, weight, targets, weights, smoothing)
    found = torch.autograd.grad(loss * factor, [hidden, weight])
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_are_handed_out_once() -> None:
    hidden = torch.randn(4, 5, requires_grad=True)
    loss = linear_cross_entropy(hidden, torch.randn(11, 5), torch.tensor([1, 2, 3, 4]))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute the loss again"):
        loss.backward()


def test_zero_weight_leaves_a_target_out() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(4, 5), torch.randn(11, 5)
    targets = torch.tensor([1, 2, 3, 4])
    masked = linear_cross_entropy(hidden, weight, targets, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(masked, linear_cross_entropy(hidden[:2], weight, targets[:2]))


def test_frozen_weight_and_no_grad() -> None:
    hidden = torch.randn(4, 5, requires_grad=True)
    weight = torch.randn(11, 5)
    linear_cross_entropy(hidden, weight, torch.tensor([1, 2, 3, 4])).backward()
    assert hidden.grad is not None and weight.grad is None
    with torch.no_grad():
        assert linear_cross_entropy(hidden, weight, torch.tensor([1, 2, 3, 4])).ndim == 0


def test_chunks_have_rows_enough_for_their_products_and_fit_into_memory() -> None:
    assert chunk_rows("cpu", 512) == 1024  # as many as stay in cache
    assert chunk_rows("cpu", 4096) == chunk_rows("cpu", 50_257) == 256
    for vocab in (262_144, 1_000_000, 100_000_000):
        assert chunk_rows("cpu", vocab) == max(1, (1 << 24) // vocab)
    assert chunk_rows("cuda", 50_257) == (1 << 25) // 50_257


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("offset", [False, True])
def test_compiled_or_not_the_distributions_are_the_same(compiled: bool, offset: bool) -> None:
    torch.manual_seed(1)
    logits, tokens = 5.0 * torch.randn(6, 50), torch.randint(50, (6, 3))
    columns = Columns(torch.arange(50), torch.randn(50)) if offset else None
    logs = (logits + columns.offsets if columns else logits).log_softmax(-1)
    room = torch.empty(1000) if compiled else None
    picked, mean, probabilities = objective._distributions(logits, columns, tokens, True, room)
    torch.testing.assert_close(picked, logs.gather(1, tokens))
    torch.testing.assert_close(mean, logs.mean(1))
    torch.testing.assert_close(probabilities(), logs.exp())
    assert objective._distributions(logits, columns, tokens, False, room)[1] is None


def test_double_precision_is_accepted() -> None:
    hidden = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 8, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([1, 2, 3, 10])
    wanted = torch.autograd.grad(F.cross_entropy(hidden @ weight.T, targets), (hidden, weight))
    found = torch.autograd.grad(linear_cross_entropy(hidden, weight, targets), (hidden, weight))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
