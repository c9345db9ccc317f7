"""The applications, one file each: a file here is a task, found by its name, and nothing else stands here."""

from __future__ import annotations

import ast
import difflib
import pkgutil
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wenmo.errors import OptionError

if TYPE_CHECKING:
    from wenmo.tasking.contract import Task, TaskModel, TaskResult


def task_names() -> tuple[str, ...]:
    """Names of all tasks, in order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get_task(name: str) -> Task:
    """Returns a task by its name; `-` may stand for `_`.

    Raises:
        OptionError: When there is none of that name.
    """
    known = task_names()
    plain = name.replace("-", "_")
    if plain not in known:
        close = difflib.get_close_matches(plain, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; choose one of {', '.join(known)}"
        raise OptionError(f"--task: there is no task {name!r}{hint}")
    task: Task = import_module(f"wenmo.tasks.{plain}").TASK
    return task


def verbs() -> dict[str, tuple[str, str]]:
    """Verb -> (task, help line), for all tasks.

    They are read from the text of the files, where they stand as a literal (`verbs = {...}`), so that `wenmo --help`
    imports no task.
    """
    found: dict[str, tuple[str, str]] = {}
    for name in task_names():
        spec = find_spec(f"{__name__}.{name}")
        assert spec is not None and spec.origin is not None
        for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id == "verbs" and isinstance(node.value, ast.Dict):  # type: ignore[attr-defined]
                literal: dict[str, str] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
                found |= {verb: (name, text) for verb, text in literal.items()}
    return found


def train_task(
    name: str,
    paths: str | Path | Sequence[str | Path] = (),
    output: str | Path | None = None,
    *,
    resume: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> TaskResult:
    """Trains, scores and saves an application: `train_task("sentiment", "reviews.csv", "runs/mine", budget="5m")`.

    Args:
        name: The task.
        paths: Files of examples.
        output: Folder of the model; `runs/NAME-TASK` when not given.
        resume: Folder of an interrupted run to go on with; nothing else may be given then.
        progress: Whether to tell on stderr what happens.
        **settings: Fields of the task's settings, as on the command line (`from_model` is `--from`).

    Raises:
        WenmoError: For whatever a user can mend.
    """
    from wenmo.tasking import running

    task = get_task(name)
    chosen = None if resume is not None and not settings else running.settings_of(task, settings)
    return running.train_task(task, paths, output, chosen, resume=resume, progress=progress)


def load_task(directory: str | Path) -> TaskModel:
    """Opens a saved application of any task.

    Raises:
        ModelError: When the folder holds none, or it is damaged or of another version.
    """
    from wenmo.tasking import running

    record = running.read_record(directory)
    return running.load_task(get_task(record["task"]), directory)
