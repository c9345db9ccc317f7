"""The whole way from a trained model to a student of another size."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from wenmo.api import Model
from wenmo.config import DistilRecipe, Recipe
from wenmo.distillation.finish import plan_finish, with_cache
from wenmo.distillation.result import DistilResult, TeacherFacts
from wenmo.distillation.scoring import score
from wenmo.distillation.sources import find_corpus, load_teachers
from wenmo.distillation.student import STUDENT, StudentTrainer
from wenmo.distillation.targets import Targets
from wenmo.distillation.teacher import Teacher
from wenmo.distillation.teaching import TEACHING_SHARE, TeachingPlan, plan_teaching, teach
from wenmo.errors import Interrupted, ModelError, OptionError, ResourceError, WenmoError
from wenmo.files import atomic_directory, write_text
from wenmo.models.registry import parse_config
from wenmo.progress import counted, quantity
from wenmo.tokenization.stream import spread
from wenmo.training import budget as dial
from wenmo.training import hardware
from wenmo.workflow import reporting
from wenmo.workflow.checks import check_recipe
from wenmo.workflow.clock import Clock
from wenmo.workflow.decision import Shape, decide, initial_model
from wenmo.workflow.members import Member
from wenmo.workflow.pipeline import Told, clear
from wenmo.workflow.run import Run
from wenmo.workflow.texts import Texts, load_texts
from wenmo.workflow.unfinished import begin, content_of, damaged, free_output, resumed

FITTING_TOKENS = 50_000
"""Most held-out tokens on which the weights of the members are fitted."""


@dataclass(frozen=True)
class _Order:
    """What was asked for, as `run.json` keeps it."""

    output: Path
    teachers: tuple[str, ...]
    paths: tuple[str, ...]
    recipe: DistilRecipe

    def recipe_of_student(self, teacher: Model | None = None) -> Recipe:
        """The same as a recipe of `wenmo train`."""
        fields = {
            name: getattr(self.recipe, name)
            for name in self.recipe.model_fields_set - {"hard", "folds", "cache"}
        }
        fields["architecture"] = self.recipe.architecture
        fields["training"] = self.recipe.training.model_copy(update={"softmax": "full"})
        if teacher is not None:
            fields["generation"] = teacher.generation
        return Recipe(**fields)


def distil(
    model: str | Path | Sequence[str | Path] = (),
    paths: str | Path | Sequence[str | Path] = (),
    output: str | Path | None = None,
    recipe: DistilRecipe | None = None,
    *,
    resume: str | Path | None = None,
    progress: bool = True,
    started: float | None = None,
) -> DistilResult:
    """Puts a model, such as a mixture, into one student that predicts as it does.

    Args:
        model: Folder of a trained model; several with the same tokenizer are mixed.
        paths: The text, as `wenmo.train` takes it; the corpus that the model was trained on when not given.
        output: Folder of the student; `runs/NAME-distilled` when not given.
        recipe: What to do; the defaults when not given.
        resume: Folder of an interrupted run: goes on with what it was given, and the others must not be given.
        progress: Whether to tell on stderr what happens.
        started: `time.monotonic()` from which the budget counts; now when not given.

    Returns:
        Scores of the student and the teacher, paths and samples.

    Raises:
        WenmoError: For whatever a user can mend.
        Interrupted: After Ctrl-C; what was done is saved.
    """
    began = time.monotonic() if started is None else started
    teachers, texts = _names(model), _names(paths)
    if resume is not None:
        if teachers or texts or output is not None or recipe is not None:
            raise OptionError("--resume goes on with what the run was given; leave the others out")
        order = _open(Path(resume))
    else:
        order = _new(teachers, texts, output, recipe or DistilRecipe())
    run = Run(order.output, order.paths, order.recipe_of_student())
    go_on = f"what was done is in {run.directory}. Go on with: wenmo distil --resume {run.output}"
    try:
        return _distil(order, run, progress, began)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {go_on}") from None
    except WenmoError as error:
        kept = any(run.part(name).exists() for name in ("teaching", STUDENT))
        if not kept and not isinstance(error, Interrupted):
            shutil.rmtree(run.directory, ignore_errors=True)  # nothing was made that could be gone on with
        if kept and isinstance(error, ResourceError):
            raise ResourceError(f"{error}; {go_on}") from error
        raise


def _names(given: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    return tuple(str(path) for path in ([given] if isinstance(given, str | Path) else given))


def _new(
    teachers: tuple[str, ...], paths: tuple[str, ...], output: str | Path | None, recipe: DistilRecipe
) -> _Order:
    """Checks what was asked for and starts an unfinished run."""
    if not teachers:
        raise OptionError("distil needs a model: name the folder that wenmo train wrote")
    if recipe.architecture in ("auto", "ngram", "mixture"):
        raise OptionError(
            f"--arch {recipe.architecture} is no student: it must be a single neural model, such as transformer or lstm"
        )
    if recipe.training.label_smoothing:
        raise OptionError(
            "--training.label-smoothing has no effect with a teacher, who says how likely every token is; leave it out"
        )
    if recipe.training.softmax == "sampled":
        raise OptionError(
            "--training.softmax sampled does not go with a teacher, who may name any token; leave it out"
        )
    target = (
        Path(output) if output is not None else free_output(f"{Path(teachers[0]).resolve().name}-distilled")
    )
    order = _Order(target.absolute(), teachers, paths, recipe)
    check_recipe(order.recipe_of_student())
    load_teachers(teachers)  # a mistake in their names is told before anything is made
    content = {
        "teachers": teachers,
        "paths": paths,
        "recipe": recipe.model_dump(mode="json", exclude_unset=True),
    }
    begin(order.output, content)
    return order


def _open(path: Path) -> _Order:
    """Opens an interrupted run.

    Raises:
        ModelError: When there is nothing to resume there, it is damaged, or is no distillation.
    """
    output = resumed(path)
    content = content_of(output, "wenmo.json")
    if "teachers" not in content:
        raise ModelError(f"{output} is not being distilled; go on with: wenmo train --resume {output}")
    try:
        recipe = DistilRecipe.model_validate(content["recipe"])
        return _Order(output, tuple(content["teachers"]), tuple(content["paths"]), recipe)
    except (KeyError, TypeError, ValidationError) as error:
        raise damaged(output) from error


def _distil(order: _Order, run: Run, progress: bool, started: float) -> DistilResult:
    teacher = load_teachers(order.teachers)
    recipe = order.recipe_of_student(teacher)
    run = Run(run.output, run.paths, recipe)
    clock = Clock(dial.recipe_seconds(recipe), started)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    told = Told(progress)
    texts = _texts(order, teacher, run, told)
    clock.text_bytes = texts.corpus.bytes("train")
    clock.held_out_bytes = max(texts.corpus.bytes("valid"), texts.corpus.bytes("test"))
    targets, plan, shape, weights = _taught(order, run, teacher, texts, clock, told)
    member = _student(order, run, texts, targets, shape, told.show)
    most = math.inf if clock.budget is None else clock.scoring
    with clock.stage("weights") as seconds:
        limit = min(seconds, most) if clock.budget else most
        cached = order.recipe.cache
        student = with_cache(member, texts, limit, clock.fitting, told) if cached else member.model
    with clock.stage("scores"):
        scores, static, learning = score(student, teacher.model, texts, most)
    for line in scores.unread:
        told(line)
    facts = TeacherFacts(
        models=[str(Path(name).absolute()) for name in order.teachers],
        parameters=teacher.model.num_parameters(),
        static_bits_per_byte=static,
        bits_per_byte=learning,
        weights=weights,
        hard=order.recipe.hard,
        taught=round(plan.taught / len(texts.train.ids), 4),
    )
    told(
        f"the student needs {scores.static:.3f} bits per byte with {quantity(member.model.num_parameters(), '')} "
        + (
            f"parameters and its cache ({next(iter(scores.members.values())):.3f} without), "
            if scores.weights
            else "parameters, "
        )
        + f"its teacher {static:.3f} frozen"
        + (f" and {learning:.3f} learning on" if learning != static else "")
        + f" with {quantity(facts.parameters, '')}"
    )
    outcome = reporting.Outcome(
        run, clock, texts, student, [member], scores, told.lines, teacher=facts.model_dump(mode="json")
    )
    result = reporting.save(outcome)
    clear(run, texts)
    return DistilResult(
        **result.model_dump(exclude={"seconds"}), seconds=round(clock.elapsed, 2), teacher=facts
    )


def _texts(order: _Order, teacher: Model, run: Run, told: Told) -> Texts:
    """Opens the text and cuts it with the teacher's tokenizer."""
    tokenizer_path = run.part("tokenizer")
    if not (tokenizer_path / "tokenizer.json").is_file():
        with atomic_directory(tokenizer_path) as temporary:
            teacher.tokenizer.save(temporary)
    corpus, own = find_corpus(teacher, order.teachers, order.paths, run.recipe, run.part("corpus"), told.show)
    texts = load_texts(corpus, run.recipe, run.directory, told.show)
    told.lines.extend(corpus.manifest.losses())
    names = ", ".join(Path(name).resolve().name for name in order.teachers)
    told(
        f"distilled from {names} ({quantity(teacher.model.num_parameters(), '')} parameters); "
        f"text: {quantity(corpus.bytes('train'), 'B')} to learn from in {counted(corpus.count('train'), 'document')}, "
        f"{quantity(corpus.bytes('valid') + corpus.bytes('test'), 'B')} held out"
    )
    if not own:
        told(
            "the text is not the corpus that the teacher was trained on: "
            "if it has read the test text, its score is too good"
        )
    return texts


def _read_plan(path: Path) -> TeachingPlan:
    try:
        return TeachingPlan.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged; delete the folder of the run and distil again") from error


def _taught(
    order: _Order, run: Run, teacher: Model, texts: Texts, clock: Clock, told: Told
) -> tuple[Targets, TeachingPlan, Shape, dict[str, float]]:
    """Decides how the time is spent, tells it, and asks the teacher; an interrupted run keeps what was decided."""
    machine = hardware.measure_machine(hardware.choose_device(run.recipe.training.device))
    teacher.model.to(machine.device)
    held_out = spread(texts.valid.ids, FITTING_TOKENS).astype(np.int64)
    eos_id = texts.tokenizer.eos_id
    began = time.monotonic()
    made = Teacher.of(teacher.model, held_out, eos_id)
    speed = texts.num_bytes(held_out) / max(time.monotonic() - began, 1e-6)
    clock.scoring_speeds["teacher"] = speed / (2.0 if made.ngram is not None else 1.0)
    if made.left_out:
        told(f"not asked: {', '.join(made.left_out)}, who would repeat the text that is to be learned from")
    known = np.zeros(len(held_out), np.int64)
    if made.ngram is not None:
        known = made.ngram.scan(held_out, True, eos_id)[1]
    directory, plan_path, shape_path = (
        run.part("teaching"),
        run.part("teaching.json"),
        run.part("decision.json"),
    )
    seed = run.recipe.training.seed
    if plan_path.is_file():
        plan = _read_plan(plan_path)
    else:
        plan = plan_teaching(made, texts, TEACHING_SHARE * clock.training(1), order.recipe.folds, seed)
        write_text(plan_path, plan.model_dump_json())
    told(plan.summary(made, known, len(texts.train.ids)))
    decided = shape_path.is_file()
    left = max(clock.training(1) - plan.seconds, 1.0)
    if decided:
        shape = Shape.read(shape_path)
    else:
        shape = decide(order.recipe.architecture, run.recipe, texts, machine, left, seed)
    told(shape.summary(STUDENT, left if clock.budget else None))
    targets = teach(made, texts, plan, directory, told.show)
    plan_finish(run, shape, texts, clock, machine.device, cached=order.recipe.cache)
    if not decided:
        shape = shape.lasting(max(clock.training(1), 1.0))
        shape.write(shape_path)
    return targets, plan, shape, made.mean_weights(known)


def _student(order: _Order, run: Run, texts: Texts, targets: Targets, shape: Shape, progress: bool) -> Member:
    """Trains the student, or goes on where it was interrupted."""
    model = initial_model(parse_config(shape.config), shape.plan, texts.train.ids)
    model.to(hardware.choose_device(run.recipe.training.device))
    trainer = StudentTrainer(
        model, texts.train, targets, texts.valid, shape.plan, hard=order.recipe.hard,
        byte_lengths=texts.tokenizer.byte_lengths, eos_id=texts.tokenizer.eos_id,
        directory=run.part(STUDENT), show_progress=progress, name=STUDENT,
    )  # fmt: skip
    if trainer.has_checkpoint:
        trainer.resume()
    outcome = trainer.run()
    if outcome.stopped == "interrupted":
        raise Interrupted(
            f"interrupted after {outcome.steps} steps; everything is saved in {run.directory}. "
            f"Go on with: wenmo distil --resume {run.output}"
        )
    speed = outcome.tokens / max(outcome.seconds, 1e-9)
    return Member(
        STUDENT,
        model.to("cpu"),
        outcome.curve,
        outcome.stopped,
        shape.plan,
        outcome.seconds,
        outcome.epochs,
        speed,
    )
