"""The training loss: cross-entropy without ever holding the logits of a whole batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from wenmo.training.low_precision import LowPrecisionProducts

CHUNK_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 25}
"""Logits held at a time. On a CPU 2 MB in float32, which stay in cache; on a GPU, where every chunk costs the start of
a dozen kernels, 128 MB."""
LEAST_ROWS, MOST_ELEMENTS = 256, 1 << 24
"""Rows of logits held at a time at the least, while they are no more elements than this: every chunk reads the whole
output matrix, which takes longer than its products where there are few rows. With 50,257 tokens of 768 numbers, 256
rows instead of 10 halve the time on a CPU."""


def chunk_rows(device: str, vocab: int) -> int:
    """Rows of logits that are held at a time, of a vocabulary, on a kind of device."""
    few = min(LEAST_ROWS, MOST_ELEMENTS // vocab)
    return max(1, few, CHUNK_ELEMENTS.get(device, CHUNK_ELEMENTS["cpu"]) // vocab)


def computing(device: str, precision: str, compiled: bool = False) -> AbstractContextManager[Any]:
    """The context in which hidden vectors are computed in a precision: `bf16` (weights stay float32) or `fp32`.

    bfloat16 has the range of float32, so that losses need no scaling. On a CPU only matrix products are made in it,
    unless the model is compiled.
    """
    if precision != "bf16":
        return nullcontext()
    if device == "cpu" and not compiled:
        return LowPrecisionProducts()
    return torch.autocast(device, dtype=torch.bfloat16)


ChunkLoss = Callable[[Tensor, slice], tuple[Tensor, Callable[[], Tensor]]]
"""From the log-probabilities of some rows, float32 (n, V), and which rows they are: their loss, a float32 scalar, and a
function that makes its derivative by the logits, float32 (n, V), in the place of the log-probabilities if it likes."""


class _LinearLoss(torch.autograd.Function):
    """Loss of softmax(hidden @ weight.T) by chunks of rows; gradients are made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, of_chunk: ChunkLoss) -> Tensor:
        rows, vocab = hidden.shape[0], weight.shape[0]
        chunk = min(rows, chunk_rows(hidden.device.type, vocab))
        low = weight.to(hidden.dtype)
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight: Tensor | None = None
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, rows, chunk):
            place = slice(start, start + chunk)
            part = hidden[place]
            found, derivative = of_chunk(torch.log_softmax(torch.mm(part, low.T).float(), dim=-1), place)
            loss += found
            if not (need_hidden or need_weight):
                continue
            grad = derivative().to(part.dtype)
            if grad_hidden is not None:
                torch.mm(grad, low, out=grad_hidden[place])
            if not need_weight:
                continue
            if grad_weight is None:
                grad_weight = torch.mm(grad.T, part).to(weight.dtype)
            elif grad.dtype == grad_weight.dtype:
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
        )


def linear_loss(hidden: Tensor, weight: Tensor, of_chunk: ChunkLoss) -> Tensor:
    """A loss of the distributions softmax(hidden @ weight.T), of which a few rows exist at a time.

    Args:
        hidden: Last hidden vectors (N, D); the matrix products are made in their dtype.
        weight: Output matrix (V, D); its gradient adds up in its own dtype.
        of_chunk: The loss of some rows, already weighted, and its derivative.

    Returns:
        The sum over the rows, a float32 scalar.
    """
    loss: Tensor = _LinearLoss.apply(hidden, weight, of_chunk)  # type: ignore[no-untyped-call]
    return loss


def shares_of_rows(rows: int, weights: Tensor | None, device: torch.device) -> Tensor:
    """Weights of rows, float32 (N,), that add up to 1: equal ones when `weights` (of N elements) is None."""
    if weights is None:
        return torch.full((rows,), 1.0 / rows, device=device)
    flat = weights.reshape(-1).float()
    return flat / flat.sum().clamp_min(1e-9)


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean cross-entropy of a linear output layer, in memory that does not grow with rows x vocabulary.

    Args:
        hidden: Last hidden vectors (..., D); the matrix products are made in their dtype.
        weight: Output matrix (V, D); its gradient adds up in its own dtype.
        targets: Token ids, int64, the leading shape of `hidden`.
        weights: Weight of each target (same shape as `targets`); None counts each once. Zero leaves one out.
        label_smoothing: Share of the target probability spread evenly over the vocabulary (Szegedy et al. 2016).

    Returns:
        Scalar float32 loss in nats: the weighted sum divided by the sum of the weights.
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    index = targets.reshape(-1, 1)
    shares = shares_of_rows(len(flat), weights, flat.device)

    def of_chunk(log_probs: Tensor, rows: slice) -> tuple[Tensor, Callable[[], Tensor]]:
        picked = log_probs.gather(1, index[rows])
        nats = -picked.squeeze(1) * (1.0 - label_smoothing)
        if label_smoothing:
            nats = nats - log_probs.mean(dim=1) * label_smoothing

        def derivative() -> Tensor:
            # Probabilities less the smoothed target, scaled by the row's weight.
            grad = log_probs.exp_()
            grad.scatter_add_(1, index[rows], torch.full_like(picked, label_smoothing - 1.0))
            if label_smoothing:
                grad -= label_smoothing / grad.shape[1]
            return grad.mul_(shares[rows, None])

        return torch.dot(nats, shares[rows]), derivative

    return linear_loss(flat, weight, of_chunk)
