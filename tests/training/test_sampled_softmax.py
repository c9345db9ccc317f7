from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_trainers import make_trainer, weights

from wenmo.config import Recipe, TrainingSettings
from wenmo.models.dropout import dropout_from
from wenmo.training import sampled_softmax
from wenmo.training.budget import sampling_may_pay
from wenmo.training.hardware import Machine
from wenmo.training.objective import linear_cross_entropy
from wenmo.training.plan import TrainingPlan
from wenmo.training.sampled_softmax import frequent_tokens, sampled_cross_entropy
from wenmo.workflow import team
from wenmo.workflow.decision import decide

VOCAB, WIDTH = 200, 8
IDS = np.arange(60_000) % 4000
TEXTS = SimpleNamespace(
    train=SimpleNamespace(ids=IDS), valid=SimpleNamespace(ids=IDS[:3000]), bytes_per_token=3.0,
    tokenizer=SimpleNamespace(vocab_size=4000),
)  # fmt: skip


@pytest.fixture
def layer() -> tuple[torch.Tensor, torch.Tensor]:
    hidden = torch.randn(30, WIDTH, requires_grad=True)
    weight = torch.randn(VOCAB, WIDTH, requires_grad=True)
    return hidden, weight


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples from vocabularies that are small enough for a test."""
    monkeypatch.setattr(sampled_softmax, "FREQUENT", 4)
    monkeypatch.setattr(sampled_softmax, "MULTIPLE", 8)


def test_the_commonest_tokens_are_frequent(few: None) -> None:
    ids = np.array([7, 7, 7, 3, 3, 9, 9, 9, 9, 1], np.uint16)
    assert frequent_tokens(ids, 12).nonzero()[:, 0].tolist() == [1, 3, 7, 9]
    assert frequent_tokens(ids[:0], 3).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_whole_softmax_where_every_token_is_frequent(layer, weighted: bool) -> None:
    hidden, weight = layer
    targets = torch.randint(VOCAB, (5, 6))
    counted = (torch.rand(5, 6) < 0.7).float() if weighted else None
    rows = hidden.view(5, 6, WIDTH)
    everything = torch.ones(VOCAB, dtype=torch.bool)
    whole = linear_cross_entropy(rows, weight, targets, counted)
    expected = torch.autograd.grad(whole, (hidden, weight))
    sampled = sampled_cross_entropy(rows, weight, targets, everything, counted)
    found = torch.autograd.grad(sampled, (hidden, weight))
    torch.testing.assert_close(sampled, whole)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_sum_under_the_softmax_and_the_gradient_are_right_on_average(few: None, layer) -> None:
    hidden, weight = layer
    hidden = hidden[:3] / 4
    targets = torch.tensor([5, 17, 17])
    frequent = frequent_tokens(np.arange(9).repeat(3), VOCAB)
    whole = [linear_cross_entropy(h[None], weight, t[None]) for h, t in zip(hidden, targets, strict=True)]
    draws = 3000
    ratios = np.empty((draws, 3))
    mean = torch.zeros_like(weight)
    for draw in range(draws):
        for row in range(3):
            nats = sampled_cross_entropy(hidden[row][None], weight, targets[row][None], frequent)
            ratios[draw, row] = torch.exp(nats - whole[row]).item()  # of the sums under the softmax
            if draw < 600:
                mean += torch.autograd.grad(nats, weight, retain_graph=True)[0] / 600
    error = ratios.std(0) / draws**0.5
    assert (np.abs(ratios.mean(0) - 1.0) < 4.0 * error).all() and (ratios.std(0) > 0.05).all()
    expected = torch.autograd.grad(sum(whole), weight)[0]
    assert torch.nn.functional.cosine_similarity(mean.flatten(), expected.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("rows", [1, 7, 100, 3000])
def test_rows_are_compared_with_few_different_numbers_of_tokens(rows: int) -> None:
    vocab, sizes = 4096, set()
    frequent = frequent_tokens(np.arange(vocab), vocab)
    for _ in range(5):
        loss = sampled_softmax._SampledCrossEntropy(
            torch.randint(vocab, (rows, 1)), torch.ones(rows), frequent
        )
        columns = loss.columns(slice(0, rows))
        sizes.add(len(columns.ids))
        assert len(columns.ids.unique()) == len(columns.ids)
        assert set(loss.tokens(slice(0, rows)).flatten().tolist()) < set(range(len(columns.ids)))
        certain = columns.offsets == 0.0
        assert int(certain.sum()) >= sampled_softmax.FREQUENT
        # The drawn stand for themselves and for those left out: the columns stand for the whole vocabulary.
        assert torch.exp(columns.offsets).sum().item() == pytest.approx(vocab, rel=1e-4)
        share = torch.exp(-columns.offsets[~certain])
        assert share.min() >= sampled_softmax.RATE - 1e-6
    assert all(size % sampled_softmax.MULTIPLE == 0 for size in sizes) and len(sizes) <= 2


def test_nothing_is_drawn_from_where_every_token_is_wanted(few: None, layer) -> None:
    hidden, weight = layer
    targets = torch.arange(30) % 12
    everything = torch.ones(VOCAB, dtype=torch.bool)
    everything[:3] = False
    found = sampled_cross_entropy(hidden, weight, targets, everything)
    torch.testing.assert_close(found, linear_cross_entropy(hidden, weight, targets))


def test_the_draw_is_the_generators_of_the_thread(few: None, layer) -> None:
    hidden, weight = layer
    targets = torch.randint(VOCAB, (30,))
    frequent = frequent_tokens(targets.numpy(), VOCAB)

    def loss(seed: int) -> float:
        with dropout_from(torch.Generator().manual_seed(seed)):
            return sampled_cross_entropy(hidden, weight, targets, frequent).item()

    assert loss(1) == loss(1) != loss(2)


@pytest.mark.parametrize("workers", [1, 2])
def test_training_is_bitwise_repeatable_and_resumes(few: None, workers: int, tmp_path: Path) -> None:
    options = {"softmax": "sampled", "workers": workers, "steps": 12}
    first, second = (make_trainer(tmp_path / name, **options) for name in "ab")
    first.run()
    for step in range(5):
        second._step(0.5 + step / 24)
    again = make_trainer(tmp_path / "c", **options)
    again.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(again), strict=True))
    second.save()
    torch.manual_seed(99)
    rest = make_trainer(tmp_path / "b", **options)
    rest.resume()
    state = torch.get_rng_state()
    for trainer in (second, rest):
        torch.set_rng_state(state)
        for _ in range(3):
            trainer._step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(weights(second), weights(rest), strict=True))


def test_a_model_learns_what_the_whole_softmax_teaches(few: None, tmp_path: Path) -> None:
    options = {"steps": 150, "dropout": 0.0}
    whole = make_trainer(tmp_path / "whole", **options).run().curve
    sampled = make_trainer(tmp_path / "sampled", softmax="sampled", **options).run().curve
    assert whole[-1].valid_loss < 0.6 * whole[0].valid_loss
    assert sampled[-1].valid_loss == pytest.approx(whole[-1].valid_loss, rel=0.05)


def test_it_is_tried_for_large_vocabularies_in_one_process_on_a_cpu() -> None:
    auto, cpu, gpu = TrainingSettings(), Machine("cpu", 1e10, 1.0), Machine("cuda", 1e12, 2.0)
    assert sampling_may_pay(auto, 4096, cpu)
    assert not sampling_may_pay(auto, 300, cpu)
    assert not sampling_may_pay(auto, 4096, gpu)
    assert not sampling_may_pay(auto, 4096, Machine("cpu", 1e10, 1.0, processes=2))
    assert not sampling_may_pay(TrainingSettings(label_smoothing=0.1), 4096, cpu)
    assert not sampling_may_pay(TrainingSettings(softmax="full"), 4096, cpu)
    assert not sampling_may_pay(TrainingSettings(softmax="sampled"), 4096, cpu)  # it is done


@pytest.mark.parametrize(("asked", "factor", "chosen"), [
    ("auto", 1.3, "sampled"), ("auto", 1.1, "full"), ("full", 1.5, "full"), ("sampled", 0.5, "sampled"),
])  # fmt: skip
def test_it_is_chosen_where_steps_become_much_faster(
    monkeypatch: pytest.MonkeyPatch, asked: str, factor: float, chosen: str
) -> None:
    def speed(model: object, plan: TrainingPlan, device: str, text: object) -> float:
        return 5_000.0 * (factor if plan.softmax == "sampled" else 1.0)

    monkeypatch.setattr(team, "speed", speed)
    recipe = Recipe(training=TrainingSettings(softmax=asked, workers=1), size="500k")
    shape = decide("transformer", recipe, TEXTS, Machine("cpu", 3e10, 0.1), 300.0, 0)
    assert shape.plan.softmax == chosen
    assert shape.tokens_per_second == 5_000.0 * (factor if chosen == "sampled" else 1.0)
