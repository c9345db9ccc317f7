"""From scored spans to answers: the loss, the best spans, and the probabilities of where an answer starts and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wenmo.answering.network import MASKED, Spans


def span_loss(spans: Spans, gold: Sequence[Sequence[tuple[int, int]]]) -> Tensor:
    """Mean over the batch of -log of the probability of all accepted spans together, or of "no answer".

    Args:
        spans: Scores of B rows.
        gold: Accepted spans of each row (first and last unit); an empty list is "no answer".
    """
    total = spans.log_total()
    losses = []
    for row, accepted in enumerate(gold):
        if accepted:
            first = torch.tensor([a for a, _ in accepted])
            width = torch.tensor([b - a for a, b in accepted])
            wanted = spans.scores[row, first, width].logsumexp(0)
        else:
            wanted = spans.nothing[row]
        losses.append(total[row] - wanted)
    return torch.stack(losses).mean()


@dataclass(frozen=True)
class Span:
    """A span of a passage as an answer.

    Attributes:
        first: First unit.
        last: Last unit.
        score: Unnormalised log-probability; comparable between passages after `nothing` is taken off.
        probability: Among all spans of the passage and "no answer".
        start_probability: That an answer starts at `first`.
        end_probability: That an answer ends at `last`.
    """

    first: int
    last: int
    score: float
    probability: float
    start_probability: float
    end_probability: float


@dataclass(frozen=True)
class Reading:
    """What was read in one passage.

    Attributes:
        spans: The best spans that do not overlap, best first.
        nothing: Probability that the passage holds no answer.
        nothing_score: The same, unnormalised.
    """

    spans: tuple[Span, ...]
    nothing: float
    nothing_score: float


@torch.no_grad()
def best_spans(spans: Spans, count: int) -> list[Reading]:
    """Takes the best spans of every row that do not overlap.

    Args:
        spans: Scores of B rows.
        count: Most spans for each row.
    """
    rows, length, width = spans.scores.shape
    total = spans.log_total()
    chance = (spans.scores - total[:, None, None]).exp()
    starts = chance.sum(2)
    places = torch.arange(length)[:, None] + torch.arange(width)
    ends = torch.zeros(rows, length + width).index_add_(1, places.flatten(), chance.flatten(1))
    scores, order = spans.scores.flatten(1).topk(min(length * width, 20 * count), 1)
    nothing = (spans.nothing - total).exp().tolist()
    readings = []
    for row in range(rows):
        taken: list[Span] = []
        for score, place in zip(scores[row].tolist(), order[row].tolist(), strict=True):
            first, last = place // width, place // width + place % width
            if score <= MASKED / 2 or len(taken) >= count:
                break
            if all(last < other.first or first > other.last for other in taken):
                taken.append(
                    Span(
                        first,
                        last,
                        score,
                        float(chance[row, first, last - first]),
                        float(starts[row, first]),
                        float(ends[row, last]),
                    )
                )
        readings.append(Reading(tuple(taken), nothing[row], float(spans.nothing[row])))
    return readings
