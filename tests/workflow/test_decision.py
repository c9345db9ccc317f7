import math
from types import SimpleNamespace

import numpy as np
import pytest

from wenmo.config import Recipe, TrainingSettings
from wenmo.training import budget as dial
from wenmo.training.hardware import Machine
from wenmo.workflow import team
from wenmo.workflow.decision import decide

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
