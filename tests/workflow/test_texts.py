from types import SimpleNamespace

import numpy as np
import pytest

from wenmo.config import Recipe, TrainingSettings
from wenmo.workflow import texts


@pytest.mark.parametrize(
    ("budget", "training", "expected"),
    [
        ("5m", {}, True),
        ("4m", {}, False),
        ("5m", {"softmax": "sampled"}, True),
        ("5m", {"softmax": "full"}, False),
        ("5m", {"label_smoothing": 0.1}, False),
        ("5m", {"steps": 10}, False),
        (None, {"epochs": 2.0}, False),
    ],
    ids=str,
)
def test_more_tokens_take_time_and_a_sampled_softmax(budget, training, expected):
    recipe = Recipe(budget=budget, training=TrainingSettings(device="cpu", **training))
    assert texts.ample(recipe) is expected


def test_several_processes_train_the_whole_softmax(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not texts.ample(Recipe(budget="1h", training=TrainingSettings(device="cpu")))


@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_bytes_of_many_tokens_are_joined_in_parts(monkeypatch, count):
    monkeypatch.setattr(texts, "JOINED_TOKENS", 3)
    tokenizer = SimpleNamespace(token_bytes=[b"", "猫".encode(), b"cat "])
    ids = np.array([1, 2, 0, 2, 2, 1, 0], np.uint16)[:count]
    joined = "猫cat \0cat cat 猫\0".encode()
    expected = b"".join([b"\0" if token == 0 else tokenizer.token_bytes[token] for token in ids])
    found = texts.Texts(None, tokenizer, None, None, None).bytes_of(ids)
    assert found == expected and joined.startswith(found)
