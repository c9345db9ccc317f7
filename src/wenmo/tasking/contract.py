"""The contract that every application fulfils; light to import, so that its options can be shown at once.

A task is one file in `wenmo.tasks` with an instance named `TASK`. `running.train_task` calls `Task.train`, saves the
model with its record and report, and `running.load_task` opens it again. What a user types stands in two places of
that file only: the fields of the settings, and the signatures of the verbs.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from wenmo.config import Settings
from wenmo.errors import OptionError

Share = Annotated[float, Field(ge=0.0, lt=0.9)]


class TaskSettings(Settings):
    """Options that every task has; a task adds its own fields, each with a docstring, which is its help text."""

    budget: str = "10m"
    """Wall-clock time for the whole run: `90s`, `10m`, `2h`; a run that needs less ends sooner."""
    from_model: Path | None = None
    """Folder of a language model trained on your raw text, to begin with (`--from`)."""
    valid: tuple[str, ...] = ()
    """Files with examples held out to steer by; a share of the data when not given."""
    test: tuple[str, ...] = ()
    """Files with examples for the final score; a share of the data when not given."""
    valid_fraction: Share = 0.1
    """Share of the examples held out to steer by."""
    test_fraction: Share = 0.1
    """Share of the examples held out for the final score."""
    encoding: str | None = None
    """Encoding of the files; detected per file when not given."""
    seed: int = 0
    """Seed of the split and of the training."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads; all cores when not given."""


@dataclass
class TaskContext:
    """What a task is trained in.

    Attributes:
        directory: Folder of the unfinished run: checkpoints go here; it exists, and goes when the run is complete.
        budget: Seconds for everything.
        started: `time.monotonic()` at which the run began.
        progress: Whether progress is shown (pass it to `progress.track`).
        resume: Whether the folder may hold checkpoints to go on from.
        say: Tells the user one sentence (shown on stderr, kept for the report).
    """

    directory: Path
    budget: float
    started: float
    progress: bool
    resume: bool
    say: Callable[[str], None]

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until the budget ends; never below zero."""
        return max(self.budget - self.elapsed, 0.0)


@dataclass(frozen=True)
class Section:
    """A part of the report page.

    Attributes:
        title: Heading.
        text: Paragraphs.
        header: Names of the columns of a table.
        rows: Rows of the table; numbers are set flush right.
        html: Markup that wenmo made itself (an SVG chart, marked words); everything of the user's in it is escaped.
    """

    title: str
    text: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str | int | float, ...], ...] = ()
    html: str = ""


@dataclass
class TaskOutcome:
    """What `Task.train` returns.

    Attributes:
        model: The trained model.
        metric: Name of the main score among `scores`.
        scores: Scores on the test examples, by name (with sacreBLEU's signatures and the like under `signatures`).
        baselines: Name of a simple baseline -> its scores on the same examples, under the same names.
        examples: Number of examples used, by split.
        dropped: Reason -> number of examples left out.
        verdict: One or two sentences: how good, how sure, what would help most.
        higher_is_better: Whether a greater main score is better.
        signatures: How scores were made, by name.
        sections: Further parts of the report.
    """

    model: TaskModel
    metric: str
    scores: dict[str, float]
    baselines: dict[str, dict[str, float]]
    examples: dict[str, int]
    dropped: dict[str, int]
    verdict: str
    higher_is_better: bool = True
    signatures: dict[str, str] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)


class TaskResult(BaseModel):
    """The outcome of `wenmo train --task`; its fields are the JSON that `--json` prints."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    task: str
    """Name of the task."""
    model: str
    """Folder of the saved model."""
    seconds: float
    """Wall-clock time of the whole run."""
    budget: float
    """Seconds that were given."""
    metric: str
    """Name of the main score."""
    score: float
    """The main score on the test examples."""
    scores: dict[str, float]
    """All scores on the test examples."""
    baselines: dict[str, dict[str, float]]
    """Scores of simple baselines on the same examples."""
    signatures: dict[str, str]
    """How scores were made."""
    examples: dict[str, int]
    """Number of examples used, by split."""
    dropped: dict[str, int]
    """Examples left out, by reason."""
    verdict: str
    """How good the model is, in words."""
    notes: list[str]
    """What was found out and decided, a sentence each."""
    report: str
    """Path of report.html."""


class TaskModel(ABC):
    """A trained application, ready for use."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Writes all that `Task.load` needs into an empty folder: safetensors, JSON, npz without pickle."""

    @abstractmethod
    def predict(self, inputs: Sequence[Any], **options: Any) -> Sequence[Any]:
        """Applies the model to a batch of inputs; what they are is for the task to say.

        Returns:
            One result for each input, in order; equal for equal inputs (also after saving and loading).
        """


class Task(ABC):
    """An application: how it is trained and opened, and what verbs it adds to the command line.

    Attributes:
        name: Name of its file, and of `--task`.
        summary: One line of help.
        settings: Class of its settings.
        verbs: Name of each verb -> its help line; a function of that name (with `_` for `-`) stands in the same file:
            typed parameters and a docstring are its options, and a parameter `terminal: Terminal` shows the result.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    settings: ClassVar[type[TaskSettings]]
    verbs: ClassVar[dict[str, str]]

    def check(self, settings: Any) -> None:  # noqa: B027 - many tasks have nothing to refuse
        """Refuses settings that contradict each other, before anything is read.

        Raises:
            OptionError: Naming the option.
        """

    @abstractmethod
    def train(self, paths: Sequence[str], settings: Any, context: TaskContext) -> TaskOutcome:
        """Reads the user's examples, trains within `context.left`, and scores on examples held out.

        Args:
            paths: Files of examples as the user named them.
            settings: An instance of `self.settings`.
            context: Where and how long.

        Raises:
            WenmoError: For whatever a user can mend.
        """

    @abstractmethod
    def load(self, directory: Path) -> TaskModel:
        """Opens what `TaskModel.save` wrote.

        Raises:
            ModelError: When a file is missing or damaged.
        """


def no_base_model(settings: TaskSettings, task: str) -> None:
    """Refuses `--from` for a task that cannot use it.

    Raises:
        OptionError: When it was given.
    """
    if settings.from_model is not None:
        raise OptionError(f"--from: {task} does not begin with a language model; leave it out")
