"""A sixth task, for tests: this file alone makes it; it answers with the most frequent label of the examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from wenmo.errors import InputError, ModelError
from wenmo.tasking.contract import (
    Section,
    Task,
    TaskContext,
    TaskModel,
    TaskOutcome,
    TaskSettings,
    no_base_model,
)
from wenmo.tasking.terminal import Terminal


class MajoritySettings(TaskSettings):
    """Options of the task."""

    label_field: str | None = None
    """Column with the labels."""
    interrupt: str = ""
    """Raises Ctrl-C: `early`, or `late` when there is something to go on with."""


class MajorityModel(TaskModel):
    """Knows one label."""

    def __init__(self, label: str) -> None:
        self.label = label

    def save(self, directory: Path) -> None:
        (directory / "majority.json").write_text(json.dumps(self.label), encoding="utf-8")

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[str]:
        return [self.label for _ in inputs]


class Majority(Task):
    """The task."""

    name = "majority"
    summary = "Answer with the most frequent label."
    settings = MajoritySettings
    verbs: ClassVar[dict[str, str]] = {"most-frequent": "Say the most frequent label."}

    def check(self, settings: MajoritySettings) -> None:
        no_base_model(settings, self.name)

    def train(self, paths: Sequence[str], settings: MajoritySettings, context: TaskContext) -> TaskOutcome:
        from wenmo.examples import Role, assign_columns, read_table, split_groups

        if settings.interrupt == "early":
            raise KeyboardInterrupt
        if settings.interrupt == "late" and not context.resume:
            (context.directory / "checkpoint").write_text("half")
            raise KeyboardInterrupt
        table = read_table(paths, encoding=settings.encoding)
        role = Role("label", "--label-field", ("label", "标签"), "label")
        found, sentence = assign_columns(table, [role], {"label": settings.label_field})
        context.say(sentence)
        labels = [row.text(found["label"]) for row in table.rows]
        if not any(labels):
            raise InputError(f"{table.rows[0].source}: every label is empty; fill in the column")
        split = split_groups(range(len(labels)), valid=0.0, test=settings.test_fraction, seed=settings.seed)
        label = Counter(labels[i] for i in split.train).most_common(1)[0][0]
        hits = [labels[i] == label for i in split.test]
        accuracy = sum(hits) / max(len(hits), 1)
        return TaskOutcome(
            model=MajorityModel(label),
            metric="accuracy",
            scores={"accuracy": accuracy},
            baselines={"nothing": {"accuracy": 0.0}},
            examples={"train": len(split.train), "test": len(split.test)},
            dropped=dict(table.dropped),
            verdict=f"The label is {label}.",
            sections=[Section("Labels", ("<b>", "两种"), ("label", "count"), (("好<", 2), ("bad", 0.5)))],
        )

    def load(self, directory: Path) -> MajorityModel:
        try:
            return MajorityModel(json.loads((directory / "majority.json").read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ModelError(f"{directory / 'majority.json'} is damaged; copy the model again") from error


TASK = Majority()


def most_frequent(
    model: Path,
    texts: list[str] | None = None,
    /,
    *,
    file: list[Path] | None = None,
    loud: bool = False,
    times: Annotated[int, Field(ge=1)] = 1,
    output: Path | None = None,
    terminal: Terminal,
) -> None:
    """Say the most frequent label.

    Args:
        model: Folder of the model.
        texts: Texts to label; - reads standard input.
        file: File of texts.
        loud: In capitals.
        times: How often each is said.
        output: File to write the labels to.
        terminal: Where the result goes.
    """
    from wenmo.tasking.batch import gather
    from wenmo.tasking.running import load_task

    items = gather(texts or [], file or [])
    labels = load_task(TASK, model).predict([item.text for item in items])
    if loud:
        labels = [label.upper() for label in labels]
    labels = [label for label in labels for _ in range(times)]
    if output is not None:
        output.write_text("\n".join(labels), encoding="utf-8")
    terminal.result({"labels": labels}, "\n".join(labels))
