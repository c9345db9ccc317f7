"""Training of the student: the trainer of every neural model with a teacher's targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from wenmo.distillation.batches import TaughtBatch, TaughtBatches
from wenmo.distillation.objective import linear_soft_cross_entropy
from wenmo.distillation.targets import Targets
from wenmo.models.base import NeuralLanguageModel
from wenmo.tokenization.stream import spread
from wenmo.training.batches import Batch, Stream
from wenmo.training.held_out import HeldOut
from wenmo.training.loop import BatchTrainer
from wenmo.training.plan import TrainingPlan

STUDENT = "student"
"""Name of the student among members and folders."""


class StudentTrainer(BatchTrainer):
    """Trains a model on a token stream and on what a teacher says of it.

    It is judged, as every model is, by the true tokens of held-out text.

    Args:
        model: The student, on the device where it is to be trained.
        train: Training tokens.
        targets: What the teacher says of each of them.
        valid: Held-out tokens; `plan.valid_tokens` from all over them are scored.
        plan: The resolved numbers.
        hard: Share of the true token in the loss.
        byte_lengths: UTF-8 bytes of each token (V,), for bits per byte.
        eos_id: The end-of-text token.
        directory: See `BatchTrainer`.
        show_progress: See `BatchTrainer`.
        name: See `BatchTrainer`.
    """

    def __init__(
        self,
        model: NeuralLanguageModel,
        train: Stream,
        targets: Targets,
        valid: Stream,
        plan: TrainingPlan,
        *,
        hard: float,
        byte_lengths: npt.NDArray[np.int64],
        eos_id: int,
        directory: Path,
        show_progress: bool = True,
        name: str = "student",
    ) -> None:
        sample = np.asarray(train.ids[: 1 << 20], dtype=np.int64)
        super().__init__(
            model,
            TaughtBatches(train, targets, context=plan.context, rows=plan.rows, seed=plan.seed),
            HeldOut(spread(valid.ids, plan.valid_tokens), byte_lengths, eos_id=eos_id, context=plan.context),
            plan,
            bytes_per_token=float(byte_lengths[sample].mean()),
            directory=directory,
            show_progress=show_progress,
            name=name,
        )
        self._hard = hard

    def _objective(self, hidden: Tensor, part: Batch) -> Tensor:
        assert isinstance(part, TaughtBatch)
        return linear_soft_cross_entropy(
            hidden,
            self.model.output_weight,
            part.targets,
            part.top,
            part.probabilities,
            part.weights,
            self._hard,
        )
