"""Cross-entropy against a part of the vocabulary: on a CPU the output layer is half of a small model's training.

Rows are compared with the tokens that follow any of them, with the frequent tokens, and with some of the others. These
are drawn at random, so many that shapes recur, and each stands for as many as it was drawn from (Horvitz and Thompson
1952): the sum under the softmax is right on average, and what is missing from it is rare. The model is the one that the
whole softmax trains, and is scored with it. See Bengio and Senécal (2003) and Jean et al. (2015,
https://arxiv.org/abs/1412.2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.models.dropout import random_generator
from wenmo.training.objective import Columns, CrossEntropy, Rows, linear_loss, shares_of_rows

FREQUENT = 512
"""Tokens that every row is compared with."""
RATE = 0.125
"""Share of the other tokens that are drawn, at the least."""
MULTIPLE = 128
"""The tokens that rows are compared with are a multiple of this many, so that few shapes of products occur: oneDNN
keeps code and memory for a thousand (docs/lab.md, 2026-11-28)."""
LEAST_VOCAB = 2560
"""Smaller vocabularies are compared with whole: of 1,728 tokens 695 would be left, which gains no more than the draw's
noise costs; of 4,096 a quarter is (docs/lab.md, 2026-11-27)."""


LEAST_GAIN = 1.2
"""Where steps become less than this many times as fast the whole softmax is kept. What sampling wins: 1.2 % of the
bits of a mixture where 1.57 times as many steps are taken in 150 s, 0.2 % where 1.31 times as many in 400 s
(docs/lab.md, 2026-11-27), 0.8 % where 1.36 times as many in a minute (2026-11-30); near the bound either will do."""


def frequent_tokens(ids: npt.NDArray[np.integer], vocab_size: int) -> Tensor:
    """Returns which tokens every row is compared with, bool (V,): the commonest of a text, ids (N,)."""
    counts = np.bincount(np.asarray(ids, np.int64), minlength=vocab_size)
    chosen = np.zeros(vocab_size, bool)
    chosen[np.argsort(-counts, kind="stable")[:FREQUENT]] = True
    return torch.from_numpy(chosen)


def sampled_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, frequent: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Estimates what `linear_cross_entropy` computes, and its gradient.

    The logarithm of a sum that is right on average is a little too low on average, and the loss with it.

    Args:
        hidden: Last hidden vectors (..., D), on a CPU.
        weight: Output matrix (V, D).
        targets: Token ids, int64, the leading shape of `hidden`.
        frequent: From `frequent_tokens`.
        weights: Weight of each target; None counts each once.

    Returns:
        Scalar float32 loss in nats. The draw is from the generator of `dropout_from`, or else PyTorch's own.
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    shares = shares_of_rows(len(flat), weights, flat.device)
    return linear_loss(flat, weight, _SampledCrossEntropy(targets.reshape(-1, 1), shares, frequent))


class _SampledCrossEntropy(CrossEntropy):
    """Weighted nats of the targets, int64 (N, 1), among the tokens that stand for the vocabulary."""

    def __init__(self, targets: Tensor, shares: Tensor, frequent: Tensor) -> None:
        super().__init__(targets, shares, 0.0)
        self._frequent = frequent
        self._column = torch.empty(len(frequent), dtype=torch.int64)
        self._wanted = targets[:0]

    def columns(self, place: slice) -> Columns:
        """See `RowLoss.columns`."""
        targets = self._targets[place]
        certain = self._frequent.clone()
        certain[targets] = True
        ids, others = certain.nonzero()[:, 0], (~certain).nonzero()[:, 0]
        least = len(ids) + math.ceil(RATE * len(others))
        draws = min(len(others), -(-least // MULTIPLE) * MULTIPLE - len(ids))
        order = torch.randperm(len(others), generator=random_generator())[:draws]
        offsets = torch.zeros(len(ids) + draws)
        offsets[len(ids) :] = math.log(len(others) / draws) if draws else 0.0
        ids = torch.cat([ids, others[order]])
        self._column[ids] = torch.arange(len(ids))
        self._wanted = self._column[targets]
        return Columns(ids, offsets)

    def tokens(self, place: slice) -> Tensor:
        """See `RowLoss.tokens`."""
        return self._wanted

    def loss(self, rows: Rows) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """See `RowLoss.loss`."""
        return self._loss(rows, self._wanted)
