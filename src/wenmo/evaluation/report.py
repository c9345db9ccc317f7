"""The report of a training run: one HTML file that needs nothing else, to be read by people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from wenmo.files import write_text
from wenmo.models.evidence import CACHE
from wenmo.progress import duration, quantity
from wenmo.text.scripts import han_share

from .charts import learning_curve
from .diversity import Diversity, diversity_rows, repetition_warning
from .overfitting import Overfitting
from .verdict import Verdict, overfitting_verdict

__all__ = ["ReportData", "Sample", "Verdict", "headline", "overfitting_verdict", "render", "write_report"]

BASELINE_NAMES = {"ppmd": "PPMd", "xz": "xz", "ngram": "n-gram, learning on"}
SHOWN_SECONDS = 0.05
"""Shorter stages are not shown."""
_CHINESE = 0.3
"""Share of Han characters from which on a text is marked as Chinese."""


class Sample(BaseModel):
    """Text that the model wrote."""

    model_config = ConfigDict(frozen=True)

    text: str
    """What was written, without the prompt."""
    prompt: str = ""
    """What it was asked to continue; empty for a text from nothing."""
    longest_copy: int | None = None
    """Length in characters of the longest stretch that also stands in the training text, if it was looked for."""
    searched: float = 1.0
    """Share of the training text in which it was looked for."""


class ReportData(BaseModel):
    """Everything the report shows."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    title: str
    """Name of the model."""
    seconds: float
    """Wall-clock time of the whole run."""
    budget: float | None = None
    """Seconds that were given."""
    stages: dict[str, float] = Field(default_factory=dict)
    """Seconds of each stage of the run."""
    bits_per_byte: float
    """Score on the test text."""
    protocol: str
    """How it was scored."""
    bytes: int
    """UTF-8 bytes of test text that were scored."""
    members: dict[str, float] = Field(default_factory=dict)
    """Bits per byte of each frozen member of a mixture on the same bytes; empty, or itself, for a single model."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights of the members."""
    gains: dict[str, float] = Field(default_factory=dict)
    """Bits per byte that each member, and the cache, saves: the score without it less the score."""
    baselines: dict[str, float] = Field(default_factory=dict)
    """Bits per byte of `ppmd`, `xz`, `ngram` on the same bytes, after reading the training text."""
    unread: list[str] = Field(default_factory=list)
    """Which baselines have not read all of it, a sentence each."""
    teacher: float | None = None
    """Bits per byte of the frozen model from which this one was distilled."""
    curves: dict[str, list[dict[str, float]]] = Field(default_factory=dict)
    """Evaluations of each neural model, as in metrics.jsonl."""
    verdicts: dict[str, str] = Field(default_factory=dict)
    """What each curve says about overfitting, in words; made from the curve where it is not given."""
    overfitting: dict[str, Overfitting] = Field(default_factory=dict)
    """The same in numbers, for the marks in the charts."""
    predictions: dict[str, str] = Field(default_factory=dict)
    """What was predicted of the end of each curve, and what came, in words."""
    outlook: list[str] = Field(default_factory=list)
    """What became of the target, and what more text would give, a sentence each."""
    corpus: dict[str, str | int | float] = Field(default_factory=dict)
    """Facts about the text, by label."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """The resolved recipe, nested."""
    samples: list[Sample] = Field(default_factory=list)
    """Texts the model wrote."""
    diversity: Diversity | None = None
    """How varied the model writes."""
    human_diversity: Diversity | None = None
    """The same of people's text, at equal length."""
    searched: float = 1.0
    """Share of the training text in which copies were looked for."""
    notes: list[str] = Field(default_factory=list)
    """What was decided before training, a sentence each."""
    machine: dict[str, str | int | float] = Field(default_factory=dict)
    """The machine, by label."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of wenmo, Python and libraries."""
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """When the run ended."""


def mixture_name(weights: Mapping[str, float]) -> str:
    """What a mixture is called by the weights of its members, its cache among them."""
    members = [name for name in weights if name != CACHE]
    return "mixture" if len(members) > 1 else f"{members[0]} with its cache"


def headline(data: ReportData) -> str:
    """Says in plain words how good the model is, beside the best of the compressors and counters."""
    score = f"It needs {data.bits_per_byte:.3f} bits for each byte of text it has never seen."
    if not data.baselines:
        return score
    name, best = min(data.baselines.items(), key=lambda item: item[1])
    rival = f"The best of its rivals here ({BASELINE_NAMES.get(name, name)})"
    share = best / data.bits_per_byte - 1
    if abs(share) < 0.0005:
        return f"{score} {rival} needs as many."
    if share > 0:
        return f"{score} {rival} needs {best:.3f}, {share:.1%} more."
    mixture = "a mixture with it, " if name == "ngram" and "ngram" not in data.members else ""
    return f"{score} {rival} needs only {best:.3f}, {-share:.1%} less: {mixture}more time or more text would help."


def render(data: ReportData) -> str:
    """Returns the report as one HTML document without references to anything outside."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wenmo.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(duration=duration, quantity=quantity, language=_language)
    return environment.get_template("report.html.j2").render(
        data=data,
        headline=headline(data),
        scores=_scores(data),
        curves=[
            (
                name,
                learning_curve(rows, f"Learning curve of {name}", data.overfitting.get(name))
                if len(rows) > 1
                else "",
                rows,
            )
            for name, rows in data.curves.items()
        ],
        verdicts={
            name: data.verdicts.get(name) or overfitting_verdict(rows).sentence
            for name, rows in data.curves.items()
        },
        recipe=_flat(data.recipe),
        stages=[
            (name, duration(seconds)) for name, seconds in data.stages.items() if seconds >= SHOWN_SECONDS
        ],
        repetition=repetition_warning(data.diversity, data.human_diversity)
        if data.diversity and data.human_diversity
        else None,
        diversity=diversity_rows(data.diversity, data.human_diversity)
        if data.diversity and data.human_diversity
        else [],
    )


def write_report(data: ReportData, path: Path) -> Path:
    """Writes the report to `path`, whole or not at all.

    Raises:
        ResourceError: When the disk is full or the folder is not writable.
    """
    write_text(Path(path), render(data))
    return Path(path)


def _language(text: str) -> str:
    return "zh" if han_share(text) > _CHINESE else "en"


def _scores(data: ReportData) -> list[dict[str, Any]]:
    """Bars, best first: name, value, share of the longest bar, and what kind of thing it is."""
    rows = [(data.title, data.bits_per_byte, "model")]
    if data.weights:
        rows = [(mixture_name(data.weights), data.bits_per_byte, "model")]
        rows += [(name, value, "member") for name, value in data.members.items()]
    if data.teacher is not None:
        rows.append(("its teacher", data.teacher, "member"))
    rows += [(BASELINE_NAMES.get(name, name), value, "baseline") for name, value in data.baselines.items()]
    longest = max(value for _, value, _ in rows)
    return [
        {"name": name, "value": value, "share": value / longest, "kind": kind}
        for name, value, kind in sorted(rows, key=lambda row: row[1])
    ]


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The recipe as (option, value) pairs, under the names that the command line has for them."""
    pairs: list[tuple[str, str]] = []
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            pairs.append((prefix + name, shown))
    return pairs
