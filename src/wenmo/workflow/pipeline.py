"""`wenmo train`: raw files in, a scored and saved model out, within the budget."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from wenmo.config import Recipe
from wenmo.errors import Interrupted, LostProcessError, OptionError, ResourceError, WenmoError
from wenmo.interrupts import raised_interrupts
from wenmo.models.base import LanguageModel
from wenmo.progress import counted, duration, quantity
from wenmo.training import budget as dial
from wenmo.training import hardware
from wenmo.training.world import join, restartable, watched
from wenmo.workflow import reporting, settling, team
from wenmo.workflow.assisting import assist
from wenmo.workflow.checks import check_recipe
from wenmo.workflow.choosing import choose_members
from wenmo.workflow.clock import Clock
from wenmo.workflow.finish import measured_scoring
from wenmo.workflow.members import (
    LEAST_TRAINING_SECONDS,
    Member,
    finished,
    keep,
    member_names,
    train_neural,
)
from wenmo.workflow.mixing import mixes
from wenmo.workflow.reporting import kept_corpus
from wenmo.workflow.result import TrainResult
from wenmo.workflow.run import Run, new_run, open_run
from wenmo.workflow.scoring import mix, placed, score
from wenmo.workflow.settling import Read, Settled, count_beside
from wenmo.workflow.texts import Texts, load_texts, open_corpus

NOTABLE = 0.05
"""Share of the budget from which on it is said that it was not used."""


def train(
    paths: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    recipe: Recipe | None = None,
    *,
    resume: str | Path | None = None,
    progress: bool = True,
    started: float | None = None,
) -> TrainResult:
    """Turns raw text into a scored language model.

    Args:
        paths: Files, folders, globs, `-` for standard input, or one prepared corpus.
        output: Folder of the model; `runs/NAME` when not given.
        recipe: What to do; the defaults when not given.
        resume: Folder of an interrupted run: goes on with its own paths and recipe, and `paths`, `output` and
            `recipe` must not be given.
        progress: Whether to tell on stderr what happens.
        started: `time.monotonic()` from which the budget counts; now when not given.

    Returns:
        Scores, paths and samples; under `torchrun` the same in every process, the first of which does all but its share
        of the neural training alone.

    Raises:
        WenmoError: For whatever a user can mend.
        Interrupted: After Ctrl-C; what was done is saved.
    """
    world = join()
    if not world.leads:
        return assist(world)
    names = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if resume is not None:
        if names or output is not None or recipe is not None:
            raise OptionError(
                "--resume goes on with the paths and the recipe of the run; leave the others out"
            )
        run = open_run(Path(resume))
    else:
        run = new_run(
            names,
            None if output is None else Path(output),
            check_recipe(recipe or Recipe()),
            again=restartable(),
        )
    try:
        with raised_interrupts(), watched(world):
            result = _train(run, progress, started)
            team.dismiss(world, result)
            return result
    except KeyboardInterrupt:
        message = (
            f"interrupted; what was done is in {run.directory}. Go on with: wenmo train --resume {run.output}"
        )
        raise Interrupted(message) from None
    except WenmoError as error:
        trained = any(run.part(name).exists() for name in ("members", "finished"))
        if not trained and not isinstance(error, Interrupted | LostProcessError):
            shutil.rmtree(run.directory, ignore_errors=True)  # nothing was trained that could be gone on with
        if trained and isinstance(error, ResourceError):
            kept = f"what was done is in {run.directory}. Go on with: wenmo train --resume {run.output}"
            raise ResourceError(f"{error}; {kept}") from error
        raise


def _train(run: Run, progress: bool, started: float | None) -> TrainResult:
    recipe = run.recipe
    clock = Clock(dial.recipe_seconds(recipe), time.monotonic() if started is None else started)
    starting = clock.elapsed if started is not None else 0.0
    if recipe.training.threads:
        team.use_threads(recipe.training.threads)
    with clock.stage("preparing"):
        corpus = open_corpus(run.paths, recipe, run.part("corpus"), progress)
    with clock.stage("tokenizing"):
        texts = load_texts(corpus, recipe, run.directory, progress)
    clock.text_bytes = corpus.bytes("train")
    clock.held_out_bytes = max(corpus.bytes("valid"), corpus.bytes("test"))
    machine = hardware.measure_machine(hardware.choose_device(recipe.training.device)).shared(join().size)
    told = Told(progress)
    told.lines.extend(corpus.manifest.losses())
    told(
        f"text: {quantity(corpus.bytes('train'), 'B')} to learn from in {counted(corpus.count('train'), 'document')}, "
        f"{quantity(corpus.bytes('valid') + corpus.bytes('test'), 'B')} held out; "
        f"{texts.tokenizer.kind} tokenizer, {texts.tokenizer.vocab_size:,} tokens of "
        f"{texts.bytes_per_token:.2f} bytes; time: {duration(clock.budget) if clock.budget else 'as steps need'}"
    )
    trained = _members(run, texts, machine, clock, told, starting)
    members, rivals = trained.members, trained.settled.rivals
    with placed(members, machine.device):
        with clock.stage("weights") as seconds:
            models = [member.model for member in members]
            mixed = mixes(recipe.architecture, models)
            model = mix(members, texts, min(seconds, clock.scoring), clock.fitting) if mixed else models[0]
        with clock.stage("scores"):
            scores = score(model, members, texts, rivals)
    for line in scores.unread:
        told(line)
    outcome = reporting.Outcome(
        run, clock, texts, model, members, scores, told.lines, trained.settled.halves,
        written=lambda: unused(clock, members, trained.waived, told),
    )  # fmt: skip
    result = reporting.save(outcome)
    clear(run, texts)
    return result


def unused(clock: Clock, members: list[Member], waived: list[str], told: Told) -> None:
    """Says why the run ends before its budget, where it does.

    Args:
        clock: The clock of the run, when only saving is left.
        members: What was trained.
        waived: What no time was left for.
        told: Told of it.
    """
    seconds = clock.left - clock.reserve()
    if clock.budget is None or seconds < NOTABLE * clock.budget:
        return
    stops = {member.stopped for member in members} - {None}
    if "target" in stops:
        reason = "the target was reached"
    elif "early" in stops:
        reason = "training stopped by itself, because the held-out loss no longer fell"
    elif not stops and waived:
        reason = f"too little for {' and '.join(waived)}, more than the rest needs"
    elif not stops:
        reason = "an n-gram model reads its text once, and more time would not change it"
    else:
        return
    told(f"{duration(seconds)} of the budget are not used: {reason}")


class Trained(NamedTuple):
    """What was trained, and what it is compared with.

    Attributes:
        members: The models.
        settled: What they are compared with.
        waived: Neural models that no time was left for.
    """

    members: list[Member]
    settled: Settled
    waived: list[str]


class Told:
    """What was decided, kept for the report and shown on stderr."""

    def __init__(self, show: bool) -> None:
        self.lines: list[str] = []
        self.show = show

    def __call__(self, line: str) -> None:
        """Keeps a line, and shows it."""
        self.lines.append(line)
        if self.show:
            print(line, file=sys.stderr)


def _members(
    run: Run, texts: Texts, machine: hardware.Machine, clock: Clock, told: Told, starting: float
) -> Trained:
    """Trains what the recipe names (or loads what an interrupted run had finished), and scores the rivals."""
    with clock.stage("counting"):
        earlier, mixed_in = finished("ngram", run), "ngram" in member_names(run.recipe)
        ngram, read = (
            (earlier, Read()) if earlier else count_beside(run, texts, clock, told, told.show, mixed_in)
        )
        began = clock.now()
        keep(ngram, run, texts)
        saving = clock.now() - began
        clock.scoring_speeds["ngram"] = measured_scoring(ngram.model, texts)
    with clock.stage("comparing"):
        names = choose_members(run, texts, machine, clock, ngram, told, told.show)
    members = {"ngram": ngram} if "ngram" in names else {}
    waiting = [name for name in names if name != "ngram"]
    settled: list[Settled] = []
    waived: list[str] = []

    def settle(untrained: dict[str, LanguageModel], begin: Callable[[], None]) -> None:
        """Measures what comes after the last training; before an earlier one there is nothing to do yet."""
        if len(waiting) > 1 or settled:
            return begin()
        with clock.stage("rivals"):
            settled.append(
                settling.settle(
                    run, texts, machine, clock, members, untrained, ngram, read, begin,
                    saving=saving, starting=starting,
                )
            )  # fmt: skip

    for number, name in enumerate(list(waiting)):
        member = finished(name, run)
        if member is None:
            others = [other.model for other in members.values()]
            if not others or clock.training(len(waiting)) >= LEAST_TRAINING_SECONDS:
                member = train_neural(
                    name, run, texts, machine, clock, len(waiting), number, told, told.show, settle, others
                )
            if member is None:
                told(f"{name}: no time is left for it; the model goes without")
                waiting.remove(name)
                waived.append(name)
                continue
            keep(member, run, texts)
        else:
            mixed = mixes(run.recipe.architecture, [member.model])
            clock.scoring_speeds[name] = measured_scoring(member.model, texts, mixed)
        waiting.remove(name)
        members[name] = member
        if member.stopped == "target" and waiting:
            told(
                f"the target is reached; {', '.join(waiting)} {'is' if len(waiting) == 1 else 'are'} not needed"
            )
            waiting.clear()
            break
    settle({}, lambda: None)
    return Trained([members[name] for name in names if name in members], settled[0], waived)


def clear(run: Run, texts: Texts) -> None:
    """Removes the folder of the finished run; a corpus made for it stays beside the model as NAME.corpus.

    The model's own folder holds no training text, so that it can be given away.
    """
    own = run.part("corpus")
    if own.is_dir():
        kept = kept_corpus(run, texts)
        if kept.exists():
            shutil.rmtree(kept)
        own.rename(kept)
    shutil.rmtree(run.directory)
