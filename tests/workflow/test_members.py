import torch

from wenmo.config import ModelSettings, Recipe
from wenmo.models.ngram import NgramConfig, NgramModel
from wenmo.models.registry import build_config, build_model
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
