"""The report and the model card of a trained application."""

from __future__ import annotations

from datetime import UTC, datetime

import wenmo
from wenmo.progress import duration
from wenmo.tasking.contract import Section, Task, TaskOutcome, TaskResult, TaskSettings
from wenmo.text.scripts import han_share

_CHINESE = 0.3
"""Share of Han characters from which on a text is marked as Chinese."""


def render_report(
    title: str, task: Task, settings: TaskSettings, outcome: TaskOutcome, result: TaskResult
) -> str:
    """Returns the report as one HTML document without references to anything outside."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("wenmo.tasking", "."), PackageLoader("wenmo.evaluation", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        duration=duration, number=shown_number, language=_language, numeric=_is_numeric
    )
    names = list(dict.fromkeys([result.metric, *result.scores]))
    given = settings.model_dump(mode="json", exclude_none=True)
    return environment.get_template("report.html.j2").render(
        title=title,
        task=task,
        result=result,
        names=names,
        best_baseline=best_baseline(result, outcome.higher_is_better),
        sections=outcome.sections,
        settings=given,
        created=datetime.now(UTC),
        version=wenmo.__version__,
    )


def shown_number(value: float) -> str:
    """Formats a score or a count for people."""
    if isinstance(value, int) or value != value or abs(value) >= 1000:  # NaN is the only value unlike itself
        return f"{value:,.0f}" if value == value else "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def best_baseline(result: TaskResult, higher_is_better: bool) -> tuple[str, float] | None:
    """Name and main score of the strongest baseline; None without one."""
    found = {
        name: scores[result.metric] for name, scores in result.baselines.items() if result.metric in scores
    }
    if not found:
        return None
    choose = max if higher_is_better else min
    name = choose(found, key=lambda key: found[key])
    return name, found[name]


def model_card(title: str, task: Task, result: TaskResult) -> str:
    """Returns the model card: what the model does, how well, on what examples, and what to mind."""
    names = list(dict.fromkeys([result.metric, *result.scores]))
    rows = [("this model", result.scores), *result.baselines.items()]
    table = "\n".join(
        f"| {name} | "
        + " | ".join(shown_number(scores[key]) if key in scores else "" for key in names)
        + " |"
        for name, scores in rows
    )
    header = f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
    examples = "\n".join(f"- {name}: {count:,}" for name, count in result.examples.items())
    notes = "\n".join(f"- {note}" for note in result.notes[:20])
    return f"""# {title}

{task.summary} Made with wenmo {wenmo.__version__} from its owner's examples.

{result.verdict}

{header}
{table}

## Examples

{examples}

## Training

{notes}

## Privacy

Trained on the machine of its owner; nothing was sent anywhere. A model can give away what it has learned from:
share it as you would share the examples.
"""


def _is_numeric(section: Section, column: int) -> bool:
    """Whether a column of a section's table holds numbers."""
    return any(column < len(row) and isinstance(row[column], int | float) for row in section.rows)


def _language(text: str) -> str:
    return "zh" if han_share(text) > _CHINESE else "en"
