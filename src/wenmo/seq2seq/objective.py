"""Losses of encoder-decoder models."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wenmo.seq2seq.base import Seq2SeqModel
from wenmo.seq2seq.batches import PairBatch, TokenPairs, cut_by_tokens, make_batch
from wenmo.training.objective import linear_cross_entropy


def _hidden(model: Seq2SeqModel, batch: PairBatch) -> Tensor:
    """Hidden vectors of the valid target positions, (tokens, D)."""
    state = model.start(model.encode(batch.source, batch.source_lengths))
    hidden, _ = model.decode(batch.inputs, state, need_state=False)
    return hidden[batch.weights > 0]


def pair_loss(model: Seq2SeqModel, batch: PairBatch, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the targets, nats per token, float32 scalar; padding costs nothing."""
    targets = batch.outputs[batch.weights > 0]
    return linear_cross_entropy(
        _hidden(model, batch), model.output_weight, targets, label_smoothing=label_smoothing
    )


def consistency(model: Seq2SeqModel, batch: PairBatch, label_smoothing: float, weight: float) -> Tensor:
    """Cross-entropy of two passes with different dropout plus their divergence (R-Drop: Liang et al. 2021).

    Args:
        model: The model, in training mode.
        batch: The batch.
        label_smoothing: See `pair_loss`.
        weight: Weight of the mean of both Kullback-Leibler divergences.

    Returns:
        Scalar: mean of both cross-entropies + weight / 2 x (KL(p, q) + KL(q, p)) / 2, nats per token.
    """
    targets = batch.outputs[batch.weights > 0]
    logs = [torch.log_softmax(model.logits(_hidden(model, batch)), -1) for _ in range(2)]
    loss = torch.zeros((), device=targets.device)
    for log in logs:
        picked = -log.gather(1, targets[:, None]).mean()
        loss = loss + 0.5 * ((1.0 - label_smoothing) * picked - label_smoothing * log.mean())
    p, q = logs[0].exp(), logs[1].exp()
    divergence = ((p - q) * (logs[0] - logs[1])).sum(-1).mean() / 2
    return loss + weight / 2 * divergence


@torch.no_grad()
def held_out_loss(model: Seq2SeqModel, pairs: TokenPairs, tokens: int) -> float:
    """Nats per target token of pairs, without label smoothing; the model is in evaluation mode."""
    lengths = np.array([max(len(s), len(t) + 1) for s, t in zip(pairs.sources, pairs.targets, strict=True)])
    total, count = 0.0, 0
    for run in cut_by_tokens(lengths, np.argsort(lengths, kind="stable"), tokens):
        batch = make_batch(pairs, run.tolist()).to(model.device)
        total += float(pair_loss(model, batch)) * batch.tokens
        count += batch.tokens
    return total / max(count, 1)
