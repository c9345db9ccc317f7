"""What is seen while a model trains: where its loss will end, and whether the target is reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wenmo.config import TrainingSettings
from wenmo.models.base import LanguageModel
from wenmo.models.likelihood import score_stream
from wenmo.training.curve import EARLIEST, SURE, Ending, predict_ending
from wenmo.training.held_out import HeldOut
from wenmo.training.outcome import CurveRow
from wenmo.training.plan import TrainingPlan
from wenmo.workflow.target import Target, whole_score
from wenmo.workflow.texts import Texts

TELLING = (EARLIEST, SURE)
"""Shares of a training at which its end is predicted: as early as can be, and once more when it is surer."""


@dataclass
class Watch:
    """Watches one training.

    Attributes:
        name: The member.
        plan: Its plan.
        tell: Told what is seen.
        target: Bits per byte of the whole model on held-out text at which training ends; None without a target.
        companions: Nats of the other members on the tokens that are scored at each evaluation.
        num_bytes: UTF-8 bytes of these tokens.
        held_out: What the trainer scores, once it is there.
        ending: The last prediction that was told.
        whole: Score of the whole model at the last evaluation, with a target.
    """

    name: str
    plan: TrainingPlan
    tell: Callable[[str], None]
    target: float | None = None
    companions: list[npt.NDArray[np.float64]] = field(default_factory=list)
    num_bytes: int = 0
    held_out: HeldOut | None = None
    ending: Ending | None = None
    whole: float | None = None
    _shares: list[float] = field(default_factory=list)
    _losses: list[float] = field(default_factory=list)

    def __call__(self, row: CurveRow, share: float) -> bool:
        """Takes note of an evaluation; returns whether training has reached its target."""
        self._note(row, share)
        if self.target is None or self.held_out is None or self.held_out.nats is None:
            return False
        self.whole = whole_score([self.held_out.nats, *self.companions], self.num_bytes)
        return self.whole <= self.target

    def aim(self, target: Target, texts: Texts, others: list[LanguageModel], held_out: HeldOut) -> None:
        """Sets the target.

        Args:
            target: What was asked for.
            texts: The texts.
            others: Members that make up the whole model with the one that is trained.
            held_out: What its trainer scores.
        """
        self.held_out, self.num_bytes = held_out, held_out.num_bytes
        self.target = target.bits_per_byte(len(held_out.ids), held_out.num_bytes)
        eos_id = texts.tokenizer.eos_id
        self.companions = [
            score_stream(other, held_out.ids, eos_id=eos_id, adaptive=True) for other in others
        ]

    def resume(self, curve: Sequence[CurveRow]) -> None:
        """Takes note of the evaluations before an interruption."""
        for row in curve:
            done = (
                row.step / self.plan.steps
                if self.plan.steps
                else row.seconds / (self.plan.seconds or row.seconds)
            )
            self._note(row, min(done, 1.0))

    def _note(self, row: CurveRow, share: float) -> None:
        self._shares.append(share)
        self._losses.append(row.valid_bpb)
        waiting = [place for place in TELLING if self.ending is None or self.ending.share < place]
        if not waiting or share < waiting[0] or not usual_schedule(self.plan):
            return
        found = predict_ending(self._shares, self._losses)
        if found is None:
            return
        again = "now " if self.ending else ""
        self.ending = found
        self.tell(
            f"{self.name}: after {share:.0%} of the training its held-out loss is {row.valid_bpb:.3f} bits per "
            f"byte and is {again}predicted to end at {found.loss:.3f} ({found.low:.3f} to {found.high:.3f})"
        )


def usual_schedule(plan: TrainingPlan) -> bool:
    """Whether the plan has the schedule that the law of the curve was fitted for."""
    usual = TrainingSettings()
    return (plan.schedule, plan.warmup, plan.decay) == (usual.schedule, usual.warmup, usual.decay)
