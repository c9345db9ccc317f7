from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wenmo.config import ModelSettings, Recipe
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config, build_model
from wenmo.workflow import members
from wenmo.workflow.clock import Clock
from wenmo.workflow.members import alike


def test_neural_members_of_a_mixture_have_one_context_length():
    torch.manual_seed(0)
    settings = ModelSettings(layers=1, width=16, context=24)
    trained = build_model(build_config("lstm", vocab_size=40, settings=settings))
    ngram = NgramModel(NgramConfig(vocab_size=40, context_length=16))
    assert alike(Recipe(), [ngram]).model.context is None
    assert alike(Recipe(), [ngram, trained]).model.context == 24
    fixed = Recipe(model=ModelSettings(context=64))
    assert alike(fixed, [trained]) is fixed


@pytest.mark.parametrize("compiles", [True, False])
def test_compiling_is_told_and_does_not_count_as_counting(monkeypatch, compiles):
    ids, token_bytes = np.arange(400) % 7, [bytes([97 + token]) for token in range(7)]
    texts = SimpleNamespace(
        train=SimpleNamespace(ids=ids, num_bytes=400, num_documents=1),
        tokenizer=SimpleNamespace(vocab_size=7, token_bytes=token_bytes),
    )
    counted = iter([3, 3 + compiles])
    monkeypatch.setattr(members, "compilations", lambda: next(counted))
    told = []
    member = members.train_ngram(texts, Clock(None, 0.0), 0, told.append, False)
    assert [("compiled" in line, "wenmo doctor" in line) for line in told] == [(True, True)] * compiles
    assert member.model.tokens_seen == len(ids)
