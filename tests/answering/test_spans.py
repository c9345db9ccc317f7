import itertools
import math

import pytest
import torch

from wenmo.answering.features import NAMES
from wenmo.answering.network import MASKED, Batch, ReaderConfig, ReaderNetwork, Spans
from wenmo.answering.spans import best_spans, span_loss
from wenmo.answering.vocabulary import ENDING_BUCKETS, WORD_BUCKETS

CONFIG = ReaderConfig(vocab_size=50, unit_size=8, word_size=4, ending_size=4, hidden=8, max_span=5)


def random_spans(length=6, width=3, rows=2):
    torch.manual_seed(0)
    scores = torch.randn(rows, length, width)
    for i, w in itertools.product(range(length), range(width)):
        if i + w >= length:
            scores[:, i, w] = MASKED
    return Spans(scores, torch.randn(rows))


def batch(lengths=(9, 6), questions=(4, 3), length=None, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(sizes, longest):
        ids = torch.stack(
            [
                torch.randint(1, top, (len(sizes), longest), generator=generator)
                for top in (50, WORD_BUCKETS, ENDING_BUCKETS)
            ],
            2,
        )
        features = torch.rand(len(sizes), longest, len(NAMES), generator=generator)
        valid = torch.arange(longest) < torch.tensor(sizes)[:, None]
        return ids * valid[:, :, None], features * valid[:, :, None]

    p, pf = draw(lengths, length or max(lengths))
    q, qf = draw(questions, max(questions))
    return Batch(p, pf, torch.tensor(lengths), q, qf, torch.tensor(questions))


def test_the_loss_is_the_probability_of_all_accepted_spans():
    spans = random_spans()
    gold = [[(1, 2), (4, 4)], []]
    every = [spans.scores[0, i, w].item() for i in range(6) for w in range(3)] + [spans.nothing[0].item()]
    total = math.log(sum(map(math.exp, every)))
    wanted = math.log(math.exp(spans.scores[0, 1, 1]) + math.exp(spans.scores[0, 4, 0]))
    first = total - wanted
    second = float(spans.log_total()[1] - spans.nothing[1])
    assert float(span_loss(spans, gold)) == pytest.approx((first + second) / 2, rel=1e-5)


def test_probabilities_and_best_spans_are_those_of_brute_force():
    spans = random_spans()
    for row, reading in enumerate(best_spans(spans, 3)):
        chance = {
            (i, i + w): math.exp(spans.scores[row, i, w] - spans.log_total()[row])
            for i in range(6)
            for w in range(3)
            if i + w < 6
        }
        assert sum(chance.values()) + reading.nothing == pytest.approx(1, abs=1e-5)
        taken = []
        for first, last in sorted(chance, key=chance.get, reverse=True):
            if len(taken) < 3 and all(last < a or first > b for a, b in taken):
                taken.append((first, last))
        assert [(span.first, span.last) for span in reading.spans] == taken
        for span in reading.spans:
            assert span.probability == pytest.approx(chance[span.first, span.last], rel=1e-4)
            starts = sum(value for (first, _), value in chance.items() if first == span.first)
            ends = sum(value for (_, last), value in chance.items() if last == span.last)
            assert span.start_probability == pytest.approx(starts, rel=1e-4)
            assert span.end_probability == pytest.approx(ends, rel=1e-4)


def test_padding_changes_nothing():
    torch.manual_seed(1)
    network = ReaderNetwork(CONFIG).eval()
    whole = batch()
    alone = Batch(
        whole.passage[1:, :6],
        whole.passage_features[1:, :6],
        whole.passage_lengths[1:],
        whole.question[1:, :3],
        whole.question_features[1:, :3],
        whole.question_lengths[1:],
    )
    with torch.no_grad():
        together, single = network(whole), network(alone)
    assert torch.allclose(together.nothing[1:], single.nothing, atol=1e-5)
    width = single.scores.shape[2]
    real = single.scores > MASKED / 2
    assert torch.allclose(together.scores[1:, :6, :width][real], single.scores[real], atol=1e-5)
    assert (together.scores[1, 6:] < MASKED / 2).all()
    assert torch.allclose(together.log_total()[1:], single.log_total(), atol=1e-4)


def test_no_span_leaves_the_passage():
    network = ReaderNetwork(CONFIG).eval()
    with torch.no_grad():
        scores = network(batch((9, 6))).scores
    for row, length in enumerate((9, 6)):
        for first, width in itertools.product(range(9), range(5)):
            assert (scores[row, first, width] > MASKED / 2) == (first + width < length)


def test_every_parameter_gets_a_gradient_and_a_step_lowers_the_loss():
    torch.manual_seed(0)
    network = ReaderNetwork(CONFIG.model_copy(update={"dropout": 0.0}))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    gold = [[(2, 3)], []]
    losses = []
    for _ in range(5):
        loss = span_loss(network(batch()), gold)
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
