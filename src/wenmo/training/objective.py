"""The training loss: cross-entropy without ever holding the logits of a whole batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from wenmo.models.loop_dispatch import compiles
from wenmo.models.low_precision import LowPrecisionProducts
from wenmo.models.softmax_loop import softmax

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


@dataclass(frozen=True)
class Rows:
    """What a loss is told of some rows of logits.

    Attributes:
        place: Which rows they are.
        picked: Log-probabilities of the tokens that the loss asked for, float32 (n, K).
        mean: Mean log-probability over the vocabulary, float32 (n,); None where it was not asked for.
    """

    place: slice
    picked: Tensor
    mean: Tensor | None


@dataclass(frozen=True)
class Columns:
    """The tokens that stand for the vocabulary in the distributions of some rows.

    Attributes:
        ids: The tokens, each once, int64 (C,).
        offsets: Added to their logits, float32 (C,): a token that stands for w others counts as w.
    """

    ids: Tensor
    offsets: Tensor


class RowLoss(Protocol):
    """A loss of softmax distributions that needs the log-probabilities of a few tokens of each row."""

    needs_mean: bool
    """Whether it needs the mean log-probability as well."""
    shares: Tensor
    """What each row's loss counts, float32 (N,)."""

    def columns(self, place: slice) -> Columns | None:
        """Returns the tokens that stand for the vocabulary; None for all of it. Asked first, once for some rows."""

    def tokens(self, place: slice) -> Tensor:
        """Returns the tokens whose log-probabilities are needed, int64 (n, K): numbers of columns, where there are."""

    def loss(self, rows: Rows) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Returns the loss of each of some rows, float32 (n,), and its derivative by their logits.

        The derivative is a function of the probabilities, float32 (n, V), and may be made in their place. Neither is
        weighted by `shares`.
        """


def _distributions(
    logits: Tensor, columns: Columns | None, tokens: Tensor, needs_mean: bool, room: Tensor | None
) -> tuple[Tensor, Tensor | None, Callable[[], Tensor]]:
    """Log-probabilities of some tokens, their mean over the columns, and a function that makes the probabilities.

    On a CPU all of it is one compiled loop that writes the probabilities into `room` (float32, of as many numbers at
    the least, or the logits' own); on a GPU these are single kernels.
    """
    offsets = None if columns is None else columns.offsets
    if room is not None and compiles(room, low=logits):
        out = room[: logits.numel()].view(logits.shape)
        picked, mean, probabilities = softmax(logits, offsets, tokens, needs_mean, out)
        return picked, mean, lambda: probabilities
    logs = torch.log_softmax(logits.float() if offsets is None else logits.float() + offsets, dim=-1)
    return logs.gather(1, tokens), logs.mean(1) if needs_mean else None, logs.exp_


def _rooms(hidden: Tensor, numbers: int) -> tuple[Tensor | None, Tensor | None]:
    """Memory of logits and of probabilities for every chunk in turn; none on a GPU, whose allocator keeps its own.

    A CPU would clear fresh memory for every chunk.
    """
    if hidden.device.type != "cpu":
        return None, None
    held = hidden.new_empty(numbers)
    return held, held if held.dtype == torch.float32 else torch.empty(numbers)


class _LinearLoss(torch.autograd.Function):
    """Loss of softmax(hidden @ weight.T) by chunks of rows; gradients are made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, of_rows: RowLoss) -> Tensor:
        rows, vocab = hidden.shape[0], weight.shape[0]
        chunk = min(rows, chunk_rows(hidden.device.type, vocab))
        low = weight.to(hidden.dtype)
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if need_hidden else None
        grad_weight: Tensor | None = None
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        held, room = _rooms(hidden, chunk * vocab)
        for start in range(0, rows, chunk):
            place = slice(start, start + chunk)
            part, columns = hidden[place], of_rows.columns(place)
            matrix = low if columns is None else low[columns.ids]
            into = None if held is None else held[: len(part) * len(matrix)].view(len(part), len(matrix))
            logits = torch.mm(part, matrix.T, out=into)
            tokens, needs_mean = of_rows.tokens(place), of_rows.needs_mean
            picked, mean, probabilities = _distributions(logits, columns, tokens, needs_mean, room)
            shares = of_rows.shares[place]
            found, derivative = of_rows.loss(Rows(place, picked, mean))
            loss += torch.dot(found, shares)
            if not (need_hidden or need_weight):
                continue
            grad = derivative(probabilities()).to(part.dtype)
            # The shares weight what is as wide as the hidden vectors, not what is as wide as the vocabulary.
            shares = shares[:, None]
            if grad_hidden is not None:
                torch.mm(grad, matrix, out=grad_hidden[place]).mul_(shares)
            if not need_weight:
                continue
            part = (part * shares).to(part.dtype)
            if columns is not None:
                grad_weight = torch.zeros_like(weight) if grad_weight is None else grad_weight
                grad_weight.index_add_(0, columns.ids, torch.mm(grad.T, part).to(weight.dtype))
            elif grad_weight is None:
                grad_weight = torch.mm(grad.T, part).to(weight.dtype)
            elif grad.dtype == grad_weight.dtype:
                grad_weight.addmm_(grad.T, part)
            else:  # chunks of low precision add up in the precision of the weights
                grad_weight += torch.mm(grad.T, part)
        # Not saved by autograd, so that the backward pass can hand them on instead of copying them.
        ctx.gradients = (grad_hidden, grad_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (upstream,) = grad_outputs
        if ctx.gradients is None:
            raise RuntimeError("the gradients of this loss were handed out already; compute the loss again")
        gradients, ctx.gradients = ctx.gradients, None
        # On a GPU the number would have to be waited for.
        if upstream.device.type != "cpu" or upstream.item() != 1.0:
            for gradient in gradients:
                if gradient is not None:
                    gradient.mul_(upstream)
        return (*gradients, None)


def linear_loss(hidden: Tensor, weight: Tensor, of_rows: RowLoss) -> Tensor:
    """A loss of the distributions softmax(hidden @ weight.T), of which a few rows exist at a time.

    Args:
        hidden: Last hidden vectors (N, D); the matrix products are made in their dtype.
        weight: Output matrix (V, D); its gradient adds up in its own dtype.
        of_rows: The loss of some rows, already weighted, and its derivative.

    Returns:
        The sum over the rows, a float32 scalar.
    """
    loss: Tensor = _LinearLoss.apply(hidden, weight, of_rows)  # type: ignore[no-untyped-call]
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
    shares = shares_of_rows(len(flat), weights, flat.device)
    return linear_loss(flat, weight, CrossEntropy(targets.reshape(-1, 1), shares, label_smoothing))


class CrossEntropy:
    """Weighted nats of the targets, int64 (N, 1), of which a share is spread over the vocabulary."""

    def __init__(self, targets: Tensor, shares: Tensor, label_smoothing: float) -> None:
        self._targets, self.shares, self._smoothing = targets, shares, label_smoothing
        self.needs_mean = bool(label_smoothing)

    def columns(self, place: slice) -> Columns | None:
        """See `RowLoss.columns`."""
        return None

    def tokens(self, place: slice) -> Tensor:
        """See `RowLoss.tokens`."""
        return self._targets[place]

    def loss(self, rows: Rows) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """See `RowLoss.loss`."""
        return self._loss(rows, self._targets[rows.place])

    def _loss(self, rows: Rows, targets: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The loss of targets (n, 1) that may be numbers of columns, and its derivative."""
        smoothing = self._smoothing
        nats = -rows.picked[:, 0] * (1.0 - smoothing)
        if rows.mean is not None:
            nats = nats - rows.mean * smoothing

        def derivative(probabilities: Tensor) -> Tensor:
            # Probabilities less the smoothed target.
            spent = torch.full_like(rows.picked, smoothing - 1.0)
            probabilities.scatter_add_(1, targets, spent)
            if smoothing:
                probabilities -= smoothing / probabilities.shape[1]
            return probabilities

        return nats, derivative
