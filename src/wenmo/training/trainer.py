"""A training on token streams: packed batches of one, judged by the loss on another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.models.base import NeuralLanguageModel
from wenmo.tokenization.stream import spread
from wenmo.training.batches import Batch, PackedBatches, Stream
from wenmo.training.held_out import HeldOut
from wenmo.training.loop import BatchTrainer
from wenmo.training.outcome import CurveRow
from wenmo.training.plan import TrainingPlan
from wenmo.training.sampled_softmax import frequent_tokens, sampled_cross_entropy
from wenmo.training.world import ALONE, World


class Trainer(BatchTrainer):
    """Trains a model on a token stream.

    Args:
        model: The model, on the device where it is to be trained.
        train: Training tokens.
        valid: Held-out tokens; `plan.valid_tokens` from all over them are scored.
        plan: The resolved numbers.
        byte_lengths: UTF-8 bytes of each token (V,), for bits per byte.
        eos_id: The end-of-text token.
        directory: See `BatchTrainer`.
        show_progress: See `BatchTrainer`.
        name: See `BatchTrainer`.
        world: See `BatchTrainer`.
        device: See `BatchTrainer`.
        watch: See `BatchTrainer`.

    Attributes:
        held_out: What it is judged by.
    """

    def __init__(
        self,
        model: NeuralLanguageModel,
        train: Stream,
        valid: Stream,
        plan: TrainingPlan,
        *,
        byte_lengths: npt.NDArray[np.int64],
        eos_id: int,
        directory: Path,
        show_progress: bool = True,
        name: str = "training",
        world: World = ALONE,
        device: torch.device | None = None,
        watch: Callable[[CurveRow, float], bool] | None = None,
    ) -> None:
        sample = np.asarray(train.ids[: 1 << 20], dtype=np.int64)
        self.held_out = HeldOut(
            spread(valid.ids, plan.valid_tokens), byte_lengths, eos_id=eos_id, context=plan.context
        )
        # A training that goes on with a GPU has no use for it any more.
        sampled = plan.softmax == "sampled" and (device or model.device).type == "cpu"
        self._frequent = frequent_tokens(sample, model.vocab_size) if sampled else None
        super().__init__(
            model,
            PackedBatches(
                train.ids,
                train.offsets,
                context=plan.context,
                rows=plan.rows,
                seed=plan.seed,
                rank=world.rank,
                size=world.size,
            ),
            self.held_out,
            plan,
            bytes_per_token=float(byte_lengths[sample].mean()),
            directory=directory,
            show_progress=show_progress,
            name=name,
            world=world,
            device=device,
            watch=watch,
        )

    def _objective(self, hidden: Tensor, part: Batch) -> Tensor:
        """See `BatchTrainer`."""
        if self._frequent is None:
            return super()._objective(hidden, part)
        weight = self.model.output_weight
        return sampled_cross_entropy(hidden, weight, part.targets, self._frequent, part.weights)
