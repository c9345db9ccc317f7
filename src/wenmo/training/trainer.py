"""The training loop: one for every neural architecture, on CPU and CUDA."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wenmo.errors import TrainingError
from wenmo.files import write_text
from wenmo.models.base import NeuralLanguageModel
from wenmo.progress import track
from wenmo.tokenization.stream import spread
from wenmo.training.batches import Batch, BatchSource, PackedBatches, Stream
from wenmo.training.checkpoint import (
    load_checkpoint,
    optimizer_tensors,
    restore_optimizers,
    save_checkpoint,
)
from wenmo.training.counters import Counters
from wenmo.training.held_out import HeldOut, HeldOutLoss
from wenmo.training.interrupt import deferred_interrupt
from wenmo.training.objective import computing, linear_cross_entropy
from wenmo.training.optimisation import WeightAverage, build_optimizers, lr_factor, set_lr
from wenmo.training.outcome import CurveRow, Stopped, TrainingOutcome
from wenmo.training.plan import TrainingPlan


class BatchTrainer:
    """Trains a model on batches from anywhere and leaves the weights with the lowest held-out loss in it.

    Args:
        model: The model, on the device where it is to be trained.
        batches: What it learns from.
        held_out: What it is judged by.
        plan: The resolved numbers.
        bytes_per_token: Mean UTF-8 bytes of a training target, for bits per byte.
        directory: Where `checkpoint.safetensors` and `metrics.jsonl` are written.
        show_progress: Whether a progress line is shown.
        name: Name of the model in the progress line.
        watch: Told of every evaluation and of the share of the training that is done; True ends the training.
    """

    def __init__(
        self,
        model: NeuralLanguageModel,
        batches: BatchSource,
        held_out: HeldOutLoss,
        plan: TrainingPlan,
        *,
        bytes_per_token: float,
        directory: Path,
        show_progress: bool = True,
        name: str = "training",
        watch: Callable[[CurveRow, float], bool] | None = None,
    ) -> None:
        self.model = model
        self.plan = plan
        self.name = name
        self.directory = directory
        self.checkpoint_path = directory / "checkpoint.safetensors"
        self.metrics_path = directory / "metrics.jsonl"
        self._show_progress = show_progress
        self._device = model.device
        self._batches = batches
        self._held_out = held_out
        self._watch = watch
        self._train_bytes_per_token = max(bytes_per_token, 1e-9)
        self._optimizers = build_optimizers(
            model, plan.optimizer, lr=plan.lr, muon_lr=plan.muon_lr, weight_decay=plan.weight_decay
        )
        self._average = WeightAverage(model, plan.ema_share) if plan.averaging == "ema" else None
        self._best = [p.detach().clone() for p in model.parameters()]
        self._progress = Counters()
        self._hidden: Callable[..., Any] = (
            torch.compile(model.hidden, dynamic=False) if plan.compile else model.hidden
        )
        torch.manual_seed(plan.seed)

    @property
    def curve(self) -> list[CurveRow]:
        """All evaluations so far."""
        return self._progress.curve

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes a checkpoint from which `resume` goes on bitwise (on a CPU)."""
        tensors: dict[str, Tensor] = {"rng.cpu": torch.get_rng_state()}
        if self._device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self._device)
        for index, parameter in enumerate(self.model.parameters()):
            tensors[f"model.{index}"] = parameter
            tensors[f"best.{index}"] = self._best[index]
            if self._average is not None:
                tensors[f"average.{index}"] = self._average.weights[index]
        tensors |= optimizer_tensors(self._optimizers)
        state = {
            **self._progress.state(),
            "batches": self._batches.state(),
            "average_steps": 0 if self._average is None else self._average.steps,
            "plan": self.plan.model_dump(),
        }
        save_checkpoint(self.checkpoint_path, tensors, state)

    def resume(self) -> None:
        """Goes to the state of the last checkpoint in the directory.

        Raises:
            ModelError: When there is none or it is damaged.
        """
        tensors, state = load_checkpoint(self.checkpoint_path)
        with torch.no_grad():
            for index, parameter in enumerate(self.model.parameters()):
                parameter.copy_(tensors[f"model.{index}"])
                self._best[index].copy_(tensors[f"best.{index}"])
                if self._average is not None:
                    self._average.weights[index].copy_(tensors[f"average.{index}"])
        if self._average is not None:
            self._average.steps = state["average_steps"]
        restore_optimizers(self._optimizers, tensors)
        self._batches.restore(state["batches"])
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and self._device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"], self._device)
        self._progress = Counters.restore(state)
        self._write_metrics()

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> TrainingOutcome:
        """Trains until the budget, the steps or the patience end, or Ctrl-C.

        Raises:
            TrainingError: When the loss is not finite; the last good weights are in the checkpoint and the model.
        """
        progress = self._progress
        before = progress.seconds
        started = time.monotonic()
        saved = started
        stopped: Stopped | None = None
        enough = False
        self.model.train()
        with deferred_interrupt() as interrupt, track(self.name, 1.0, "", self._show_progress) as shown:
            while stopped is None:
                done = self._share_done()
                self._step(
                    lr_factor(self.plan.schedule, done, warmup=self.plan.warmup, decay=self.plan.decay)
                )
                progress.seconds = before + time.monotonic() - started
                done = self._share_done()
                if done >= 1.0 or done * self.plan.evaluations >= progress.evaluated + 1:
                    self._evaluate(final=done >= 1.0)
                    enough = self._watch is not None and self._watch(progress.curve[-1], min(done, 1.0))
                    progress.seconds = before + time.monotonic() - started
                if enough:
                    stopped = "target"
                elif done >= 1.0:
                    stopped = "steps" if self.plan.steps is not None else "budget"
                elif progress.bad >= self.plan.patience:
                    stopped = "early"
                elif interrupt.is_set():
                    stopped = "interrupted"
                elif time.monotonic() - saved >= self.plan.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                shown.update(min(done, 1.0), progress.line(self._batches.epochs_done))
        self._finish(stopped)
        return TrainingOutcome(
            stopped=stopped,
            steps=progress.step,
            seconds=progress.seconds,
            tokens=progress.tokens,
            epochs=self._batches.epochs_done,
            best_bpb=progress.best,
            curve=progress.curve,
        )

    def _finish(self, stopped: Stopped) -> None:
        """Leaves the best weights in the model; after an interruption a checkpoint is kept for resuming."""
        if stopped == "interrupted":
            self.save()
        self._restore_best()
        self.model.eval()

    def _restore_best(self) -> None:
        with torch.no_grad():
            for parameter, best in zip(self.model.parameters(), self._best, strict=True):
                parameter.copy_(best)

    def _share_done(self) -> float:
        if self.plan.steps is not None:
            return self._progress.step / self.plan.steps
        assert self.plan.seconds is not None
        # The last evaluation belongs to the budget too: training ends early enough for it.
        return self._progress.seconds / max(self.plan.seconds - self._progress.evaluation_seconds, 1e-9)

    def _step(self, factor: float) -> None:
        """One optimiser step; gradients of the micro-batches add up to those of the whole batch."""
        plan, progress = self.plan, self._progress
        set_lr(self._optimizers, factor)
        batch = self._batches.next()
        total = batch.tokens
        loss = torch.zeros((), device=self._device)
        for part in batch.split(plan.micro_rows):
            loss += self._backward(part.to(self._device), part.tokens / total)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip if plan.clip else math.inf)
        value, size = torch.stack([loss, norm]).tolist()  # the one place where a GPU is waited for
        if not (math.isfinite(value) and math.isfinite(size)):
            self._fail(value)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update()
        progress.step += 1
        progress.tokens += total
        progress.loss_sum += value
        progress.loss_count += 1

    def _backward(self, part: Batch, share: float) -> Tensor:
        """Back-propagates one micro-batch; returns its share of the loss (nats per token), detached."""
        with computing(self._device.type, self.plan.precision):
            hidden, _ = self._hidden(part.inputs, need_state=False)
        if self.plan.precision == "bf16":
            hidden = (
                hidden.bfloat16()
            )  # the last norm may have widened it, and the output layer is the largest product
        loss = linear_cross_entropy(
            hidden, self.model.output_weight, part.targets, part.weights, self.plan.label_smoothing
        )
        (loss * share).backward()  # type: ignore[no-untyped-call]
        return loss.detach() * share

    def _fail(self, loss: float) -> None:
        self._restore_best()
        raise TrainingError(
            f"the training loss became {loss} at step {self._progress.step + 1} (learning rate {self.plan.lr:g}"
            f"{f', Muon {self.plan.muon_lr:g}' if self.plan.optimizer == 'muon' else ''}); "
            f"train again with half of it (--training.lr {self.plan.lr / 2:g})"
        )

    # -- evaluation ----------------------------------------------------------------------------------------------

    def _evaluate(self, final: bool) -> None:
        """Scores the held-out text with the averaged weights (at the end also with the live ones), keeps the best."""
        progress = self._progress
        progress.evaluated = math.floor(self._share_done() * self.plan.evaluations)
        started = time.monotonic()
        loss = math.inf
        if self._average is not None:
            self._average.swap()
            loss = self._held_out.loss(self.model)
            self._keep_if_best(loss)
            self._average.swap()
        if self._average is None or final:
            live = self._held_out.loss(self.model)
            self._keep_if_best(live)
            loss = min(loss, live)
        else:
            # The last evaluation scores two sets of weights.
            progress.evaluation_seconds = 2.0 * (time.monotonic() - started)
        train_loss = progress.train_loss
        bpb = self._held_out.bits_per_byte(loss)
        progress.bad = 0 if bpb <= progress.best else progress.bad + 1
        row = CurveRow(
            step=progress.step,
            seconds=round(progress.seconds, 3),
            tokens=progress.tokens,
            epochs=round(self._batches.epochs_done, 4),
            train_loss=train_loss,
            valid_loss=loss,
            train_bpb=train_loss / math.log(2.0) / self._train_bytes_per_token,
            valid_bpb=bpb,
            lr=self._optimizers[0].param_groups[0]["lr"] / self._optimizers[0].param_groups[0]["peak_lr"],
        )
        progress.loss_sum, progress.loss_count = 0.0, 0
        progress.curve.append(row)
        self._write_metrics()

    def _keep_if_best(self, loss: float) -> None:
        bpb = self._held_out.bits_per_byte(loss)
        if bpb < self._progress.best:
            self._progress.best = bpb
            with torch.no_grad():
                for best, parameter in zip(self._best, self.model.parameters(), strict=True):
                    best.copy_(parameter)

    def _write_metrics(self) -> None:
        """Rewrites metrics.jsonl from the curve, so that a resumed run never repeats or loses a line."""
        write_text(self.metrics_path, "".join(json.dumps(vars(row)) + "\n" for row in self._progress.curve))


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
        watch: Callable[[CurveRow, float], bool] | None = None,
    ) -> None:
        sample = np.asarray(train.ids[: 1 << 20], dtype=np.int64)
        self.held_out = HeldOut(
            spread(valid.ids, plan.valid_tokens), byte_lengths, eos_id=eos_id, context=plan.context
        )
        super().__init__(
            model,
            PackedBatches(train.ids, train.offsets, context=plan.context, rows=plan.rows, seed=plan.seed),
            self.held_out,
            plan,
            bytes_per_token=float(byte_lengths[sample].mean()),
            directory=directory,
            show_progress=show_progress,
            name=name,
            watch=watch,
        )
