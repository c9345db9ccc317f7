"""`wenmo train`: raw files in, a scored and saved model out, within the budget."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from wenmo.config import Recipe
from wenmo.errors import Interrupted, LostProcessError, OptionError, ResourceError, WenmoError
from wenmo.models.ngram import NgramModel
from wenmo.progress import duration, quantity
from wenmo.training import budget as dial
from wenmo.training import hardware
from wenmo.training.world import join, restartable, watched
from wenmo.workflow import reporting, team
from wenmo.workflow.assisting import assist
from wenmo.workflow.checks import check_recipe
from wenmo.workflow.choosing import choose_members
from wenmo.workflow.clock import Clock
from wenmo.workflow.members import (
    Member,
    finished,
    keep,
    scoring_speed,
    train_neural,
    train_ngram,
)
from wenmo.workflow.reporting import kept_corpus
from wenmo.workflow.result import TrainResult
from wenmo.workflow.run import Run, new_run, open_run
from wenmo.workflow.scoring import mix, placed, score
from wenmo.workflow.texts import Texts, load_texts, open_corpus

LEAST_TRAINING_SECONDS = 1.0
"""With less time than this a neural model is not begun."""


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
        with watched(world):
            result = _train(run, progress, time.monotonic() if started is None else started)
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


def _train(run: Run, progress: bool, started: float) -> TrainResult:
    recipe = run.recipe
    counted = recipe.training.steps is None and recipe.training.epochs is None
    clock = Clock(dial.parse_duration(recipe.budget) if recipe.budget and counted else None, started)
    if recipe.training.threads:
        team.use_threads(recipe.training.threads)
    corpus = open_corpus(run.paths, recipe, run.part("corpus"), progress)
    texts = load_texts(corpus, recipe, run.directory, progress)
    clock.text_bytes = corpus.bytes("train")
    clock.held_out_bytes = max(corpus.bytes("valid"), corpus.bytes("test"))
    machine = hardware.measure_machine(hardware.choose_device(recipe.training.device)).shared(join().size)
    told = Told(progress)
    told.lines.extend(corpus.manifest.losses())
    told(
        f"text: {quantity(corpus.bytes('train'), 'B')} to learn from in {corpus.count('train'):,} documents, "
        f"{quantity(corpus.bytes('valid') + corpus.bytes('test'), 'B')} held out; "
        f"{texts.tokenizer.kind} tokenizer, {texts.tokenizer.vocab_size:,} tokens of "
        f"{texts.bytes_per_token:.2f} bytes; time: {duration(clock.budget) if clock.budget else 'as steps need'}"
    )
    members, ngram = _members(run, texts, machine, clock, told)
    assert isinstance(ngram.model, NgramModel)
    with placed(members, machine.device):
        model = mix(members, texts, clock)
        scores = score(model, members, ngram.model, texts, clock)
    outcome = reporting.Outcome(run, clock, texts, model, members, scores, told.lines)
    result = reporting.save(outcome)
    _clear(run, texts)
    return result


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
    run: Run, texts: Texts, machine: hardware.Machine, clock: Clock, told: Told
) -> tuple[list[Member], Member]:
    """Trains what the recipe names (or loads what an interrupted run had finished), and the n-gram baseline."""
    ngram = finished("ngram", run) or train_ngram(texts, clock, run.recipe.training.seed, told, told.show)
    keep(ngram, run, texts)
    clock.scoring_speeds["ngram"] = scoring_speed("ngram", ngram.tokens_per_second, texts)
    names = choose_members(run, texts, machine, clock, ngram, told, told.show)
    waiting = [name for name in names if name != "ngram"]
    members: dict[str, Member] = {}
    for number, name in enumerate(list(waiting)):
        member = finished(name, run)
        if member is None:
            seconds = clock.training(len(waiting))
            if seconds < LEAST_TRAINING_SECONDS and "ngram" in names:
                told(f"{name}: no time is left for it; the model goes without")
                waiting.remove(name)
                continue
            member = train_neural(name, run, texts, machine, clock, len(waiting), number, told, told.show)
            keep(member, run, texts)
        waiting.remove(name)
        members[name] = member
        clock.scoring_speeds[name] = scoring_speed(name, member.tokens_per_second, texts)
    if "ngram" in names:
        members["ngram"] = ngram
    return [members[name] for name in names if name in members], ngram


def _clear(run: Run, texts: Texts) -> None:
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
