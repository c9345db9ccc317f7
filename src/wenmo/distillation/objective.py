"""The loss of distillation: cross-entropy against a teacher's likeliest tokens and the rest of its probability."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wenmo.training.objective import Rows, linear_loss, shares_of_rows

LEAST = 1e-6
"""Least probability that the student is taken to leave to the tokens that the teacher does not name."""


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
    index = targets.reshape(-1, 1)
    names, wishes = top.reshape(-1, top.shape[-1]), probabilities.reshape(-1, top.shape[-1])
    shares = shares_of_rows(len(flat), weights, flat.device)

    return linear_loss(flat, weight, _SoftCrossEntropy(index, names, wishes, shares, hard))


class _SoftCrossEntropy:
    """The loss of `linear_soft_cross_entropy` for rows of true tokens (N, 1) and named ones (N, K)."""

    needs_mean = False

    def __init__(self, true: Tensor, named: Tensor, wanted: Tensor, shares: Tensor, hard: float) -> None:
        self._true, self._named, self._wanted, self.shares, self._hard = true, named, wanted, shares, hard

    def columns(self, place: slice) -> None:
        """See `RowLoss.columns`."""

    def tokens(self, place: slice) -> Tensor:
        """See `RowLoss.tokens`."""
        return torch.cat([self._true[place], self._named[place]], 1)

    def loss(self, rows: Rows) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """See `RowLoss.loss`."""
        named, wanted = self._named[rows.place], self._wanted[rows.place].float()
        true, log_named = rows.picked[:, 0], rows.picked[:, 1:]
        # A place without a probability names nothing.
        given = log_named.exp() * (wanted > 0)
        told = wanted.sum(1)
        rest = (1.0 - told).clamp_min(0.0)
        left = (1.0 - given.sum(1)).clamp_min(LEAST)
        taught = -(wanted * log_named).sum(1) - rest * left.log()
        # Where the teacher says nothing, the true token is all there is.
        sure = torch.where(told > 0, self._hard, 1.0)
        soft = 1.0 - sure

        def derivative(probabilities: Tensor) -> Tensor:
            # With q the student's probabilities and r = rest / left, the derivative by a logit is q - soft p for a
            # named token and q (1 - soft r) for another, less `sure` at the true one.
            ratio = (soft * rest / left)[:, None]
            probabilities *= 1.0 - ratio
            probabilities.scatter_add_(1, named, ratio * given - soft[:, None] * wanted)
            probabilities.scatter_add_(1, self._true[rows.place], -sure[:, None])
            return probabilities

        return soft * taught - sure * true, derivative
