"""What is settled before the last training: how good the rivals are, and what the end of the run will take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

import torch

from wenmo.evaluation.baselines import Compressors
from wenmo.models.base import LanguageModel
from wenmo.models.mixture import MixtureModel
from wenmo.models.ngram import NgramModel
from wenmo.models.side_by_side import beside
from wenmo.training import hardware
from wenmo.workflow import doubling
from wenmo.workflow.clock import BASELINE_SHARE, COUNTING_SHARE, Clock
from wenmo.workflow.counting import choose_counted, count, ngram_config
from wenmo.workflow.doubling import Halves
from wenmo.workflow.finish import plan_finish, rehearse
from wenmo.workflow.members import Member
from wenmo.workflow.mixing import mixes
from wenmo.workflow.rivals import Rivals, compressors, compressors_memory, measure_rivals
from wenmo.workflow.run import Run
from wenmo.workflow.texts import Texts

BESIDE_MEMORY = 1 / 6
"""The rivals read while the n-gram model counts where what they hold, while the network is measured too, is at most
this share of the free memory."""


@dataclass(frozen=True)
class Read:
    """What has read the training text for the sake of comparison.

    Attributes:
        compressors: Ready to code the test text; None where they have not read yet.
        half: Mean nats of an n-gram model that has counted half of the text (`doubling.half_nats`); None where that
            was not asked.
    """

    compressors: Compressors | None = None
    half: float | None = None


@dataclass(frozen=True)
class Settled:
    """What is known before the last training.

    Attributes:
        rivals: The text for the final score, and the scores of the rivals on it.
        halves: The n-gram model after half of the text and after all of it, where that was measured.
    """

    rivals: Rivals
    halves: Halves | None


def count_beside(
    run: Run, texts: Texts, clock: Clock, tell: Callable[[str], None], progress: bool, member: bool
) -> tuple[Member, Read]:
    """Counts the n-gram model, which takes one core; a second one reads the text for the rivals meanwhile.

    Args:
        run: The run.
        texts: The texts.
        clock: The clock of the run.
        tell: Told what was decided.
        progress: Whether to show a progress line.
        member: Whether it becomes a member of the model, and is not only a baseline, which is given less time.
    """
    seed = run.recipe.training.seed
    ids = choose_counted(texts, clock, tell, COUNTING_SHARE if member else BASELINE_SHARE)
    room = BESIDE_MEMORY * hardware.available_memory("cpu")
    if torch.get_num_threads() == 1 or compressors_memory(texts, clock) > room:
        return count(ids, texts, seed, progress), Read()

    given_up = Event()

    def read() -> Read:
        whole = member and len(ids) == len(texts.train.ids)
        half = doubling.half_nats(ngram_config(texts), texts, seed) if whole else None
        return Read(None if given_up.is_set() else compressors(texts, clock.xz), half)

    def own() -> Member:
        try:
            return count(ids, texts, seed, progress)
        except BaseException:
            given_up.set()  # nobody waits for all of it after Ctrl-C
            raise

    counted, (found,) = beside(own, [read])
    clock.primed = True
    return counted, found


def settle(
    run: Run,
    texts: Texts,
    machine: hardware.Machine,
    clock: Clock,
    members: dict[str, Member],
    untrained: dict[str, LanguageModel],
    ngram: Member,
    read: Read,
    begin: Callable[[], None],
    *,
    saving: float,
    starting: float,
) -> Settled:
    """Scores the rivals, rehearses the end of the run, and tells the clock what it will take.

    Args:
        run: The run.
        texts: The texts.
        machine: Where the network is trained and scored.
        clock: The clock of the run.
        members: Members that are trained.
        untrained: The network that is still to be trained, on any device; it comes back on the CPU.
        ngram: The n-gram model, a member or not.
        read: What has read the training text by now.
        begin: Work on the network that does not depend on any of this, made at the same time.
        saving: Seconds that saving the members takes.
        starting: Seconds from the start of the process to the first stage.
    """
    counter = ngram.model
    assert isinstance(counter, NgramModel)
    models = {name: member.model for name, member in members.items()}
    models |= {name: model.to("cpu") for name, model in untrained.items()}
    whole, rehearsed = next(iter(models.values())), None
    if mixes(run.recipe.architecture, models.values()):
        whole = mixture = MixtureModel.of(models)
        rehearsed = rehearse(mixture, texts, machine.device)
        clock.fitting = rehearsed.fitting
    cost = rehearsed.scoring if rehearsed else None
    rivals, (_, halves) = beside(
        lambda: measure_rivals(counter, texts, clock, cost, read.compressors),
        [begin, lambda: _halves(counter, "ngram" in members, read, texts, clock, run.recipe.training.seed)],
    )
    plan_finish(
        clock, texts, whole, run.recipe.generation,
        fitting=rehearsed.fitting_all(texts) if rehearsed else 0.0,
        scoring=rehearsed.scoring.of(len(rivals.ids)) if rehearsed else clock.scoring_seconds(rivals.num_bytes),
        saving=saving, starting=starting,
    )  # fmt: skip
    return Settled(rivals, halves)


def _halves(
    ngram: NgramModel, member: bool, read: Read, texts: Texts, clock: Clock, seed: int
) -> Halves | None:
    """What the second half of the text gave an n-gram member; None where it was not to be had in the time."""
    if not member or ngram.tokens_seen < len(texts.train.ids):
        return None
    half = read.half
    if half is None:
        if not doubling.pays(clock.spent.get("counting", 0.0), clock):
            return None
        half = doubling.half_nats(ngram.config, texts, seed)
    return doubling.measure_halves(ngram, half, texts)
