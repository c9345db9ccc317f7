"""Trainers of tiny models on text that counts upwards, for the tests of this room."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wenmo.config import ModelSettings
from wenmo.models.base import NeuralLanguageModel
from wenmo.models.registry import build_config, build_model, kind, neural_architectures
from wenmo.training.plan import TrainingPlan
from wenmo.training.trainer import Trainer
from wenmo.training.world import ALONE, World

VOCAB = 24
NEURAL = neural_architectures()


@dataclass
class FakeStream:
    ids: np.ndarray
    offsets: np.ndarray


def make_stream(documents: int, seed: int) -> FakeStream:
    """Documents that count upwards from a random token: easy to learn."""
    generator = np.random.default_rng(seed)
    ids: list[int] = []
    offsets = [0]
    for _ in range(documents):
        start = int(generator.integers(1, VOCAB))
        ids += [1 + (start + i) % (VOCAB - 1) for i in range(int(generator.integers(5, 30)))] + [0]
        offsets.append(len(ids))
    return FakeStream(np.array(ids, dtype=np.uint16), np.array(offsets, dtype=np.int64))


def make_plan(**changes: object) -> TrainingPlan:
    base = TrainingPlan(
        optimizer="muon", lr=3e-3, muon_lr=0.02, weight_decay=0.1, embedding_decay=0.5, context=16, rows=4,
        micro_rows=4, steps=20, evaluations=4, valid_tokens=200,
    )  # fmt: skip
    return base.model_copy(update=changes)


def make_trainer(
    directory: Path,
    architecture: str = "transformer",
    dropout: float = 0.1,
    layers: int = 2,
    world: World = ALONE,
    tied: bool = True,
    seed: int = 7,
    **changes: object,
) -> Trainer:
    torch.manual_seed(seed)
    attends = kind(architecture) == "transformer"
    config = build_config(
        architecture,
        vocab_size=VOCAB,
        settings=ModelSettings(
            layers=layers, width=16, heads=2 if attends else None, context=16, dropout=dropout, tied=tied
        ),
        parameters=None,
    )
    model = build_model(config)
    assert isinstance(model, NeuralLanguageModel)
    lengths = np.ones(VOCAB, dtype=np.int64)
    lengths[0] = 0
    return Trainer(
        model, make_stream(40, 0), make_stream(10, 1), make_plan(**changes),
        byte_lengths=lengths, eos_id=0, directory=directory, show_progress=False,
        world=world,
    )  # fmt: skip


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in trainer.model.parameters()]
