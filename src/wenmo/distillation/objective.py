"""The loss of distillation: cross-entropy against a teacher's likeliest tokens and the rest of its probability."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wenmo.training.objective import CHUNK_ELEMENTS

LEAST = 1e-6
"""Least probability that the student is taken to leave to the tokens that the teacher does not name."""


class _LinearSoftCrossEntropy(torch.autograd.Function):
    """Loss of softmax(hidden @ weight.T) by chunks of rows; gradients are made in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        top: Tensor,
        probabilities: Tensor,
        row_weights: Tensor,
        hard: float,
    ) -> Tensor:
        rows, vocab = hidden.shape[0], weight.shape[0]
        chunk = max(1, min(rows, CHUNK_ELEMENTS.get(hidden.device.type, CHUNK_ELEMENTS["cpu"]) // vocab))
        low = weight.to(hidden.dtype)
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight = torch.zeros_like(weight) if need_weight else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, rows, chunk):
            part = hidden[start : start + chunk]
            scale = row_weights[start : start + chunk]
            index = targets[start : start + chunk, None]
            named = top[start : start + chunk]
            wanted = probabilities[start : start + chunk].float()
            log_probs = torch.log_softmax(torch.mm(part, low.T).float(), dim=-1)
            true = log_probs.gather(1, index).squeeze(1)
            log_named = log_probs.gather(1, named)
            # A place without a probability names nothing.
            given = log_named.exp() * (wanted > 0)
            told = wanted.sum(1)
            rest = (1.0 - told).clamp_min(0.0)
            left = (1.0 - given.sum(1)).clamp_min(LEAST)
            taught = -(wanted * log_named).sum(1) - rest * left.log()
            # Where the teacher says nothing, the true token is all there is.
            sure = torch.where(told > 0, hard, 1.0)
            soft = 1.0 - sure
            loss += torch.dot(soft * taught - sure * true, scale)
            if grad_hidden is None and grad_weight is None:
                continue
            # With q the student's probabilities and r = rest / left, the derivative by a logit is q - soft p for a
            # named token and q (1 - soft r) for another, less `sure` at the true one.
            ratio = (soft * rest / left)[:, None]
            grad = log_probs.exp_()
            grad *= 1.0 - ratio
            grad.scatter_add_(1, named, ratio * given - soft[:, None] * wanted)
            grad.scatter_add_(1, index, -sure[:, None])
            grad *= scale[:, None]
            grad = grad.to(part.dtype)
            if grad_hidden is not None:
                torch.mm(grad, low, out=grad_hidden[start : start + chunk])
            if grad_weight is None:
                continue
            if grad.dtype == grad_weight.dtype:
                grad_weight.addmm_(grad.T, part)
            else:  # chunks of low precision add up in the precision of the weights
                grad_weight += torch.mm(grad.T, part)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (upstream,) = grad_outputs
        grad_hidden, grad_weight = ctx.saved_tensors
        return (
            None if grad_hidden is None else grad_hidden * upstream,
            None if grad_weight is None else grad_weight * upstream,
            None,
            None,
            None,
            None,
            None,
        )


def linear_soft_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    top: Tensor,
    probabilities: Tensor,
    weights: Tensor | None = None,
    hard: float = 0.0,
) -> Tensor:
    """Mean loss of a linear output layer against a teacher, in memory that does not grow with rows x vocabulary.

    For a row with true token y, student q and teacher p known for the tokens K it names,

        hard * -log q(y) + (1 - hard) * (-sum over K of p log q - (1 - p(K)) log (1 - q(K))):

    the cross-entropy of Hinton, Vinyals and Dean (2015) at temperature 1, where all tokens that the teacher does not
    name are one event. It is least when q is p on K and leaves p's remainder to the others, in any proportion.

    Args:
        hidden: Last hidden vectors (..., D); the matrix products are made in their dtype.
        weight: Output matrix (V, D); its gradient adds up in its own dtype.
        targets: True tokens, int64, the leading shape of `hidden`.
        top: Tokens that the teacher names, int64 (..., K); those of a row differ where their probability is not 0.
        probabilities: The teacher's probabilities of them (..., K), of sum at most 1; 0 where none is named.
        weights: Weight of each row (same shape as `targets`); None counts each once.
        hard: Share of the true token in the loss; where the teacher names no token, it is all of the loss.

    Returns:
        Scalar float32 loss in nats: the weighted sum divided by the sum of the weights.
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    if weights is None:
        row_weights = torch.full((flat.shape[0],), 1.0 / flat.shape[0], device=flat.device)
    else:
        row_weights = weights.reshape(-1).float()
        row_weights = row_weights / row_weights.sum().clamp_min(1e-9)
    places = top.shape[-1]
    loss: Tensor = _LinearSoftCrossEntropy.apply(  # type: ignore[no-untyped-call]
        flat,
        weight,
        targets.reshape(-1),
        top.reshape(-1, places),
        probabilities.reshape(-1, places),
        row_weights,
        hard,
    )
    return loss
