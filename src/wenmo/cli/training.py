"""The verb `train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from pydantic import Field

from wenmo.cli import started as command_started
from wenmo.cli.options import Common, given, paths_given, recipe_of
from wenmo.cli.process import importing, leads
from wenmo.config import Architecture, Recipe
from wenmo.errors import OptionError

if TYPE_CHECKING:
    from wenmo.workflow import TrainResult


@Parameter(name="*")
class TrainOptions(Recipe):
    """The recipe as options; `--arch` is short for `--architecture`."""

    architecture: Annotated[Architecture, Parameter(name=("--arch", "--architecture"))] = Field(
        default=Recipe.model_fields["architecture"].default,
        description=Recipe.model_fields["architecture"].description,
    )


def train(
    paths: Annotated[list[str] | None, Parameter(negative=())] = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    config: Path | None = None,
    resume: Path | None = None,
    options: TrainOptions | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Train a language model on your text; with --target and no --budget, say how long that would take.

    Args:
        paths: Files, folders, globs, a prepared corpus, or - for standard input.
        output: Folder of the model; a new one under runs/ when not given.
        config: YAML file with fields of the recipe; options given here go before it.
        resume: Folder of an interrupted run to go on with.
        options: Fields of the recipe.
        common: Options of every verb.
    """
    if not paths and resume is None:
        raise OptionError("train needs text: name files or folders, or - for standard input")
    resumed_as_it_was = resume is not None and config is None and not given(options)
    recipe = None if resumed_as_it_was else recipe_of(Recipe, config, options)

    if recipe is not None and resume is None and asks_for_time(recipe):
        _estimate(paths_given(paths or []), recipe, output, common)
        return

    with importing():
        from wenmo.workflow import train as run

    result = run(
        paths_given(paths or []),
        output,
        recipe,
        resume=resume,
        progress=not common.quiet,
        started=command_started(),
    )
    if not leads():
        return
    if common.json:
        from wenmo.cli.output import print_json

        print_json(result)
    else:
        _print(result)


def asks_for_time(recipe: Recipe) -> bool:
    """Whether a score is asked for and nothing says how long to train."""
    told_when = recipe.training.steps is not None or recipe.training.epochs is not None
    return recipe.target is not None and "budget" not in recipe.model_fields_set and not told_when


def _estimate(paths: list[str], recipe: Recipe, output: Path | None, common: Common) -> None:
    if output is not None:
        raise OptionError(
            "--target alone asks how long it takes and makes no model; give --budget too, or no --output"
        )

    from wenmo.workflow import estimate

    found = estimate(paths, recipe, progress=not common.quiet, started=command_started())
    if common.json:
        from wenmo.cli.output import print_json

        print_json(found)
    else:
        print(found.sentence)


def _print(result: TrainResult) -> None:
    from wenmo.cli.output import from_here, print_scores
    from wenmo.evaluation.report import mixture_name
    from wenmo.progress import duration, quantity

    print()
    baselines = {f"baseline {name}": score for name, score in result.baselines.items()}
    name = mixture_name(result.weights) if result.weights else next(iter(result.members), "this model")
    scores = {name: result.bits_per_byte}
    if result.static_bits_per_byte != result.bits_per_byte:
        scores[f"{name}, frozen"] = result.static_bits_per_byte
    if result.weights:
        scores |= {f"{member}, frozen": score for member, score in result.members.items()}
    print_scores({**scores, **baselines})
    print(f"on {quantity(result.bytes, 'B')} of test text, {result.protocol}")
    if result.target is not None:
        print(f"\n{result.target.sentence}")
    print(f"\n{result.verdict}")
    if result.twice_the_text is not None:
        from wenmo.evaluation.doubling import sentence

        print(sentence(result.twice_the_text))
    for sample in result.samples:
        print(f"\n--- sample ---\n{sample}")
    model, report = from_here(result.model), from_here(result.report)
    print(f"\nModel   {model}  ({duration(result.seconds)})")
    print(f"Report  {report}")
    print(f"Write   wenmo generate {model} 'your prompt'")
