"""What follows the training of a student: planned before it on an untrained one, and its cache."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wenmo.distillation.student import STUDENT
from wenmo.models.base import LanguageModel
from wenmo.models.mixture import MixtureModel
from wenmo.models.registry import parse_config
from wenmo.models.storage import save_model
from wenmo.workflow import finish
from wenmo.workflow.clock import Clock, Cost
from wenmo.workflow.decision import Shape, build
from wenmo.workflow.members import Member
from wenmo.workflow.run import Run
from wenmo.workflow.scoring import mix
from wenmo.workflow.texts import Texts


def plan_finish(run: Run, shape: Shape, texts: Texts, clock: Clock, device: str, *, cached: bool) -> None:
    """Tells the clock what follows the training, timed on an untrained student.

    Args:
        run: The run; a copy of the student is saved in its folder and removed.
        shape: Shape of the student.
        texts: The texts.
        clock: The clock of the run; it knows how fast the teacher scores.
        device: Where the student is scored, `cpu` or `cuda`.
        cached: Whether it gets a cache of its own.
    """
    student: LanguageModel = build(parse_config(shape.config), shape.plan.seed).eval()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=run.directory) as folder:
        save_model(student, Path(folder) / STUDENT, tokenizer=texts.tokenizer, info={})
    saving, fitting = time.monotonic() - began, 0.0
    if cached:
        student = mixture = MixtureModel.of({STUDENT: student})
        rehearsed = finish.rehearse(mixture, texts, device)
        clock.fitting = rehearsed.fitting
        fitting, speed = rehearsed.fitting_all(texts), texts.bytes_per_token / rehearsed.scoring.token
    else:
        speed = finish.measured_scoring(student.to(device), texts)
    clock.scoring_speeds[STUDENT] = speed
    scoring = clock.scoring_seconds(clock.held_out_bytes) + clock.rivals
    finish.plan_finish(
        clock, texts, student.to("cpu"), run.recipe.generation,
        fitting=fitting, scoring=scoring, saving=saving, starting=0.0,
    )  # fmt: skip


def with_cache(
    member: Member, texts: Texts, seconds: float, cost: Cost, tell: Callable[[str], None]
) -> LanguageModel:
    """Returns the student with a cache of its own, or as it is where that does not pay.

    Args:
        member: The trained student.
        texts: The texts; the one that steers is read.
        seconds: Time for it; fewer tokens are read where it is short.
        cost: What it costs.
        tell: Told when it does not pay.
    """
    mixed = mix([replace(member, name=member.model.architecture)], texts, seconds, cost)
    if mixed is member.model:
        tell("the cache does not pay on this text; the student goes without")
    return mixed
