"""The verb `distil`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from pydantic import Field

from wenmo.cli import started as command_started
from wenmo.cli.options import Common, given, paths_given, recipe_of
from wenmo.config import Architecture, DistilRecipe
from wenmo.errors import OptionError

if TYPE_CHECKING:
    from wenmo.distillation import DistilResult


@Parameter(name="*")
class DistilOptions(DistilRecipe):
    """The recipe as options; `--arch` is short for `--architecture`."""

    architecture: Annotated[Architecture, Parameter(name=("--arch", "--architecture"))] = Field(
        default=DistilRecipe.model_fields["architecture"].default,
        description=DistilRecipe.model_fields["architecture"].description,
    )


def distil(
    model: str | None = None,
    paths: Annotated[list[str] | None, Parameter(negative=())] = None,
    /,
    *,
    more: Annotated[list[str] | None, Parameter(name="--model", negative=())] = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    config: Path | None = None,
    resume: Path | None = None,
    options: DistilOptions | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Put a mixture, or any model, into one student of a given size.

    Args:
        model: Folder of a trained model, the teacher.
        paths: The text: files, folders, globs or a prepared corpus; what the model was trained on when not given.
        more: Another model to learn from, with the same tokenizer; may be given several times.
        output: Folder of the student; a new one under runs/ when not given.
        config: YAML file with fields of the recipe; options given here go before it.
        resume: Folder of an interrupted run to go on with.
        options: Fields of the recipe.
        common: Options of every verb.
    """
    if model is None and resume is None:
        raise OptionError("distil needs a model: name the folder that wenmo train wrote")
    recipe = None
    if resume is None or config is not None or given(options):
        recipe = recipe_of(DistilRecipe, config, options)

    from wenmo.distillation import distil as run

    result = run(
        [] if model is None else [model, *(more or [])],
        paths_given(paths or []),
        output,
        recipe,
        resume=resume,
        progress=not common.quiet,
        started=command_started(),
    )
    if common.json:
        from wenmo.cli.output import print_json

        print_json(result)
    else:
        _print(result)


def _print(result: DistilResult) -> None:
    from wenmo.cli.output import from_here, print_scores
    from wenmo.progress import duration, quantity

    teacher = result.teacher
    (parameters,), (alone,) = result.parameters.values(), result.members.values()
    size = f"{quantity(parameters, '')} parameters"
    scores = {f"student{' with its cache' if result.weights else ''}, {size}": result.bits_per_byte}
    if result.weights:
        scores["student without its cache"] = alone
    scores[f"teacher, {quantity(teacher.parameters, '')} parameters, frozen"] = teacher.static_bits_per_byte
    if teacher.bits_per_byte != teacher.static_bits_per_byte:
        scores["teacher, learning on"] = teacher.bits_per_byte
    print()
    print_scores({**scores, **{f"baseline {name}": score for name, score in result.baselines.items()}})
    print(f"on {quantity(result.bytes, 'B')} of test text, {result.protocol}")
    print(f"\n{result.verdict}")
    for sample in result.samples:
        print(f"\n--- sample ---\n{sample}")
    model = from_here(result.model)
    print(f"\nModel   {model}  ({duration(result.seconds)})")
    print(f"Report  {from_here(result.report)}")
    print(f"Write   wenmo generate {model} 'your prompt'")
