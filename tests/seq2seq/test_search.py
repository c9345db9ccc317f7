"""Beam search, against all targets that there are."""

import itertools

import pytest
import torch

from wenmo.seq2seq.registry import build_model, parse_config
from wenmo.seq2seq.search import beam_search

SIZE = 4


@pytest.fixture
def model():
    torch.manual_seed(3)
    data = {"architecture": "gru", "vocab_size": SIZE, "layers": 1, "embedding_size": 8, "hidden_size": 8}
    built = build_model(parse_config(data)).eval()
    with torch.no_grad():
        built.embedding.weight.mul_(20)
    return built


def logprob(model, source, path):
    """Log-probability of a target with its end; the first token is never the end."""
    with torch.no_grad():
        memory = model.encode(torch.tensor([source]), torch.tensor([len(source)]))
        hidden, _ = model.decode(torch.tensor([[0, *path]]), model.start(memory))
        scores = torch.log_softmax(model.logits(hidden)[0], -1)
    return sum(float(scores[t, token]) for t, token in enumerate([*path, 0]))


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("source", [[1, 2, 0], [3, 0], [2, 1, 3, 3, 0]])
def test_a_wide_beam_finds_the_best_of_all(model, source, penalty):
    limit = 4
    paths = [p for n in range(1, limit) for p in itertools.product(range(1, SIZE), repeat=n)]
    scores = {path: logprob(model, source, path) / (len(path) + 1) ** penalty for path in paths}
    expected = max(scores, key=scores.get)
    ids, lengths = torch.tensor([source]), torch.tensor([len(source)])
    (found,) = beam_search(model, ids, lengths, torch.tensor([limit]), beams=200, length_penalty=penalty)
    complete = [h for h in found if h.complete]
    assert complete[0].tokens == expected
    assert complete[0].score == pytest.approx(scores[expected], abs=1e-4)
    assert complete[0].logprob == pytest.approx(logprob(model, source, expected), abs=1e-4)


def test_sources_do_not_disturb_each_other_and_limits_hold(model):
    rows = [[1, 2, 0], [3, 0], [2, 1, 3, 3, 0]]
    ids = torch.tensor([row + [1] * (5 - len(row)) for row in rows])
    lengths, limits = torch.tensor([len(r) for r in rows]), torch.tensor([6, 1, 9])
    together = beam_search(model, ids, lengths, limits, beams=3, length_penalty=1.0)
    for number, row in enumerate(rows):
        size = lengths[number : number + 1]
        (alone,) = beam_search(
            model, torch.tensor([row]), size, limits[number : number + 1], beams=3, length_penalty=1.0
        )
        assert alone[0].tokens == together[number][0].tokens
        assert alone[0].score == pytest.approx(together[number][0].score, abs=1e-5)
        assert all(0 < len(h.tokens) <= int(limits[number]) for h in together[number])
        scores = [h.score for h in together[number]]
        assert scores == sorted(scores, reverse=True) and len(scores) <= 3


def test_banned_tokens_do_not_appear(model):
    ids, lengths = torch.tensor([[1, 2, 0]]), torch.tensor([3])
    (found,) = beam_search(model, ids, lengths, torch.tensor([8]), beams=4, length_penalty=1.0, banned=[1, 3])
    assert all(set(h.tokens) <= {2} for h in found)
