"""What `--arch auto` trains: the network of the device, or with time enough the winner of a small experiment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace

from wenmo.comparison.experiment import Found, Round, run_rounds
from wenmo.comparison.results import early_families, family_results
from wenmo.comparison.trials import Candidate, Judge
from wenmo.comparison.words import joined, recommend
from wenmo.config import Recipe
from wenmo.errors import Interrupted, ModelError, OptionError, ResourceError, TrainingError
from wenmo.files import write_text
from wenmo.models.ngram import NgramModel
from wenmo.progress import duration
from wenmo.training import hardware
from wenmo.workflow.clock import Clock
from wenmo.workflow.decision import decide
from wenmo.workflow.members import FAVOURITE, Member, leaves_choice, member_names
from wenmo.workflow.run import Run
from wenmo.workflow.texts import Texts
from wenmo.workflow.trying import candidate, make_judge, neural_families, scored_tokens

LEAST_BUDGET = 600.0
"""Shorter runs have no time to try anything."""
LEAST_TRIAL_SECONDS = 4.0
"""With shorter trials than this nothing is tried."""
FIRST_SHARE = 0.25
"""Every family is tried for this share of the finalists' trials."""
FINALISTS = 2
SEEDS = 3
PER_TRIAL = 0.08
"""Time to build and score a model, as a share of the longest trials."""
PER_MODEL_SECONDS = 1.0
"""Time to decide how a family is trained and to build its models, beside that."""
FIRST_SEED = 1000
"""Trials have seeds of their own."""
PASSES_EACH, MOST_NETWORKS = 14.0, 3
"""Where one network would see the text more than twice this often, the time is divided among several, so that each sees
it at least so often."""


def tries(recipe: Recipe, clock: Clock) -> bool:
    """Whether the families are tried before training: with ten minutes or more, where `auto` was left to choose."""
    return (
        leaves_choice(recipe)
        and recipe.compare.share > 0.0
        and clock.budget is not None
        and clock.budget >= LEAST_BUDGET
    )


def choose_members(
    run: Run,
    texts: Texts,
    machine: hardware.Machine,
    clock: Clock,
    ngram: Member,
    tell: Callable[[str], None],
    progress: bool,
) -> list[str]:
    """Names of the models to train; the choice of an interrupted run is kept.

    Args:
        run: The run.
        texts: What is trained on.
        machine: The measured machine.
        clock: The clock of the run.
        ngram: The counted n-gram model.
        tell: Told what is done, and what was chosen.
        progress: Whether to show progress lines.

    Successive halving (Jamieson & Talwalkar 2016) in two steps: every family is trained for a quarter of a trial; the
    favourite of the device and the best other one are trained for whole trials with several seeds. The other one takes
    its place only if it is better in the mixture with the n-gram model by the test of `wenmo.comparison.testing`, and
    the extrapolation to the time of the run does not speak against it.

    Raises:
        Interrupted: After Ctrl-C; the experiment begins again when the run is resumed.
    """
    path = run.part("trials") / "choice.json"
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            chosen, said = ([str(each) for each in kept[part]] for part in ("members", "said"))
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"{path} is damaged; delete it and go on: the network is chosen again"
            ) from error
        for line in said:
            tell(line)
        return chosen
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        tell(line)

    names = member_names(run.recipe, machine.device)
    if tries(run.recipe, clock):
        default = next(name for name in names if name != "ngram")
        others = [name for name in neural_families() if name != default]
        # Of an interrupted experiment, with other lengths.
        shutil.rmtree(run.part("trials"), ignore_errors=True)
        try:
            winner = _try(default, others, run, texts, machine, clock, ngram, say, progress)
        except Interrupted as error:
            raise Interrupted(
                f"{error}; everything is saved in {run.directory}. Go on with: wenmo train --resume {run.output}"
            ) from None
        names = [winner if name == default else name for name in names]
        lines[:] = lines[1:] or lines  # what was about to be tried is not told again
    elif leaves_choice(run.recipe) and machine.device in FAVOURITE:
        say(
            f"auto: {FAVOURITE[machine.device]}, which learns more than a Transformer in the same time on a "
            f"{machine.device.upper()}; --arch mixture trains a Transformer, which other programs open"
        )
    if leaves_choice(run.recipe):  # on another device it might be another one
        if clock.budget is not None and clock.budget >= LEAST_BUDGET:
            names = several(names, run.recipe, texts, machine, clock, say)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"members": names, "said": lines}, ensure_ascii=False))
    return names


def several(
    names: list[str],
    recipe: Recipe,
    texts: Texts,
    machine: hardware.Machine,
    clock: Clock,
    tell: Callable[[str], None],
) -> list[str]:
    """Gives the network companions of its own family, with seeds of their own, where the text would be seen too often.

    One network that sees a text so often learns it by heart. Several that share the time err in different places, and
    their mixture is better (Hansen & Salamon 1990; docs/lab.md).

    Args:
        names: The network to train, and the n-gram model.
        recipe: What was asked for.
        texts: What is trained on.
        machine: The measured machine.
        clock: The clock of the run.
        tell: Told what was chosen.
    """
    if recipe.size is not None or recipe.target is not None:
        return names
    family = next(name for name in names if name != "ngram")
    seed = recipe.training.seed
    with clock.stage("deciding"):
        passes = decide(family, recipe, texts, machine, clock.training(1), seed).epochs
    count = min(int(passes / PASSES_EACH), MOST_NETWORKS)
    if count < 2:
        return names
    tell(
        f"auto: {count} networks of {family} with seeds of their own share the time, since one would read the text "
        f"{passes:.0f} times and learn it by heart"
    )
    more = [f"{family}-{number}" for number in range(2, count + 1)]
    place = names.index(family) + 1
    return [*names[:place], *more, *names[place:]]


def _try(
    default: str,
    others: Sequence[str],
    run: Run,
    texts: Texts,
    machine: hardware.Machine,
    clock: Clock,
    ngram: Member,
    tell: Callable[[str], None],
    progress: bool,
) -> str:
    """Tries the families and returns the one to train."""
    assert clock.budget is not None and isinstance(ngram.model, NgramModel)
    directory, families = run.part("trials"), [default, *others]
    ends = clock.elapsed + run.recipe.compare.share * clock.budget
    finals = FINALISTS * SEEDS
    seconds = (ends - clock.elapsed - PER_MODEL_SECONDS * (len(families) + FINALISTS)) / (
        FIRST_SHARE * len(families) + finals + PER_TRIAL * (len(families) + finals)
    )
    if seconds < LEAST_TRIAL_SECONDS:
        tell(
            f"auto: {default}, without trying others: {run.recipe.compare.share:.0%} of the budget is too short for it"
        )
        return default
    target = max(clock.training(1) - (ends - clock.elapsed), seconds)
    candidates: dict[tuple[str, float], Candidate] = {}

    def add(names: Sequence[str], share: float) -> list[float]:
        speeds = []
        for name in names:
            try:
                found, speed = candidate(name, share, run.recipe, texts, machine, seconds)
            except (OptionError, ResourceError) as error:
                if name == default:
                    raise
                tell(f"auto: {name} is not tried, since {error}")
                continue
            plan = found.plan.model_copy(update={"seconds": seconds * share})
            candidates[name, share] = replace(found, plan=plan)
            speeds.append(speed)
        return speeds

    speeds = add(families, FIRST_SHARE)
    families = [name for name, _ in candidates]
    if len(families) < 2:
        return default
    judge = make_judge(texts, scored_tokens(speeds, seconds), ngram.model)
    rounds = [Round(FIRST_SHARE, FIRST_SEED), *(Round(1.0, FIRST_SEED + 1 + seed) for seed in range(SEEDS))]
    tell(
        f"auto: trying {joined(families)} for {duration(seconds * FIRST_SHARE)} each, then {default} and the best "
        f"other one {SEEDS} times for {duration(seconds)}; about {duration(ends - clock.elapsed)}"
    )

    def run_some(some: Sequence[Round], found: Found | None = None) -> Found:
        return run_rounds(
            candidates, some, texts, judge, machine.device, directory, tell=tell, progress=progress, found=found
        )  # fmt: skip

    try:
        first = run_some(rounds[:1])
        scores = {trial.name: sum(trial.mixed_nats) for trial in first.trials}
        rival = min((name for name in others if name in scores), key=lambda name: scores[name])
        finalists = [default, rival]
        candidates = {key: found for key, found in candidates.items() if key[0] in finalists}
        add(finalists, 1.0)
        if (rival, 1.0) not in candidates:
            return default
        kept = Found([trial for trial in first.trials if trial.name in finalists])
        found = run_some(rounds[1:], kept)
    except TrainingError as error:
        tell(f"auto: {default}, since {error}")
        return default
    return _winner(default, rival, found, candidates, judge, seconds, target, tell)


def _winner(
    default: str,
    rival: str,
    found: Found,
    candidates: dict[tuple[str, float], Candidate],
    judge: Judge,
    seconds: float,
    target: float,
    tell: Callable[[str], None],
) -> str:
    """Decides by the scores in the mixture, and says so in one line."""
    mixed = Found([replace(trial, nats=trial.mixed_nats) for trial in found.trials])
    families, pairs, _, _ = family_results(mixed, candidates, judge.block_bytes, target)
    early = early_families(found, judge)
    advice = recommend(families, pairs, duration(seconds), duration(target), early=early)
    winner = advice.family if advice.decided else default
    loser = rival if winner == default else default
    score = {family.name: family.score.bits_per_byte for family in families}
    doubt = "it is too early to tell" if early else "the difference may be chance"
    reason = "" if advice.decided else f"; {doubt}, so the default stays"
    tell(
        f"auto: {winner} ({score[winner]:.3f} bits per byte in the mixture after {duration(seconds)}, "
        f"{loser} {score[loser]:.3f}{reason})"
    )
    return winner
