"""The training loop of encoder-decoder models, on CPU and CUDA."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from wenmo.errors import TrainingError
from wenmo.files import write_text
from wenmo.interrupts import deferred_interrupt
from wenmo.progress import track
from wenmo.seq2seq.base import Seq2SeqModel
from wenmo.seq2seq.batches import PairBatch, PairBatches, TokenPairs
from wenmo.seq2seq.objective import consistency, held_out_loss, pair_loss
from wenmo.seq2seq.plan import PairPlan
from wenmo.training.checkpoint import (
    load_checkpoint,
    optimizer_tensors,
    restore_optimizers,
    save_checkpoint,
)
from wenmo.training.optimisation import WeightAverage, build_optimizers, lr_factor, set_lr

CHECKPOINT = "checkpoint.safetensors"
Stopped = Literal["budget", "steps", "early", "interrupted"]


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation.

    Attributes:
        step: Optimiser steps so far.
        seconds: Training time so far, evaluations included.
        epochs: Passes over the training pairs so far.
        train_loss: Mean loss since the evaluation before, nats per token, smoothed labels included.
        valid_loss: Nats per token of the development targets.
        score: What decides which weights are kept, higher is better.
    """

    step: int
    seconds: float
    epochs: float
    train_loss: float
    valid_loss: float
    score: float


@dataclass
class _Counters:
    step: int = 0
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    evaluated: int = 0
    bad: int = 0
    best: float = -math.inf
    loss_sum: float = 0.0
    loss_count: int = 0
    curve: list[CurvePoint] = field(default_factory=list)


@dataclass(frozen=True)
class PairOutcome:
    """How a training run went.

    Attributes:
        stopped: Why it ended.
        steps: Optimiser steps.
        seconds: Training time.
        epochs: Passes over the training pairs.
        best: Score of the weights that were kept.
        curve: All evaluations.
    """

    stopped: Stopped
    steps: int
    seconds: float
    epochs: float
    best: float
    curve: list[CurvePoint]


class PairTrainer:
    """Trains a model on pairs and leaves the averaged weights with the best score in it.

    Args:
        model: The model, on the device where it is to be trained.
        train: Training pairs.
        valid: Development pairs.
        plan: The resolved numbers.
        score: Scores the model in evaluation mode, higher is better; None scores by the development loss.
        directory: Where the checkpoint and `metrics.jsonl` are written; None writes nothing.
        progress: Whether a progress line is shown.
        name: Name of the model in the progress line.
    """

    def __init__(
        self,
        model: Seq2SeqModel,
        train: TokenPairs,
        valid: TokenPairs,
        plan: PairPlan,
        *,
        score: Callable[[Seq2SeqModel], float] | None = None,
        directory: Path | None = None,
        progress: bool = True,
        name: str = "training",
    ) -> None:
        self.model, self.plan, self.name = model, plan, name
        self._valid, self._score, self._directory, self._shown = valid, score, directory, progress
        self._batches = PairBatches(train, plan.batch_tokens, plan.seed)
        self._optimizers = build_optimizers(
            model, plan.optimizer, lr=plan.lr, muon_lr=plan.muon_lr, weight_decay=plan.weight_decay
        )
        self._average = WeightAverage(model, plan.ema_share)
        self._best = [p.detach().clone() for p in model.parameters()]
        self._now = _Counters()
        torch.manual_seed(plan.seed)

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes a checkpoint from which `resume` goes on bitwise (on a CPU); does nothing without a directory."""
        if self._directory is None:
            return
        tensors: dict[str, Tensor] = {"rng.cpu": torch.get_rng_state()}
        if self.model.device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.model.device)
        for index, parameter in enumerate(self.model.parameters()):
            tensors[f"model.{index}"] = parameter
            tensors[f"best.{index}"] = self._best[index]
            tensors[f"average.{index}"] = self._average.weights[index]
        tensors |= optimizer_tensors(self._optimizers)
        state = {
            "counters": asdict(self._now),
            "batches": self._batches.state(),
            "average_steps": self._average.steps,
            "plan": self.plan.model_dump(),
        }
        save_checkpoint(self._directory / CHECKPOINT, tensors, state)

    def resume(self) -> None:
        """Goes to the state of the last checkpoint in the directory.

        Raises:
            ModelError: When there is none or it is damaged.
        """
        assert self._directory is not None
        tensors, state = load_checkpoint(self._directory / CHECKPOINT)
        with torch.no_grad():
            for index, parameter in enumerate(self.model.parameters()):
                parameter.copy_(tensors[f"model.{index}"])
                self._best[index].copy_(tensors[f"best.{index}"])
                self._average.weights[index].copy_(tensors[f"average.{index}"])
        self._average.steps = state["average_steps"]
        restore_optimizers(self._optimizers, tensors)
        self._batches.restore(state["batches"])
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and self.model.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"], self.model.device)
        counters = dict(state["counters"])
        curve = [CurvePoint(**point) for point in counters.pop("curve")]
        self._now = _Counters(**counters, curve=curve)
        self._write_metrics()

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> PairOutcome:
        """Trains until the time, the steps or the patience end, or Ctrl-C, after which a checkpoint is left.

        Raises:
            TrainingError: When the loss is not finite; the best weights are in the model.
        """
        now = self._now
        before, started = now.seconds, time.monotonic()
        saved = started
        # Resumed after an interruption in the very last step, there is nothing left to do.
        stopped = self._ended(self._done()) if now.step else None
        self.model.train()
        with deferred_interrupt() as interruption, track(self.name, 1.0, "", self._shown) as shown:
            while stopped is None:
                self._step(lr_factor("wsd", self._done(), warmup=self.plan.warmup, decay=self.plan.decay))
                now.seconds = before + time.monotonic() - started
                done = self._done()
                if done >= 1.0 or self._due(done):
                    self._evaluate()
                    now.seconds = before + time.monotonic() - started
                    done = self._done()
                stopped = "interrupted" if interruption.asked else self._ended(done)
                if stopped is None and time.monotonic() - saved >= self.plan.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                shown.update(min(done, 1.0), self._line())
        if interruption.asked:
            stopped = "interrupted"
            self.save()
            self._evaluate()
        self._restore_best()
        self.model.eval()
        return PairOutcome(stopped, now.step, now.seconds, self._batches.epochs_done, now.best, now.curve)

    def _ended(self, done: float) -> Stopped | None:
        if done >= 1.0:
            return "steps" if self.plan.steps is not None else "budget"
        return "early" if self._now.bad >= self.plan.patience else None

    def _done(self) -> float:
        if self.plan.steps is not None:
            return self._now.step / self.plan.steps
        assert self.plan.seconds is not None
        # The last evaluation belongs to the time too.
        return self._now.seconds / max(self.plan.seconds - self._now.evaluation_seconds, 1e-9)

    def _due(self, done: float) -> bool:
        """Whether the next evaluation is due: where time decides, evaluations take at most about a tenth of it."""
        if done * self.plan.evaluations < self._now.evaluated + 1:
            return False
        last = self._now.curve[-1].seconds if self._now.curve else 0.0
        return self.plan.steps is not None or self._now.seconds - last >= 10 * self._now.evaluation_seconds

    def _line(self) -> str:
        loss = f"  loss {self._now.loss_sum / self._now.loss_count:.3f}" if self._now.loss_count else ""
        best = f"  best score {self._now.best:.2f}" if self._now.curve and self._score is not None else ""
        return f"epoch {self._batches.epochs_done:.1f}{loss}{best}"

    def _step(self, factor: float) -> None:
        set_lr(self._optimizers, factor)
        loss = self._loss(self._batches.next().to(self.model.device))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        value = loss.item()
        if not (math.isfinite(value) and math.isfinite(norm.item())):
            self._restore_best()
            raise TrainingError(
                f"the training loss became {value} at step {self._now.step + 1}; train again with half of the "
                f"learning rate (--lr {self.plan.lr / 2:g})"
            )
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._average.update()
        self._now.step += 1
        self._now.loss_sum += value
        self._now.loss_count += 1

    def _loss(self, batch: PairBatch) -> Tensor:
        if self.plan.rdrop:
            return consistency(self.model, batch, self.plan.label_smoothing, self.plan.rdrop)
        return pair_loss(self.model, batch, self.plan.label_smoothing)

    def _evaluate(self) -> None:
        """Scores the averaged weights and keeps them when they are the best so far."""
        now, started = self._now, time.monotonic()
        now.evaluated = math.floor(self._done() * self.plan.evaluations)
        self._average.swap()
        self.model.eval()
        loss = held_out_loss(self.model, self._valid, self.plan.batch_tokens)
        score = -loss if self._score is None else self._score(self.model)
        if score > now.best:
            now.best, now.bad = score, 0
            with torch.no_grad():
                for best, parameter in zip(self._best, self.model.parameters(), strict=True):
                    best.copy_(parameter)
        else:
            now.bad += 1
        self.model.train()
        self._average.swap()
        train_loss = now.loss_sum / max(now.loss_count, 1)
        now.curve.append(
            CurvePoint(
                now.step, round(now.seconds, 2), round(self._batches.epochs_done, 3), train_loss, loss, score
            )
        )
        now.loss_sum, now.loss_count = 0.0, 0
        now.evaluation_seconds = time.monotonic() - started
        self._write_metrics()

    def _restore_best(self) -> None:
        with torch.no_grad():
            for parameter, best in zip(self.model.parameters(), self._best, strict=True):
                parameter.copy_(best)

    def _write_metrics(self) -> None:
        if self._directory is not None:
            lines: list[dict[str, Any]] = [asdict(point) for point in self._now.curve]
            write_text(self._directory / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
