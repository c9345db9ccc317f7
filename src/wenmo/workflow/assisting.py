"""What the processes do that do not lead a run (see `team.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from wenmo.errors import TrainingError, WenmoError
from wenmo.models.registry import parse_config
from wenmo.tokenization.stream import TokenStream
from wenmo.tokenization.tokenizer import Tokenizer
from wenmo.training.plan import TrainingPlan
from wenmo.training.trainer import Trainer
from wenmo.training.world import World, watched
from wenmo.workflow.decision import build, initial_model
from wenmo.workflow.result import TrainResult
from wenmo.workflow.team import measure


class LedError(WenmoError):
    """The run ended with an error that the leading process tells."""

    told = True


def assist(world: World) -> TrainResult:
    """Does what the leading process tells, until the run has ended.

    Returns:
        What the leading process returns.

    Raises:
        LedError: When the run ended with an error.
    """
    try:
        while True:
            with watched(world):
                order = world.tell()
            if order["do"] == "end":
                return TrainResult.model_validate(order["result"])
            if order["do"] == "threads":
                torch.set_num_threads(order["number"])
                continue
            plan = TrainingPlan.model_validate(order["plan"])
            if order["do"] == "measure":
                measure(build(parse_config(order["config"]), plan.seed), plan, world, order["device"])
            else:
                _train(order, plan, world)
    except (
        TrainingError
    ) as error:  # a loss that is not finite is so in all processes; a lost one is seen by all
        raise LedError(str(error)) from error


def _train(order: dict[str, Any], plan: TrainingPlan, world: World) -> None:
    directory = Path(order["directory"])
    device = world.device(order["device"])
    train, valid = (TokenStream.open(directory / "tokens" / split) for split in ("train", "valid"))
    model = initial_model(parse_config(order["config"]), plan, train.ids)
    if plan.parallel == "ddp":
        model.to(device)
    tokenizer = Tokenizer.load(directory / "tokenizer")
    trainer = Trainer(
        model, train, valid, plan, byte_lengths=tokenizer.byte_lengths, eos_id=tokenizer.eos_id,
        directory=directory / "members" / order["name"], show_progress=order["progress"], name=order["name"],
        world=world, device=device,
    )  # fmt: skip
    if trainer.has_checkpoint:
        trainer.resume()
    trainer.run()
