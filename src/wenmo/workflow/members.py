"""Training of the single models of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wenmo.config import ModelSettings, Recipe, TrainingSettings
from wenmo.errors import Interrupted, OptionError
from wenmo.models.base import LanguageModel
from wenmo.models.registry import member_architectures, parse_config
from wenmo.models.storage import load_model, save_model
from wenmo.progress import duration
from wenmo.training import hardware
from wenmo.training.curve import Ending
from wenmo.training.embedding_init import initialise_embedding
from wenmo.training.outcome import CurveRow, Stopped, TrainingOutcome
from wenmo.training.plan import TrainingPlan
from wenmo.training.trainer import Trainer
from wenmo.training.world import processes
from wenmo.workflow import team
from wenmo.workflow.clock import Clock
from wenmo.workflow.decision import Shape, build, decide
from wenmo.workflow.finish import measured_scoring
from wenmo.workflow.mixing import mixes
from wenmo.workflow.run import Run
from wenmo.workflow.target import parse_target
from wenmo.workflow.texts import Texts
from wenmo.workflow.watching import Watch

MEMBERS = ("transformer", "ngram")
"""Families in a mixture where none is named."""
FAVOURITE = {"cpu": "mingru"}
"""The network that `--arch auto` trains by device; elsewhere it is the first of `MEMBERS`. On a CPU minGRU takes
up to 1.4 times as many steps as a Transformer of its size, and learns more from each (docs/lab.md, 2026-11-27)."""

LEAST_TRAINING_SECONDS = 1.0
"""With less time than this a neural model is not begun where there are others."""


@dataclass
class Member:
    """A trained model of a run.

    Attributes:
        name: Its architecture, numbered when there are several of one family.
        model: The model with its best weights.
        curve: Its evaluations during training; empty for the n-gram model.
        stopped: Why its training ended.
        plan: The resolved numbers of its training; None for the n-gram model.
        seconds: Training time.
        epochs: Passes over the text.
        tokens_per_second: Speed of its training.
        ending: Where its held-out loss was predicted to end, early in the training; None where it was not.
        whole: Score of the whole model on held-out text at the last evaluation, where there was a target.
        target: The target in bits per byte of that text.
        best: Lowest held-out loss, bits per byte.
    """

    name: str
    model: LanguageModel
    curve: list[CurveRow]
    stopped: Stopped | None
    plan: TrainingPlan | None
    seconds: float
    epochs: float
    tokens_per_second: float
    ending: Ending | None = None
    whole: float | None = None
    target: float | None = None
    best: float | None = None


def leaves_choice(recipe: Recipe) -> bool:
    """Whether `--arch auto` was left to choose the network.

    It was where there are no members of the user's own, and no setting that only some families have. Several processes
    that train together train what `--members` names.
    """
    plain = recipe.model == ModelSettings(
        **{name: getattr(recipe.model, name) for name in ("context", "dropout")}
    )
    return (
        recipe.architecture == "auto"
        and not recipe.members
        and plain
        and recipe.training.compile != "on"
        and processes() == 1
    )


def member_names(recipe: Recipe, device: str = "") -> list[str]:
    """Names of the models to train: families, numbered where one is named more than once.

    Args:
        recipe: What was asked for.
        device: Where it is trained, which decides the network that `--arch auto` trains; the recipe's when not given.

    Raises:
        OptionError: When a mixture names an unknown family.
    """
    if recipe.architecture not in ("auto", "mixture"):
        return [recipe.architecture]
    families = recipe.members or MEMBERS
    if leaves_choice(recipe):
        favourite = FAVOURITE.get(device or hardware.choose_device(recipe.training.device), families[0])
        families = (favourite, *families[1:])
    known = member_architectures()
    names: list[str] = []
    for family in families:
        if family not in known:
            raise OptionError(f"--members {family}: unknown family; choose from {', '.join(known)}")
        count = sum(name.split("-")[0] == family for name in names)
        names.append(f"{family}-{count + 1}" if count else family)
    return names


def train_neural(
    name: str,
    run: Run,
    texts: Texts,
    machine: hardware.Machine,
    clock: Clock,
    waiting: int,
    number: int,
    tell: Callable[[str], None],
    progress: bool,
    settle: Callable[[dict[str, LanguageModel], Callable[[], None]], None],
    others: list[LanguageModel],
) -> Member | None:
    """Trains one neural model, or goes on where it was interrupted; None where others do and no time is left for it.

    Args:
        name: Name of the member; its family stands before the hyphen.
        run: The run.
        texts: What to train on.
        machine: The measured machine.
        clock: The clock of the run.
        waiting: Neural models still to be trained, with this one.
        number: Position among the members, which sets the seed apart.
        tell: Told what was decided.
        progress: Whether to show a progress line.
        settle: Told of the new model, by its name, before the time of its training is fixed; makes the second
            argument's call, which gives the model what its weights begin with, beside its own work.
        others: Members that are trained already, which make up the whole model with this one.

    Raises:
        Interrupted: After Ctrl-C; the checkpoint is saved.
    """
    directory = run.part(f"members/{name}")
    record = directory / "decision.json"
    architecture = name.split("-")[0]
    decided = record.is_file()
    if decided:
        shape = Shape.read(record)
    else:
        seed = run.recipe.training.seed + number
        with clock.stage("deciding"):
            recipe = alike(finer(run.recipe), others)
            shape = decide(architecture, recipe, texts, machine, clock.training(waiting), seed)
    with clock.stage("deciding"):
        model = build(parse_config(shape.config), shape.plan.seed).to(machine.device)
    mixed = mixes(run.recipe.architecture, [model])
    clock.scoring_speeds[name] = measured_scoring(model, texts, mixed)
    plan = shape.plan
    settle(
        {name: model}, lambda: initialise_embedding(model, texts.train.ids, plan.seed, plan.embedding_tokens)
    )
    model.to("cpu")
    if not decided:
        left = clock.training(waiting, undecided=waiting - 1)
        if others and left < LEAST_TRAINING_SECONDS:
            del clock.scoring_speeds[name]
            return None
        shape = shape.lasting(left)
        shape.write(record)
    tell(shape.summary(name, shape.plan.seconds))
    world = team.together(model, shape.plan, machine.device, run.directory, name, progress)
    device = world.device(machine.device)
    if world.alone or shape.plan.parallel == "ddp":
        model.to(device)
    watch = Watch(name, shape.plan, tell)
    trainer = Trainer(
        model, texts.train, texts.valid, shape.plan, byte_lengths=texts.tokenizer.byte_lengths,
        eos_id=texts.tokenizer.eos_id, directory=directory, show_progress=progress, name=name,
        world=world, device=device, watch=watch,
    )  # fmt: skip
    if run.recipe.target is not None:
        watch.aim(parse_target(run.recipe.target), texts, others, trainer.held_out)
    if trainer.has_checkpoint:
        trainer.resume()
        watch.resume(trainer.curve)
    with clock.stage("training"):
        outcome = trainer.run()
    if outcome.stopped == "interrupted":
        raise Interrupted(
            f"interrupted after {outcome.steps} steps of {name}; everything is saved in {run.directory}. "
            f"Go on with: wenmo train --resume {run.output}"
        )
    speed = outcome.tokens / max(outcome.seconds, 1e-9)
    _tell_end(name, outcome, shape.plan, tell)
    return Member(
        name,
        model.to("cpu"),
        outcome.curve,
        outcome.stopped,
        shape.plan,
        outcome.seconds,
        outcome.epochs,
        speed,
        watch.ending,
        watch.whole,
        watch.target,
        outcome.best_bpb,
    )


def _tell_end(name: str, outcome: TrainingOutcome, plan: TrainingPlan, tell: Callable[[str], None]) -> None:
    """Says why a training ended before its time."""
    if outcome.stopped != "early":
        return
    unused = max((plan.seconds or 0.0) - outcome.seconds, 0.0)
    tell(
        f"{name}: stopped by itself after {duration(outcome.seconds)}, because its held-out loss had not fallen "
        f"for {plan.patience} evaluations"
        + (f"; {duration(unused)} of its time were not used" if unused else "")
    )


def finer(recipe: Recipe) -> Recipe:
    """With a target, evaluates twice as often, so that training ends soon after it is reached."""
    plain, training = TrainingSettings(), recipe.training
    if recipe.target is None or training.evaluations != plain.evaluations:
        return recipe
    changes = {"evaluations": 2 * training.evaluations}
    if training.patience == plain.patience:
        changes["patience"] = 2 * training.patience
    return recipe.model_copy(update={"training": training.model_copy(update=changes)})


def alike(recipe: Recipe, others: Sequence[LanguageModel]) -> Recipe:
    """Gives a further neural member the context of those before it: a mixture reads all in windows of one length."""
    trained = [other.context_length for other in others if other.trainable]
    if not trained or recipe.model.context is not None:
        return recipe
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"context": trained[0]})})


def keep(member: Member, run: Run, texts: Texts) -> None:
    """Saves a finished member inside the run, so that an interruption later loses nothing."""
    facts = {k: v for k, v in vars(member).items() if k not in ("model", "curve", "plan", "ending")}
    info = {
        "ending": vars(member.ending) if member.ending else None,
        "member": facts,
        "curve": [vars(row) for row in member.curve],
        "plan": member.plan.model_dump(mode="json") if member.plan else None,
    }
    save_model(member.model, run.part(f"finished/{member.name}"), tokenizer=texts.tokenizer, info=info)


def finished(name: str, run: Run) -> Member | None:
    """Loads a member that `keep` saved, or returns None."""
    directory = run.part(f"finished/{name}")
    if not (directory / "wenmo.json").is_file():
        return None
    loaded = load_model(directory)
    info = loaded.info
    plan = TrainingPlan.model_validate(info["plan"]) if info["plan"] else None
    return Member(
        model=loaded.model,
        curve=[CurveRow(**row) for row in info["curve"]],
        plan=plan,
        ending=Ending(**info["ending"]) if info["ending"] else None,
        **info["member"],
    )
