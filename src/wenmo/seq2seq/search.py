"""Beam search over targets, for many sources at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wenmo.seq2seq.base import Seq2SeqModel
from wenmo.seq2seq.batches import Ids, cut_by_tokens, padded

SEARCH_TOKENS = 4096
"""Rows times longest source in one batch of a search, beams included."""


@dataclass(frozen=True)
class Hypothesis:
    """A target that was found.

    Attributes:
        tokens: Its ids, without the end.
        logprob: Natural log-probability of the tokens and the end.
        score: logprob / length ** length_penalty, by which hypotheses are ranked; the end counts as a token.
        complete: False when it was cut at its limit.
    """

    tokens: tuple[int, ...]
    logprob: float
    score: float
    complete: bool


@torch.no_grad()
def beam_search(
    model: Seq2SeqModel,
    source: Tensor,
    lengths: Tensor,
    limits: Tensor,
    *,
    beams: int,
    length_penalty: float,
    banned: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Searches for the targets of the highest score.

    Of the 2 * beams best continuations of a source, those among the first `beams` that end are results and the best
    `beams` others go on; a source is done when it has `beams` results. A beam of one is greedy decoding.

    Args:
        model: The model, in evaluation mode.
        source: int64 (B, S), padded.
        lengths: int64 (B,).
        limits: Most target tokens of each source, int64 (B,), at least 1.
        beams: Width of the beam.
        length_penalty: See `Hypothesis.score` (Wu et al. 2016, simplified).
        banned: Tokens that no target holds.

    Returns:
        Hypotheses of each source, best first, at least one.
    """
    batch, device = len(source), source.device
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    state = model.start(model.encode(source, lengths), beams)
    active = torch.arange(batch, device=device)
    last = torch.zeros(batch * beams, dtype=torch.int64, device=device)
    totals = torch.full((batch, beams), -torch.inf, device=device)
    totals[:, 0] = 0.0
    tokens = torch.zeros((batch, beams, 0), dtype=torch.int64, device=device)
    for length in range(1, int(limits.max()) + 1):
        hidden, new_state = model.decode(last[:, None], state)
        assert new_state is not None
        scores = torch.log_softmax(model.logits(hidden[:, -1]), -1)
        scores[:, list(banned)] = -torch.inf
        if length == 1:
            scores[:, 0] = -torch.inf  # nobody asks for an empty translation
        size = scores.shape[1]
        summed = (totals.view(-1, 1) + scores).view(len(active), beams * size)
        best, places = summed.topk(min(2 * beams, summed.shape[1]), dim=1)
        parents, chosen = places // size, places % size
        ended = (chosen == 0) & torch.isfinite(best)
        for row, rank in ended[:, :beams].nonzero().tolist():
            result = found[int(active[row])]
            if len(result) < beams:
                path = tokens[row, parents[row, rank]].tolist()
                result.append(_hypothesis(path, float(best[row, rank]), length, length_penalty, True))
        # The first `beams` continuations that do not end, in their order.
        rank_of = torch.where(chosen == 0, best.shape[1], 0) + torch.arange(best.shape[1], device=device)
        kept = rank_of.argsort(1)[:, :beams]
        totals = best.gather(1, kept).masked_fill(chosen.gather(1, kept) == 0, -torch.inf)
        parents, chosen = parents.gather(1, kept), chosen.gather(1, kept)
        tokens = torch.cat(
            (tokens.gather(1, parents[..., None].expand(-1, -1, length - 1)), chosen[..., None]), 2
        )
        for row in (limits[active] <= length).nonzero().flatten().tolist():
            result = found[int(active[row])]
            if not result:
                path, logprob = tokens[row, 0].tolist(), float(totals[row, 0])
                result.append(_hypothesis(path, logprob, length, length_penalty, False))
        going = (
            torch.tensor(
                [len(found[index]) < beams and int(limits[index]) > length for index in active.tolist()],
                device=device,
            )
            .nonzero()
            .flatten()
        )
        if not len(going):
            break
        rows = (going[:, None] * beams + parents[going]).flatten()
        state = new_state.select(rows)
        active, totals, tokens = active[going], totals[going], tokens[going]
        last = chosen[going].flatten()
    return [sorted(result, key=lambda h: -h.score) for result in found]


def _hypothesis(path: list[int], logprob: float, length: int, penalty: float, complete: bool) -> Hypothesis:
    return Hypothesis(tuple(path), logprob, logprob / length**penalty, complete)


def search_all(
    model: Seq2SeqModel,
    sources: Sequence[Ids],
    *,
    ratio: float,
    beams: int,
    length_penalty: float,
    banned: Sequence[int] = (),
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Searches for many sources, in batches of similar length.

    Args:
        model: The model; it is put into evaluation mode and back.
        sources: Token ids of each source, with its end.
        ratio: Target tokens per source token that are allowed, beside ten more.
        beams: Width of the beam.
        length_penalty: See `Hypothesis.score`.
        banned: Tokens that no target holds.

    Yields:
        Number of a source and its hypotheses, as batches are done: shortest sources first.
    """
    lengths = np.array([len(source) for source in sources], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    training = model.training
    model.eval()
    try:
        for run in cut_by_tokens(lengths, order, max(SEARCH_TOKENS // beams, 1)):
            ids, sizes = padded([sources[index] for index in run])
            limits = (sizes * ratio).ceil().long() + 10
            ids, sizes, limits = (part.to(model.device) for part in (ids, sizes, limits))
            results = beam_search(
                model, ids, sizes, limits, beams=beams, length_penalty=length_penalty, banned=banned
            )
            yield from zip(run.tolist(), results, strict=True)
    finally:
        model.train(training)
