import pytest
import torch

from wenmo.distillation.objective import linear_soft_cross_entropy
from wenmo.training import objective
from wenmo.training.objective import linear_cross_entropy

ROWS, VOCAB, WIDTH, PLACES = 21, 11, 5, 4


def targets(seed=0):
    """Named tokens, all different in a row, some places empty, some rows without any."""
    generator = torch.Generator().manual_seed(seed)
    top = torch.stack([torch.randperm(VOCAB, generator=generator)[:PLACES] for _ in range(ROWS)])
    probabilities = torch.rand(ROWS, PLACES, generator=generator)
    probabilities /= probabilities.sum(1, keepdim=True) * (1.0 + torch.rand(ROWS, 1, generator=generator))
    probabilities[::3, -1] = 0.0
    top[::3, -1] = top[::3, 0]
    probabilities[::5] = 0.0
    return top, probabilities


def reference(logits, index, top, probabilities, weights, hard):
    """The definition in the docstring, row by row, with all logits at once."""
    log_probs = torch.log_softmax(logits, -1)
    losses = []
    for row in range(len(logits)):
        true = -log_probs[row, index[row]]
        named = [(int(t), p) for t, p in zip(top[row], probabilities[row], strict=True) if p > 0]
        if not named:
            losses.append(true)
            continue
        taught = -sum(p * log_probs[row, t] for t, p in named)
        left = 1.0 - sum(log_probs[row, t].exp() for t, _ in named)
        taught = taught - (1.0 - sum(p for _, p in named)) * left.log()
        losses.append(hard * true + (1.0 - hard) * taught)
    return (torch.stack(losses) * weights).sum() / weights.sum()


@pytest.mark.parametrize("hard", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [5, 1000])
def test_equals_its_definition_and_the_gradients_of_it(hard, weighted, chunk, monkeypatch):
    monkeypatch.setattr(objective, "chunk_rows", lambda device, vocab: chunk)
    hidden = torch.randn(3, 7, WIDTH, requires_grad=True)
    weight = torch.randn(VOCAB, WIDTH, requires_grad=True)
    index = torch.randint(VOCAB, (3, 7))
    top, probabilities = targets()
    weights = torch.rand(ROWS) if weighted else torch.ones(ROWS)
    expected = reference(
        (hidden @ weight.T).view(ROWS, VOCAB), index.view(-1), top, probabilities, weights, hard
    )
    wanted = torch.autograd.grad(expected * 2.0, [hidden, weight])
    loss = linear_soft_cross_entropy(
        hidden, weight, index, top.view(3, 7, PLACES), probabilities.view(3, 7, PLACES),
        weights.view(3, 7) if weighted else None, hard,
    )  # fmt: skip
    found = torch.autograd.grad(loss * 2.0, [hidden, weight])
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_teacher_that_names_the_true_token_alone_is_plain_training():
    hidden, weight = torch.randn(ROWS, WIDTH), torch.randn(VOCAB, WIDTH)
    index = torch.randint(VOCAB, (ROWS,))
    loss = linear_soft_cross_entropy(hidden, weight, index, index[:, None], torch.ones(ROWS, 1))
    torch.testing.assert_close(loss, linear_cross_entropy(hidden, weight, index))


def test_the_teachers_own_probabilities_are_the_least_loss():
    teacher = torch.randn(ROWS, VOCAB)
    probabilities, top = teacher.softmax(-1).topk(PLACES)
    logits = teacher.clone().requires_grad_()
    loss = linear_soft_cross_entropy(logits, torch.eye(VOCAB), torch.zeros(ROWS).long(), top, probabilities)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-6


def test_frozen_weight_and_no_grad():
    top, probabilities = targets()
    hidden, weight = torch.randn(ROWS, WIDTH, requires_grad=True), torch.randn(VOCAB, WIDTH)
    index = torch.randint(VOCAB, (ROWS,))
    linear_soft_cross_entropy(hidden, weight, index, top, probabilities).backward()
    assert hidden.grad is not None and weight.grad is None
    with torch.no_grad():
        assert linear_soft_cross_entropy(hidden, weight, index, top, probabilities).ndim == 0
