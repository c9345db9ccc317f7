import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wenmo.config import Recipe, TrainingSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import parse_config
from wenmo.training import budget as dial
from wenmo.training.hardware import Machine
from wenmo.training.plan import TrainingPlan
from wenmo.workflow import team
from wenmo.workflow.decision import build, decide, initial_model

IDS = np.arange(60_000) % 400
TEXTS = SimpleNamespace(
    train=SimpleNamespace(ids=IDS), valid=SimpleNamespace(ids=IDS[:3000]), bytes_per_token=3.0,
    tokenizer=SimpleNamespace(vocab_size=400),
)  # fmt: skip


@pytest.mark.parametrize("architecture", ["transformer", "mingru"])
@pytest.mark.parametrize(("epochs", "share"), [(2.0, 0.0), (4.0, math.log2(4 / 3)), (6.0, 1.0), (12.0, 1.0)])
def test_what_is_seen_often_makes_the_embedding_decay(
    monkeypatch: pytest.MonkeyPatch, architecture: str, epochs: float, share: float
) -> None:
    monkeypatch.setattr(team, "speed", lambda *_, **__: 5_000.0)
    recipe = Recipe(training=TrainingSettings(epochs=epochs, workers=1, optimizer="muon"), size="300k")
    plan = decide(architecture, recipe, TEXTS, Machine("cpu", 3e10, 0.1), math.inf, 0).plan
    assert plan.weight_decay >= 0.1
    # A step takes lr * decay of a weight: of the matrices, and of the embedding.
    assert plan.lr * plan.embedding_decay == pytest.approx(share * plan.muon_lr * plan.weight_decay)


def test_decay_and_dropout_follow_the_passes_that_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        team, "speed", lambda _, plan, **__: 12_000.0 if plan.softmax == "sampled" else 4_000.0
    )
    texts = SimpleNamespace(**{**vars(TEXTS), "tokenizer": SimpleNamespace(vocab_size=3_000)})
    found = {}
    for softmax in ("full", "auto"):
        recipe = Recipe(training=TrainingSettings(softmax=softmax, workers=1), size="300k")
        shape = found[softmax] = decide("mingru", recipe, texts, Machine("cpu", 3e10, 0.1), 600.0, 0)
        dropout, decay = dial.regularisation(shape.epochs, "mingru")
        assert (shape.config["dropout"], shape.plan.weight_decay) == (dropout, decay)
    assert found["auto"].epochs == pytest.approx(3 * found["full"].epochs)
    assert found["auto"].config["dropout"] > found["full"].config["dropout"] > 0.0
    assert found["auto"].config["width"] == found["full"].config["width"]


def test_tokens_that_cost_little_leave_the_network_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("cpu", 1e11, 0.1)

    def speed(model: NeuralLanguageModel, plan: TrainingPlan, **_: object) -> float:
        network = model.num_parameters() - model.output_weight.numel()
        compared = 0.3 if plan.softmax == "sampled" else 1.0
        return 5e10 / 6 / (network + compared * model.output_weight.numel())

    monkeypatch.setattr(team, "speed", speed)
    network = {}
    for vocab_size, softmax in product((4_096, 8_192), ("auto", "sampled", "full")):
        texts = SimpleNamespace(**{**vars(TEXTS), "tokenizer": SimpleNamespace(vocab_size=vocab_size)})
        recipe = Recipe(training=TrainingSettings(softmax=softmax, workers=1))
        config = decide("mingru", recipe, texts, machine, 300.0, 0).config
        network[vocab_size, softmax] = config["layers"] * config["width"] ** 2
    assert network[8_192, "auto"] == pytest.approx(network[4_096, "auto"], rel=0.3)
    assert network[8_192, "sampled"] == network[8_192, "auto"]
    assert network[4_096, "auto"] == network[4_096, "full"]
    assert network[8_192, "full"] < 0.7 * network[8_192, "auto"]


def test_the_embedding_begins_with_the_text_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "speed", lambda *_, **__: 5_000.0)
    found = {}
    for kind in ("text", "random"):
        training = TrainingSettings(embedding_init=kind, workers=1)
        shape = decide("mingru", Recipe(training=training), TEXTS, Machine("cpu", 3e10, 0.1), 60.0, 7)
        assert shape.plan.embedding_tokens == (len(IDS) if kind == "text" else 0)
        config = parse_config(shape.config)
        found[kind] = initial_model(config, shape.plan, IDS)
        again = initial_model(config, shape.plan, IDS)
        assert torch.equal(again.embedding.weight, found[kind].embedding.weight)
        plain = build(config, 7)
        same = torch.equal(plain.embedding.weight, again.embedding.weight)
        assert same == (kind == "random")
        rest = zip(list(plain.parameters())[1:], list(again.parameters())[1:], strict=True)
        assert all(torch.equal(a, b) for a, b in rest)
