"""Several processes carry out one run: the first leads, the others do their part when they are told.

Only the leading process reads text, counts, decides, scores, writes and prints; its code is that of a process alone.
Where a neural model is measured or trained it tells the others (`assisting.py`) what to build, and all run the same
loop. An error ends the leading process, and with it the others, as their exchange with it fails.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wenmo.models.base import NeuralLanguageModel
from wenmo.training.distributed import measure_speed
from wenmo.training.plan import TrainingPlan
from wenmo.training.world import World, join, watched
from wenmo.workflow.result import TrainResult


def use_threads(number: int) -> None:
    """Lets every process compute with this many threads."""
    torch.set_num_threads(number)
    join().tell({"do": "threads", "number": number})


def together(
    model: NeuralLanguageModel, plan: TrainingPlan, device: str, directory: Path, name: str, progress: bool
) -> World:
    """Calls the others to train a model that the caller builds and trains at once; nobody is called by one alone.

    Args:
        model: What is trained, for its configuration; the plan's seed gives its first weights.
        plan: The numbers of the training.
        device: `cpu` or `cuda`.
        directory: Folder of the run, whose tokenizer and token streams are complete.
        name: Name of the member.
        progress: Whether progress is shown.

    Returns:
        The processes.
    """
    world = join()
    world.tell(
        {
            "do": "train",
            "config": model.config.model_dump(mode="json"),
            "plan": plan.model_dump(mode="json"),
            "device": device,
            "directory": str(directory),
            "name": name,
            "progress": progress,
        }
    )
    return world


def speed(
    model: NeuralLanguageModel,
    plan: TrainingPlan,
    device: str,
    text: npt.NDArray[np.unsignedinteger[Any]] | None = None,
) -> float:
    """Measures the tokens per second at which all processes train a model together.

    Args:
        model: The model, on the CPU. It is moved to the device, and its weights change a little, where it is not
            sliced.
        plan: The numbers of the training.
        device: `cpu` or `cuda`.
        text: Token ids that a process alone measures on; several take ids at random.
    """
    world = join()
    if world.alone:
        return measure_speed(model.to(device), plan, text=text)
    config, numbers = model.config.model_dump(mode="json"), plan.model_dump(mode="json")
    world.tell({"do": "measure", "config": config, "plan": numbers, "device": device})
    return measure(model, plan, world, device)


def measure(model: NeuralLanguageModel, plan: TrainingPlan, world: World, kind: str) -> float:
    """The part of each process in `speed`."""
    device = world.device(kind)
    model = copy.deepcopy(model)
    with watched(world):
        return measure_speed(model if plan.parallel == "fsdp" else model.to(device), plan, world, device)


def dismiss(world: World, result: TrainResult) -> None:
    """Tells the others that the run is complete, and what came out."""
    world.tell({"do": "end", "result": result.model_dump(mode="json")})
