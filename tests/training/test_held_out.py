import math

import numpy as np
import pytest
import torch

from wenmo.config import ModelSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model
from wenmo.training.held_out import HeldOut


def test_a_model_of_equal_chances_costs_the_logarithm_of_its_vocabulary() -> None:
    settings = ModelSettings(layers=1, width=16, heads=2, context=8, dropout=0.5)
    model = build_model(build_config("transformer", vocab_size=32, settings=settings, parameters=None))
    assert isinstance(model, NeuralLanguageModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    lengths = np.full(32, 3, dtype=np.int64)
    lengths[0] = 0
    ids = np.array([1, 5, 9, 0, 2, 0, 7, 7, 7, 7, 3, 0], dtype=np.uint16)
    held_out = HeldOut(ids, lengths, eos_id=0, context=8)
    model.train()
    loss = held_out.loss(model)
    assert loss == pytest.approx(math.log(32), rel=1e-6)
    assert model.training
    # 12 tokens of 5 bits each over 9 tokens of 3 bytes: the ends of documents are charged and have no bytes.
    assert held_out.bits_per_byte(loss) == pytest.approx(12 * 5 / 27, rel=1e-6)
