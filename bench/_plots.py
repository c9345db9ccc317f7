"""Plots of the results whose shape says more than their table; each is one function in `PLOTS`."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wenmo.files import write_text
from wenmo.training.budget import parse_duration

OURS, SOFT, PEER, RIVAL = "#b5302a", "#d98d6a", "#2f6f8f", "#7b7f8c"
"""Colours: the model, a variant or member of it, another trainer, a baseline."""
Rows = list[dict[str, Any]]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)


def _minutes(axes: Axes, minutes: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(minutes, [f"{m:g}" for m in minutes])
    axes.minorticks_off()


def quality(rows: Rows) -> Figure:
    """Bits per byte by minutes, a panel for each text, beside PPMd and the best of the other trainers.

    PPMd is drawn at each budget, since short runs score less of the test text. Points of different processors are not
    joined: filled are those of the first one in the table.
    """
    texts = list(dict.fromkeys(row["text"] for row in rows))
    processors = list(dict.fromkeys(row["processor"] for row in rows))
    figure = Figure(figsize=(2.5 * len(texts), 2.9), layout="constrained")
    for place, text in enumerate(texts, 1):
        axes = figure.add_subplot(1, len(texts), place)
        mine = sorted(
            (row for row in rows if row["text"] == text), key=lambda row: parse_duration(row["budget"])
        )
        minutes = [parse_duration(row["budget"]) / 60 for row in mine]
        axes.plot(
            minutes, [row["PPMd"] for row in mine], color=RIVAL, linewidth=1.2, label="PPMd, learning on"
        )
        for number, processor in enumerate(processors):
            chosen = [(m, row) for m, row in zip(minutes, mine, strict=True) if row["processor"] == processor]
            for kind, line, colour, size, name in (
                ("prequential", "o-", OURS, 4, "wenmo, learning on"),
                ("static", "o--", SOFT, 3, "wenmo, frozen"),
            ):
                axes.plot(
                    [m for m, _ in chosen], [row[kind] for _, row in chosen], line, color=colour, ms=size,
                    mfc="white" if number else colour,
                    label=f"{name}, {processor.split()[0].removesuffix('(R)')}",
                )  # fmt: skip
        for kind, marker in (("Keras", "x"), ("AWD-LSTM", "s"), ("GPT-2", "^")):
            chosen = [(m, row) for m, row in zip(minutes, mine, strict=True) if kind in row]
            axes.plot(
                [m for m, _ in chosen], [row[kind] for _, row in chosen], marker, color=PEER, ms=4, mfc="white",
                label=f"{kind}, frozen",
            )  # fmt: skip
        _minutes(axes, minutes)
        axes.set_title(text, fontsize=9)
        axes.set_xlabel("minutes", fontsize=8)
        _plain(axes)
        if place == 1:
            axes.set_ylabel("bits per byte", fontsize=8)
    labels: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        labels |= dict(zip(names, handles, strict=True))
    figure.legend(labels.values(), labels, loc="outside lower center", ncols=8, fontsize=7, frameon=False)
    return figure


def _by_examples(rows: Rows) -> Figure:
    """A task's score by the number of examples; bars are a standard deviation."""
    metrics = [name for name in rows[0] if name not in ("task", "examples", "system", "runs")]
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.add_subplot()
    systems = list(dict.fromkeys(row["system"] for row in rows))
    for number, system in enumerate(systems):
        mine = [row for row in rows if row["system"] == system]
        values = [[float(part) for part in str(row[metrics[0]]).split("±")] for row in mine]
        colour = OURS if number == 0 else SOFT if system.startswith("wenmo") else RIVAL
        axes.errorbar(
            [row["examples"] for row in mine], [value[0] for value in values],
            [value[1] if len(value) > 1 else 0.0 for value in values],
            fmt="os^D"[number % 4] + ("-" if number == 0 else "--"), ms=4, color=colour, capsize=2, label=system,
        )  # fmt: skip
    _minutes(axes, sorted({row["examples"] for row in rows}))
    axes.set_xlabel("examples", fontsize=8)
    axes.set_ylabel(metrics[0].replace("_", " "), fontsize=8)
    axes.legend(fontsize=7, frameon=False)
    _plain(axes)
    return figure


def _bars(labels: list[str], values: list[float], colours: list[str], unit: str) -> Figure:
    figure = Figure(figsize=(5.6, 0.5 + 0.28 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(labels, values, color=colours, height=0.62)
    axes.bar_label(bars, [f"{value:.3g}" for value in values], fontsize=7, padding=3)
    axes.invert_yaxis()
    _plain(axes)
    axes.grid(visible=False)
    axes.set_xlabel(unit, fontsize=8)
    return figure


def penn(rows: Rows) -> Figure:
    """Perplexities of words, the published ones among them."""
    ordered = sorted(rows, key=lambda row: float(row["perplexity of words"]))
    shown = [row for row in ordered if row["perplexity of words"] < 300]

    def colour(row: dict[str, Any]) -> str:
        if not row["bits per byte"]:
            return PEER
        own = row["model"].startswith(("wenmo", "mingru", "transformer"))
        return OURS if row["model"].startswith("wenmo") else SOFT if own else RIVAL

    return _bars(
        [row["model"] for row in shown], [row["perplexity of words"] for row in shown],
        [colour(row) for row in shown], "perplexity of words (blue: published)",
    )  # fmt: skip


def time_to_quality(rows: Rows) -> Figure:
    """Seconds to the loss of the baseline, medians over the seeds."""
    names = list(dict.fromkeys(row["model"] for row in rows))
    seconds = [median(row["our seconds"] for row in rows if row["model"] == name) for name in names]
    peer = median(row["peer seconds"] for row in rows)
    return _bars(
        ["GPT-2, AdamW", *names],
        [peer, *seconds],
        [PEER, *[OURS] * len(names)],
        "seconds to the same held-out loss",
    )


def products(rows: Rows) -> Figure:
    """Milliseconds of a step and of its bare products, as a share."""
    shares = [100 * row["share of bare products"][1] for row in rows]
    return _bars([row["shape"] for row in rows], shares, [OURS] * len(rows), "bare products, % of a step")


PLOTS: dict[str, Callable[[Rows], Figure]] = {
    "quality": quality,
    "few_writing": _by_examples,
    "few_translation": _by_examples,
    "few_question_answering": _by_examples,
    "penn": penn,
    "penn_longer": penn,
    "time_to_quality": time_to_quality,
    "products": products,
}
"""Name of a result -> its plot."""


def draw(name: str, rows: Rows, folder: Path) -> Path | None:
    """Draws a result as an SVG file, the same bytes for the same rows; None where it has no plot."""
    if name not in PLOTS or not rows:
        return None
    path = folder / f"{name}.svg"
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        text = StringIO()
        PLOTS[name](rows).savefig(text, format="svg", metadata={"Date": None})
    path.parent.mkdir(exist_ok=True)
    write_text(path, "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n")
    return path
