"""The page of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import wenmo
from wenmo.comparison.charts import colours, learning_curves, score_bars
from wenmo.comparison.extrapolation import Curve
from wenmo.comparison.results import ComparisonResult
from wenmo.comparison.words import shown_p
from wenmo.files import write_text
from wenmo.progress import duration, quantity
from wenmo.text.scripts import han_share

_CHINESE = 0.3
"""Share of Han characters from which on a text is marked as Chinese."""


def render_page(
    result: ComparisonResult,
    curves: Mapping[str, Curve],
    notes: list[str],
    recipe: Mapping[str, Any],
    title: str,
) -> str:
    """Returns the page as one HTML document without references to anything outside.

    Args:
        result: What was found.
        curves: Family -> its learning curve.
        notes: What was told before the trainings.
        recipe: The recipe of the comparison, nested.
        title: Name of the comparison.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("wenmo.comparison", "."), PackageLoader("wenmo.evaluation", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(duration=duration, quantity=quantity, shown_p=shown_p)
    longest = result.trial_seconds or max(
        point.seconds for family in result.families for point in family.points
    )
    return environment.get_template("report.html.j2").render(
        result=result,
        title=title,
        language="zh" if han_share(title) > _CHINESE else "en",
        curves=learning_curves(
            result.families, curves, longest, result.target_seconds, "Bits per byte against training time"
        ),
        bars=score_bars(result.families, "Bits per byte of each architecture with 95% intervals"),
        classes=colours(result.families),
        length=result.trial,
        notes=notes,
        settings=_flat(recipe),
        created=datetime.now(UTC),
        version=wenmo.__version__,
    )


def write_page(
    result: ComparisonResult,
    curves: Mapping[str, Curve],
    notes: list[str],
    recipe: Mapping[str, Any],
    path: Path,
    title: str,
) -> None:
    """Writes the page to `path`, whole or not at all; see `render_page`.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    write_text(path, render_page(result, curves, notes, recipe, title))


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The settings that were given or have a default, as (name, value)."""
    pairs: list[tuple[str, str]] = []
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        elif value is not None and value != [] and value != ():
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            pairs.append((prefix + name, shown))
    return pairs
