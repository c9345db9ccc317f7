"""`wenmo compare`: which architecture suits a text, found out by equal-time trainings of each."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from pydantic import ValidationError

from wenmo.comparison.experiment import Found, design, run_rounds, trial_seconds
from wenmo.comparison.report import write_page
from wenmo.comparison.results import ComparisonResult, early_families, family_results
from wenmo.comparison.setup import Setup, read_setup, write_setup
from wenmo.comparison.trials import Candidate
from wenmo.comparison.words import plan_sentence, recommend
from wenmo.config import ComparisonRecipe, Recipe
from wenmo.errors import Interrupted, ModelError, OptionError, ResourceError, WenmoError
from wenmo.files import atomic_directory, write_text
from wenmo.models.likelihood import bits_per_byte
from wenmo.models.ngram import NgramModel
from wenmo.models.registry import architectures
from wenmo.progress import duration, quantity
from wenmo.training import budget as dial
from wenmo.training import hardware
from wenmo.workflow.checks import check_recipe
from wenmo.workflow.clock import Clock
from wenmo.workflow.counting import train_ngram
from wenmo.workflow.pipeline import Told
from wenmo.workflow.run import Run
from wenmo.workflow.texts import Texts, load_texts, open_corpus
from wenmo.workflow.trying import candidate, make_judge, neural_families, scored_tokens
from wenmo.workflow.unfinished import RECORD, begin, content_of, free_output, resumed, run_folder

LEAST_TRIAL_SECONDS = 3.0
"""Shorter trainings than this say nothing about longer ones."""
DECIDING_SECONDS = 0.3
"""Time to decide how a family is trained, until it is known."""
COMPLETE = "comparison.json"


def compare(
    paths: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    recipe: ComparisonRecipe | None = None,
    *,
    resume: str | Path | None = None,
    progress: bool = True,
    started: float | None = None,
) -> ComparisonResult:
    """Trains every family for the same time with several seeds, and says which one suits the text.

    Args:
        paths: Files, folders, globs, `-` for standard input, or one prepared corpus.
        output: Folder of the result; `runs/NAME-compared` when not given.
        recipe: What to compare, and how; the defaults when not given.
        resume: Folder of an interrupted comparison: finished trainings are used, the others are done. `paths`,
            `output` and `recipe` must not be given.
        progress: Whether to tell on stderr what happens.
        started: `time.monotonic()` from which the budget counts; now when not given.

    Returns:
        Scores, predictions, speeds, the test and the recommendation.

    Raises:
        WenmoError: For whatever a user can mend.
        Interrupted: After Ctrl-C; what was done is saved.
    """
    names = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if resume is not None:
        if names or output is not None or recipe is not None:
            raise OptionError(
                "--resume goes on with the paths and the recipe of the comparison; leave the others out"
            )
        run, asked = _open(Path(resume))
    else:
        asked = recipe or ComparisonRecipe()
        plain = check_recipe(_plain(asked))
        stem = (Path(names[0].rstrip("/*?")).name if names and names[0] != "-" else "text").split(".")[0]
        chosen = free_output(f"{stem or 'text'}-compared") if output is None else Path(output)
        run = Run(chosen.absolute(), tuple(names), plain)
        begin(run.output, {"paths": names, "comparison": asked.model_dump(mode="json")})
    try:
        return _compare(run, asked, progress, time.monotonic() if started is None else started)
    except (KeyboardInterrupt, Interrupted) as error:
        reason = str(error) or "interrupted"
        raise Interrupted(
            f"{reason}; what was done is in {run.directory}. Go on with: wenmo compare --resume {run.output}"
        ) from None
    except WenmoError as error:
        if not list(run.part("trials").glob("*.json")):
            shutil.rmtree(run.directory, ignore_errors=True)
        elif isinstance(error, ResourceError):
            kept = f"what was done is in {run.directory}. Go on with: wenmo compare --resume {run.output}"
            raise ResourceError(f"{error}; {kept}") from error
        raise


def families_of(asked: ComparisonRecipe) -> tuple[str, ...]:
    """The families that are compared.

    Raises:
        OptionError: When one is unknown or cannot be compared, or there are not two.
    """
    possible = neural_families()
    for name in asked.architectures:
        if name in possible:
            continue
        if name == "ngram":
            raise OptionError(
                "--arch ngram: the n-gram model is counted beside the others anyway; leave it out"
            )
        why = "is made of several" if name in ("auto", *architectures()) else "is unknown"
        raise OptionError(f"--arch {name} {why}; choose from {', '.join(possible)}")
    families = asked.architectures or possible
    if len(set(families)) != len(families) or len(families) < 2:
        raise OptionError(f"--arch {','.join(families)}: name at least two different families to compare")
    return families


def _plain(asked: ComparisonRecipe) -> Recipe:
    """The part of the recipe that all trainings share."""
    if asked.target_budget is not None:
        dial.parse_duration(asked.target_budget)
    shared = {
        name: getattr(asked, name) for name in ("budget", "size", "corpus", "tokenizer", "model", "training")
    }
    return Recipe(architecture="mixture", members=families_of(asked), **shared)


def _open(path: Path) -> tuple[Run, ComparisonRecipe]:
    output = resumed(path)
    directory = run_folder(output)
    if not (directory / RECORD).is_file() and not (output / COMPLETE).is_file():
        raise ModelError(f"no interrupted comparison in {directory}; compare without --resume")
    content = content_of(output, COMPLETE)
    if "comparison" not in content:
        raise ModelError(f"{directory} is no comparison; go on with: wenmo train --resume {output}")
    try:
        asked = ComparisonRecipe.model_validate(content["comparison"])
        return Run(output, tuple(content["paths"]), _plain(asked)), asked
    except (KeyError, TypeError, ValidationError) as error:
        raise ModelError(f"{directory / RECORD} is damaged; delete {directory} and compare again") from error


def _compare(run: Run, asked: ComparisonRecipe, progress: bool, started: float) -> ComparisonResult:
    recipe = run.recipe
    clock = Clock(dial.recipe_seconds(recipe), started)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    corpus = open_corpus(run.paths, recipe, run.part("corpus"), progress)
    texts = load_texts(corpus, recipe, run.directory, progress)
    told = Told(progress)
    device = hardware.choose_device(recipe.training.device)
    setup = read_setup(run.part("setup"))
    if setup is None:
        setup = _set_up(run, asked, texts, clock, hardware.measure_machine(device), told)
        write_setup(setup, run.part("setup"))
    for line in setup.lines:
        told(line)
    found = run_rounds(
        setup.candidates,
        setup.rounds,
        texts,
        setup.judge,
        device,
        run.part("trials"),
        tell=told,
        progress=progress,
    )
    return _finish(run, asked, texts, clock, setup, found, told)


def _set_up(
    run: Run, asked: ComparisonRecipe, texts: Texts, clock: Clock, machine: hardware.Machine, told: Told
) -> Setup:
    """Counts the n-gram model, and decides how long and how each family is trained."""
    recipe, names = run.recipe, run.recipe.members
    clock.text_bytes = texts.corpus.bytes("train")
    clock.held_out_bytes = max(texts.corpus.bytes("valid"), texts.corpus.bytes("test"))
    told(
        f"text: {quantity(clock.text_bytes, 'B')} to learn from in {texts.corpus.count('train'):,} documents; "
        f"{texts.tokenizer.kind} tokenizer, {texts.tokenizer.vocab_size:,} tokens of {texts.bytes_per_token:.2f} bytes"
    )
    ngram = train_ngram(texts, clock, recipe.training.seed, told, told.show)
    assert isinstance(ngram.model, NgramModel)
    # It learns as fast as it scores, and reads the test text twice.
    clock.scoring_speeds["ngram"] = 0.5 * ngram.tokens_per_second * texts.bytes_per_token
    rounds = design(asked.seeds, recipe.training.seed)
    target = asked.target_budget or (recipe.budget if clock.budget is not None else None)
    target_seconds = _training_seconds(target, clock) if target else None
    deciding = DECIDING_SECONDS * len(names) * len({item.share for item in rounds})
    seconds = None if clock.budget is None else trial_seconds(clock.left - deciding, len(names), rounds)
    _check_length(seconds, names, asked, clock, deciding)
    candidates: dict[tuple[str, float], Candidate] = {}
    speeds: list[float] = []
    for name in names:
        for share in sorted({item.share for item in rounds}):
            candidates[name, share], speed = candidate(name, share, recipe, texts, machine, seconds)
            speeds.append(speed)
    if seconds is not None:
        seconds = max(trial_seconds(clock.left, len(names), rounds), LEAST_TRIAL_SECONDS)
        candidates = {key: _lasting(found, seconds * key[1]) for key, found in candidates.items()}
    steps = recipe.training.steps and f"{recipe.training.steps:,} steps"
    length = duration(seconds) if seconds is not None else steps or f"{recipe.training.epochs:g} epochs"
    judge = make_judge(texts, scored_tokens(speeds, 60.0 if seconds is None else seconds), ngram.model)
    memory = max(found.memory for found in candidates.values())
    estimate = "" if clock.budget is None else f", about {duration(clock.budget)} in all"
    plan = plan_sentence(names, length, [item.share for item in rounds])
    lines = [
        f"{plan}{estimate}, at most {quantity(memory, 'B')} of memory",
        *(
            f"{name}: {quantity(found.parameters, '')} parameters, context {found.plan.context}, {found.plan.optimizer}"
            for (name, share), found in candidates.items()
            if share == 1.0
        ),
    ]
    score = bits_per_byte(judge.ngram, int(judge.block_bytes.sum()))
    return Setup(candidates, rounds, judge, seconds, length, target, target_seconds, score, lines)


def _lasting(found: Candidate, seconds: float) -> Candidate:
    plan = found.plan.model_copy(update={"seconds": seconds})
    return Candidate(**{**vars(found), "plan": plan})


def _training_seconds(target: str, clock: Clock) -> float:
    """Seconds of a run of the budget `target` that are left for one neural model, the rest taking as long as here.

    Raises:
        OptionError: When nothing is left.
    """
    later = Clock(
        dial.parse_duration(target),
        clock.started,
        clock.text_bytes,
        clock.held_out_bytes,
        clock.scoring_speeds,
    )
    seconds = later.training(1)
    if seconds < 1.0:
        raise OptionError(f"a run of {target} has no time to train on this text; give a longer --for")
    return seconds


def _check_length(
    seconds: float | None, names: Sequence[str], asked: ComparisonRecipe, clock: Clock, deciding: float
) -> None:
    if seconds is None or seconds >= LEAST_TRIAL_SECONDS:
        return
    rounds = design(asked.seeds, 0)
    least = clock.elapsed + deciding + 1.0
    while trial_seconds(least - clock.elapsed - deciding, len(names), rounds) < LEAST_TRIAL_SECONDS:
        least *= 1.05
    raise OptionError(
        f"--budget {asked.budget} is too short for {len(names)} families and {asked.seeds} seeds; give at least "
        f"{int(least / 10 + 1) * 10}s, or name fewer families (--arch) or fewer --seeds"
    )


def _finish(
    run: Run, asked: ComparisonRecipe, texts: Texts, clock: Clock, setup: Setup, found: Found, told: Told
) -> ComparisonResult:
    """Tests, recommends, writes the folder of the result, and clears the rest away."""
    blocks = setup.judge.block_bytes
    early = early_families(found, setup.judge)
    target, target_seconds = (None, None) if early else (setup.target, setup.target_seconds)
    families, pairs, verdict, curves = family_results(found, setup.candidates, blocks, target_seconds)
    reach = target_seconds / setup.seconds if target_seconds and setup.seconds else 1.0
    advice = recommend(families, pairs, setup.length, target or "", setup.ngram, early, reach)
    own = texts.corpus.path.absolute() == run.part("corpus")
    corpus = run.output.with_name(run.output.name + ".corpus") if own else texts.corpus.path.absolute()
    result = ComparisonResult(
        comparison=str(run.output),
        report=str(run.output / "report.html"),
        seconds=round(clock.elapsed, 2),
        budget=clock.budget,
        trial=setup.length,
        trial_seconds=setup.seconds,
        target=target,
        target_seconds=target_seconds,
        recommended=advice.family,
        decided=advice.decided,
        recommendation=advice.sentence,
        families=families,
        pairs=pairs,
        test=verdict.statement,
        ngram=setup.ngram,
        bytes=int(blocks.sum()),
        failed=found.failed,
        corpus=str(corpus),
    )
    with atomic_directory(run.output) as folder:
        write_page(
            result, curves, told.lines, asked.model_dump(mode="json"), folder / "report.html", run.output.name
        )
        write_text(
            folder / COMPLETE, json.dumps(result.model_dump(mode="json"), ensure_ascii=False, indent=2)
        )
        trials = {"block_bytes": blocks.tolist(), "trials": [asdict(trial) for trial in found.trials]}
        write_text(folder / "trials.json", json.dumps(trials))
    if own:
        shutil.rmtree(corpus, ignore_errors=True)
        run.part("corpus").rename(corpus)
    shutil.rmtree(run.directory)
    return result
