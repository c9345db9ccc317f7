"""The verb `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from pydantic import Field

from wenmo.cli import started as command_started
from wenmo.cli.options import Common, given, paths_given, plain
from wenmo.config import ComparisonRecipe
from wenmo.errors import OptionError

if TYPE_CHECKING:
    from wenmo.comparison.results import ComparisonResult, FamilyResult


@Parameter(name="*")
class CompareOptions(ComparisonRecipe):
    """The recipe of a comparison as options."""

    architectures: Annotated[tuple[str, ...], Parameter(name=("--arch", "--architectures"))] = Field(
        default=ComparisonRecipe.model_fields["architectures"].default,
        description=ComparisonRecipe.model_fields["architectures"].description,
    )
    target_budget: Annotated[str | None, Parameter(name="--for")] = Field(
        default=ComparisonRecipe.model_fields["target_budget"].default,
        description=ComparisonRecipe.model_fields["target_budget"].description,
    )


def compare(
    paths: Annotated[list[str] | None, Parameter(negative=())] = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    resume: Path | None = None,
    options: CompareOptions | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Find out which architecture suits your text: equal-time trainings of each, tested and extrapolated.

    Args:
        paths: Files, folders, globs, a prepared corpus, or - for standard input.
        output: Folder of the result; a new one under runs/ when not given.
        resume: Folder of an interrupted comparison to go on with.
        options: What to compare, and how.
        common: Options of every verb.
    """
    if not paths and resume is None:
        raise OptionError("compare needs text: name files or folders, or - for standard input")
    recipe = None if resume is not None and not given(options) else plain(options, ComparisonRecipe)

    from wenmo.workflow import compare as run

    result = run(
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


def _print(result: ComparisonResult) -> None:
    from wenmo.cli.output import from_here, print_table
    from wenmo.progress import duration

    print()
    header = [
        "",
        "bits per byte",
        "95%",
        "with n-gram",
        "parameters",
        "memory",
        "tokens/s trained",
        "scored",
        "written",
    ]
    if result.target:
        header += [f"predicted for {result.target}", "95%", "best"]
    rows = [_row(family, bool(result.target)) for family in result.families]
    print_table(rows, header, numeric=range(1, len(header)))
    print(f"the n-gram model alone: {result.ngram:.3f}")
    for name, reason in result.failed.items():
        print(f"{name} was left out: {reason}")
    print(f"\n{result.recommendation}")
    print(f"\nReport  {from_here(result.report)}  ({duration(result.seconds)})")
    print(f"Train   wenmo train {from_here(result.corpus)} --arch {result.recommended}")


def _row(family: FamilyResult, predicted: bool) -> list[str]:
    from wenmo.progress import quantity

    cells = [
        family.name,
        f"{family.score.bits_per_byte:.3f}",
        f"{family.score.low:.3f}-{family.score.high:.3f}",
        f"{family.with_ngram:.3f}",
        quantity(family.parameters, ""),
        quantity(family.memory, "B"),
        f"{family.trained_per_second:,.0f}",
        f"{family.scored_per_second:,.0f}",
        f"{family.written_per_second:,.0f}" if family.written_per_second else "",
    ]
    if predicted and family.predicted is not None:
        later = family.predicted
        chance = f"{family.best_probability:.0%}" if family.best_probability is not None else ""
        cells += [f"{later.bits_per_byte:.3f}", f"{later.low:.3f}-{later.high:.3f}", chance]
    return cells
