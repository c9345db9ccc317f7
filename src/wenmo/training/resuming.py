"""What of a training run a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from wenmo.training.batches import BatchSource
from wenmo.training.checkpoint import (
    open_checkpoint,
    optimizer_tensors,
    read_optimizers,
    restore_optimizers,
    save_together,
)
from wenmo.training.counters import Counters
from wenmo.training.optimisation import WeightAverage
from wenmo.training.plan import TrainingPlan
from wenmo.training.world import World


@dataclass(frozen=True)
class Resumable:
    """The parts of a training run that change as it goes on.

    Attributes:
        model: The model that is trained.
        best: Its weights with the lowest held-out loss.
        average: The average of its weights, if there is one.
        optimizers: Its optimisers.
        batches: Its batches.
        device: Where its random numbers are drawn.
    """

    model: nn.Module
    best: list[Tensor]
    average: WeightAverage | None
    optimizers: list[torch.optim.Optimizer]
    batches: BatchSource
    device: torch.device

    def _weights(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for index, parameter in enumerate(self.model.parameters()):
            tensors[f"model.{index}"] = parameter
            tensors[f"best.{index}"] = self.best[index]
            if self.average is not None:
                tensors[f"average.{index}"] = self.average.weights[index]
        return tensors

    def save(self, directory: Path, progress: Counters, plan: TrainingPlan, world: World) -> None:
        """Writes a checkpoint from which `resume` goes on bitwise (on a CPU), with any number of processes."""
        tensors: dict[str, Tensor] = {"rng.cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.device)
        tensors |= self._weights() | optimizer_tensors(self.optimizers)
        state = {
            **progress.state(),
            "batches": self.batches.state(),
            "average_steps": 0 if self.average is None else self.average.steps,
            "plan": plan.model_dump(),
        }
        save_together(directory, tensors, state, world)

    def resume(self, directory: Path) -> Counters:
        """Goes to the state of the last checkpoint in the directory, and returns where the run stood.

        Raises:
            ModelError: When there is none or it is damaged.
        """
        with open_checkpoint(directory) as saved, torch.no_grad():
            state = saved.state
            for name, tensor in self._weights().items():
                tensor.copy_(saved.read(name, tensor))
            restore_optimizers(self.optimizers, read_optimizers(saved, self.optimizers))
            torch.set_rng_state(saved.read("rng.cpu"))
            if "rng.cuda" in saved.names and self.device.type == "cuda":
                torch.cuda.set_rng_state(saved.read("rng.cuda"), self.device)
        if self.average is not None:
            self.average.steps = state["average_steps"]
        self.batches.restore(state["batches"])
        return Counters.restore(state)
