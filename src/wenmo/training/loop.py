"""The training loop: one for every neural architecture, on CPU and CUDA, in one process or many."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from wenmo.errors import TrainingError
from wenmo.files import write_text
from wenmo.interrupts import deferred_interrupt
from wenmo.models.base import NeuralLanguageModel
from wenmo.progress import track
from wenmo.training.batches import Batch, BatchSource
from wenmo.training.checkpoint import exists
from wenmo.training.counters import Counters
from wenmo.training.distributed import parallelise
from wenmo.training.held_out import HeldOutLoss
from wenmo.training.objective import computing, linear_cross_entropy
from wenmo.training.optimisation import WeightAverage, build_optimizers, lr_factor, set_lr
from wenmo.training.outcome import CurveRow, Stopped, TrainingOutcome
from wenmo.training.plan import TrainingPlan
from wenmo.training.resuming import Resumable
from wenmo.training.world import ALONE, World, watched


class BatchTrainer:
    """Trains a model on batches from anywhere and leaves the weights with the lowest held-out loss in it.

    Several processes run the same loop on their shares of the same batches. What depends on the clock or is written
    is decided by the leading process, so that all take the same steps.

    Args:
        model: The model, on the device where it is to be trained, the same in every process.
        batches: What it learns from.
        held_out: What it is judged by.
        plan: The resolved numbers.
        bytes_per_token: Mean UTF-8 bytes of a training target, for bits per byte.
        directory: Where `checkpoint.safetensors` and `metrics.jsonl` are written.
        show_progress: Whether a progress line is shown.
        name: Name of the model in the progress line.
        world: The processes that train together.
        device: Where slices of a model that is elsewhere are trained (`plan.parallel` fsdp).
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
        world: World = ALONE,
        device: torch.device | None = None,
        watch: Callable[[CurveRow, float], bool] | None = None,
    ) -> None:
        self._parallel = parallelise(model, plan, world, device)
        self.model = model = self._parallel.model
        self.plan = plan
        self.name = name
        self.directory = directory
        self.metrics_path = directory / "metrics.jsonl"
        self._show_progress = show_progress and world.leads
        self._world = world
        self._device = self._parallel.device
        self._batches = batches
        self._held_out = held_out
        self._watch = watch
        self._train_bytes_per_token = max(bytes_per_token, 1e-9)
        self._optimizers = build_optimizers(
            model, plan.optimizer, lr=plan.lr, muon_lr=plan.muon_lr, weight_decay=plan.weight_decay,
            tables=model.lookup_tables(), embedding_decay=plan.embedding_decay,
            low_precision=plan.precision == "bf16", divided=not world.alone, threads=plan.workers,
        )  # fmt: skip
        self._average = WeightAverage(model, plan.ema_share) if plan.averaging == "ema" else None
        self._best = [p.detach().clone() for p in model.parameters()]
        self._resumable = Resumable(model, self._best, self._average, self._optimizers, batches, self._device)
        self._progress = Counters()
        self._hidden = self._parallel.hidden
        torch.manual_seed(plan.seed)

    @property
    def curve(self) -> list[CurveRow]:
        """All evaluations so far."""
        return self._progress.curve

    # -- checkpoints ---------------------------------------------------------------------------------------------

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return exists(self.directory)

    def save(self) -> None:
        """Writes a checkpoint from which `resume` goes on bitwise (on a CPU), with any number of processes."""
        self._resumable.save(self.directory, self._progress, self.plan, self._world)

    def resume(self) -> None:
        """Goes to the state of the last checkpoint in the directory.

        Raises:
            ModelError: When there is none or it is damaged.
        """
        self._progress = self._resumable.resume(self.directory)
        self._write_metrics()

    # -- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> TrainingOutcome:
        """Trains until the budget, the steps or the patience end, or Ctrl-C.

        Raises:
            TrainingError: When the loss is not finite (the last good weights are in the checkpoint and the model), or
                another process was lost.
        """
        with watched(self._world):
            return self._run()

    def _run(self) -> TrainingOutcome:
        progress = self._progress
        before = progress.seconds
        started = time.monotonic()
        saved = started
        # An interruption in the very last evaluation leaves nothing to go on with but its result.
        stopped = self._ended(self._share_done(), enough=False) if progress.step else None
        enough = False
        self.model.train()
        patient = not self._world.alone
        with (
            deferred_interrupt(patient) as interruption,
            track(self.name, 1.0, "", self._show_progress) as shown,
        ):
            while stopped is None:
                done = self._share_done()
                self._step(
                    lr_factor(self.plan.schedule, done, warmup=self.plan.warmup, decay=self.plan.decay)
                )
                now = time.monotonic()
                progress.seconds, due, interrupted = self._world.agree(
                    before + now - started, now - saved >= self.plan.checkpoint_seconds, interruption.asked
                )
                done = self._share_done()
                if done >= 1.0 or done * self.plan.evaluations >= progress.evaluated + 1:
                    self._evaluate(final=done >= 1.0)
                    enough = self._watch is not None and self._watch(progress.curve[-1], min(done, 1.0))
                    enough = bool(self._world.lead(float(enough)))
                    progress.seconds = self._world.lead(before + time.monotonic() - started)
                stopped = self._ended(done, enough)
                if interrupted or (self._world.alone and interruption.asked):
                    stopped = "interrupted"
                elif stopped is None and due:
                    self.save()
                    saved = time.monotonic()
                shown.update(min(done, 1.0), progress.line(self._batches.epochs_done))
        if self._world.alone and interruption.asked:  # after the last look
            stopped = "interrupted"
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

    def _ended(self, done: float, enough: bool) -> Stopped | None:
        """Why training is over; None when it is not."""
        if enough:
            return "target"
        if done >= 1.0:
            return "steps" if self.plan.steps is not None else "budget"
        return "early" if self._progress.bad >= self.plan.patience else None

    def _finish(self, stopped: Stopped) -> None:
        """Leaves the best weights in the model; after an interruption a checkpoint is kept for resuming."""
        if stopped == "interrupted":
            self.save()
        self._restore_best()
        self.model.eval()
        self._parallel.finish()

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
        self._world.seed(plan.seed, progress.step)
        batch = self._batches.next().share(self._world.rank, self._world.size)
        total = batch.total or batch.tokens
        loss = torch.zeros((), device=self._device)
        loss_of = functools.partial(self._loss, total=total)
        parts = batch.split(plan.micro_rows)
        for number, part in enumerate(parts, 1):
            with self._parallel.exchanging(last=number == len(parts)):
                place = part.to(self._device)
                loss += self._parallel.backward(loss_of, place, (progress.step, number)) / self._world.size
        norm = self._parallel.clip(plan.clip)
        value, size = torch.stack([self._world.add(loss), norm]).tolist()  # here alone a GPU is waited for
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

    def _loss(self, part: Batch, total: int) -> Tensor:
        """The share of a step's loss (nats per token) that a part of its batch has, times the processes.

        Processes average their gradients; the whole batch's is the sum of the shares'.
        """
        share = part.tokens / total
        with computing(self._device.type, self.plan.precision, self.plan.compile):
            hidden, _ = self._hidden(part.inputs, need_state=False)
        if self.plan.precision == "bf16":
            hidden = (
                hidden.bfloat16()
            )  # the last norm may have widened it, and the output layer is the largest product
        return self._objective(hidden, part) * (share * self._world.size)

    def _objective(self, hidden: Tensor, part: Batch) -> Tensor:
        """Mean loss of a micro-batch, nats per token, from its last hidden vectors (B, T, D)."""
        return linear_cross_entropy(
            hidden, self.model.output_weight, part.targets, part.weights, self.plan.label_smoothing
        )

    def _fail(self, loss: float) -> None:
        self._restore_best()
        self._parallel.finish()
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
            loss = self._parallel.loss(self._held_out)
            self._keep_if_best(loss)
            self._average.swap()
        if self._average is None or final:
            live = self._parallel.loss(self._held_out)
            self._keep_if_best(live)
            loss = min(loss, live)
        else:
            # The last evaluation scores two sets of weights.
            progress.evaluation_seconds = self._world.lead(2.0 * (time.monotonic() - started))
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
        if self._world.leads:
            lines = (json.dumps(vars(row)) + "\n" for row in self._progress.curve)
            write_text(self.metrics_path, "".join(lines))
