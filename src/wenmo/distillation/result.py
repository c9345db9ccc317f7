"""What distillation returns."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from wenmo.workflow.result import TrainResult


class TeacherFacts(BaseModel):
    """The model that was put into the student, scored on the same bytes."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    models: list[str]
    """Folders of the models; several are mixed."""
    parameters: int
    """Parameters of all of them."""
    static_bits_per_byte: float
    """Score, frozen."""
    bits_per_byte: float
    """The same when an n-gram model among them goes on learning; equal where none does."""
    weights: dict[str, float]
    """Mean weight of each member in what the student was taught."""
    hard: float
    """Share of the true next token in the loss."""
    taught: float
    """Share of the training text for which the teacher was asked."""


class DistilResult(TrainResult):
    """The outcome of `wenmo distil`: what `wenmo train` tells of the student, and the teacher beside it."""

    teacher: TeacherFacts
    """The model that was distilled."""
