"""From the user's examples to a scored and saved application, whole or not at all."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import wenmo
from wenmo.config import Settings
from wenmo.errors import Interrupted, ModelError, OptionError, WenmoError
from wenmo.files import atomic_directory, folder_for
from wenmo.tasking.contract import Task, TaskContext, TaskModel, TaskOutcome, TaskResult, TaskSettings
from wenmo.tasking.report import model_card, render_report
from wenmo.workflow.unfinished import begin, content_of, damaged, free_output, resumed, run_folder

FORMAT_VERSION = 1
RECORD = "task.json"
"""Beside the task's own files: which task, its settings, its scores, versions."""


def train_task(
    task: Task,
    paths: str | Path | Sequence[str | Path] = (),
    output: str | Path | None = None,
    settings: TaskSettings | None = None,
    *,
    resume: str | Path | None = None,
    progress: bool = True,
    started: float | None = None,
) -> TaskResult:
    """Trains, scores and saves an application.

    Args:
        task: The task.
        paths: Files of examples.
        output: Folder of the model; `runs/NAME-TASK` when not given.
        settings: Its settings; the defaults when not given.
        resume: Folder of an interrupted run: goes on with its own paths and settings.
        progress: Whether to tell on stderr what happens.
        started: `time.monotonic()` from which the budget counts; now when not given.

    Returns:
        Scores and paths.

    Raises:
        WenmoError: For whatever a user can mend.
        Interrupted: After Ctrl-C.
    """
    names = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    begun = time.monotonic() if started is None else started
    if resume is not None:
        if names or output is not None or settings is not None:
            raise OptionError("--resume goes on with the paths and settings of the run; leave the others out")
        target, names, settings = _open_run(task, Path(resume))
    else:
        settings = settings or task.settings()
        if not names:
            raise OptionError(f"train --task {task.name} needs examples: name their files")
        task.check(settings)
        _seconds(settings)
        target = _new_run(task, names, output, settings)
    directory = run_folder(target)
    try:
        return _train(task, names, target, settings, resume is not None, progress, begun)
    except KeyboardInterrupt:
        if _holds_work(directory):
            raise Interrupted(
                f"interrupted; what was done is in {directory}. Go on with: wenmo train --resume {target}"
            ) from None
        shutil.rmtree(directory, ignore_errors=True)
        raise Interrupted(
            "interrupted; nothing was trained yet that could be gone on with, and nothing was left behind"
        ) from None
    except WenmoError as error:
        if not isinstance(error, Interrupted) and not _holds_work(directory):
            shutil.rmtree(directory, ignore_errors=True)
        raise


def _train(
    task: Task, paths: list[str], target: Path, settings: TaskSettings, resume: bool, show: bool, begun: float
) -> TaskResult:
    import torch

    if settings.threads:
        torch.set_num_threads(settings.threads)
    notes: list[str] = []
    context = TaskContext(run_folder(target), _seconds(settings), begun, show, resume, _teller(notes, show))
    outcome = task.train(paths, settings, context)
    result = TaskResult(
        task=task.name,
        model=str(target),
        seconds=round(context.elapsed, 2),
        budget=context.budget,
        metric=outcome.metric,
        score=outcome.scores[outcome.metric],
        scores=outcome.scores,
        baselines=outcome.baselines,
        signatures=outcome.signatures,
        examples=outcome.examples,
        dropped=outcome.dropped,
        verdict=outcome.verdict,
        notes=notes,
        report=str(target / "report.html"),
    )
    _save(task, target, settings, paths, outcome, result)
    shutil.rmtree(run_folder(target))
    return result.model_copy(update={"seconds": round(context.elapsed, 2)})


def _teller(notes: list[str], show: bool) -> Callable[[str], None]:
    def say(sentence: str) -> None:
        notes.append(sentence)
        if show:
            print(sentence, file=sys.stderr)

    return say


def _save(
    task: Task,
    target: Path,
    settings: TaskSettings,
    paths: list[str],
    outcome: TaskOutcome,
    result: TaskResult,
) -> None:
    import torch

    record = {
        "format_version": FORMAT_VERSION,
        "task": task.name,
        "paths": paths,
        "settings": settings.model_dump(mode="json"),
        "result": result.model_dump(mode="json"),
        "versions": {
            "wenmo": wenmo.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    with folder_for(target), atomic_directory(target) as temporary:
        outcome.model.save(temporary)
        (temporary / RECORD).write_text(
            json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        (temporary / "README.md").write_text(model_card(target.name, task, result), encoding="utf-8")
        (temporary / "report.html").write_text(
            render_report(target.name, task, settings, outcome, result), encoding="utf-8"
        )


def read_record(directory: str | Path) -> dict[str, Any]:
    """Reads what was saved beside an application: task, settings, result, versions.

    Raises:
        ModelError: When the folder holds no application, a damaged one, or one of another version.
    """
    folder = Path(directory)
    path = folder / RECORD
    if not folder.is_dir():
        raise ModelError(f"there is no model directory {folder}; give the folder that training wrote")
    if not path.is_file():
        kind = "a language model" if (folder / "wenmo.json").exists() else "no model"
        raise ModelError(f"{folder} holds {kind}, not a trained task; train one with: wenmo train --task")
    from wenmo.models.storage import read_json

    record = read_json(path)
    if not isinstance(record.get("task"), str):
        raise ModelError(f"{path} is damaged: 'task' is missing; copy the model again")
    if record.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{folder} has format version {record.get('format_version')}, and this version of wenmo reads "
            f"{FORMAT_VERSION}; use the version of wenmo that wrote it, or train again"
        )
    return record


def load_task(task: Task, directory: str | Path) -> TaskModel:
    """Opens a saved application.

    Raises:
        ModelError: When the folder holds another task, or is missing, damaged or of another version.
    """
    record = read_record(directory)
    if record["task"] != task.name:
        raise ModelError(f"{directory} was trained for {record['task']}, not for {task.name}")
    return task.load(Path(directory))


# -- unfinished runs ---------------------------------------------------------------------------------------------


def _holds_work(directory: Path) -> bool:
    """Whether a run has written more than its own description."""
    return directory.is_dir() and any(entry.name != "run.json" for entry in directory.iterdir())


def _new_run(task: Task, paths: list[str], output: str | Path | None, settings: TaskSettings) -> Path:
    stem = Path(paths[0]).name.split(".")[0].strip("*?") if paths[0] != "-" else ""
    target = Path(output or free_output(f"{stem or 'examples'}-{task.name}")).absolute()
    begin(target, {"task": task.name, "paths": paths, "settings": settings.model_dump(mode="json")})
    return target


def unfinished_task(resume: str | Path) -> str | None:
    """Name of the task of an interrupted run; None when it is a run of another kind or none at all."""
    try:
        name = content_of(resumed(resume), RECORD).get("task")
    except ModelError:
        return None
    return name if isinstance(name, str) else None


def _open_run(task: Task, resume: Path) -> tuple[Path, list[str], TaskSettings]:
    target = resumed(resume)
    content = content_of(target, RECORD)
    try:
        if content["task"] != task.name:
            raise ModelError(
                f"the run in {run_folder(target)} is of the task {content['task']}, not {task.name}"
            )
        paths = [str(path) for path in content["paths"]]
        return target, paths, task.settings.model_validate(content["settings"])
    except (KeyError, TypeError, ValidationError) as error:
        raise damaged(target) from error


def _seconds(settings: TaskSettings) -> float:
    from wenmo.training.budget import parse_duration

    return parse_duration(settings.budget)


def settings_of(task: Task, fields: dict[str, Any]) -> TaskSettings:
    """Builds the settings of a task from plain values.

    Raises:
        OptionError: When a field is unknown or a value is out of range.
    """
    try:
        return task.settings.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        known: type[Settings] = task.settings
        if first["type"] == "extra_forbidden":
            raise OptionError(
                f"{name} is no setting of {task.name}; there are {', '.join(known.model_fields)}"
            ) from error
        raise OptionError(f"{name}: {first['msg']}, not {first['input']!r}") from error
