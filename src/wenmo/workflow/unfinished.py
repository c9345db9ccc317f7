"""Folders of runs that are not finished: where they are, who may begin one, and what they hold of the command.

While NAME is made, it does not exist; `NAME.run` beside it holds `run.json` and the checkpoints, and goes when NAME is
complete. Language models and applications alike are made so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wenmo.errors import ModelError, OptionError
from wenmo.files import disk_errors, folder_for, write_text

RECORD = "run.json"


def run_folder(output: Path) -> Path:
    """Returns the folder of the unfinished run that is to become `output`."""
    return output.with_name(output.name + ".run")


def resumed(path: str | Path) -> Path:
    """Returns the output of the run named by its own folder or by that of its model, absolute."""
    path = Path(path).absolute()
    return path.with_name(path.name[: -len(".run")]) if path.name.endswith(".run") else path


def free_output(stem: str) -> Path:
    """Returns `runs/STEM`, with a number behind it when that is taken."""
    base = Path("runs") / stem
    number, candidate = 2, base
    while candidate.exists() or run_folder(candidate).exists():
        candidate = base.with_name(f"{stem}-{number}")
        number += 1
    return candidate


def begin(output: Path, content: dict[str, Any]) -> None:
    """Creates the folder of a run and keeps in it what resuming needs.

    Args:
        output: Folder to be made, absolute.
        content: Paths and settings (JSON).

    Raises:
        OptionError: When `output` is taken, or a run of that name is unfinished.
        ResourceError: When nothing can be written there.
    """
    directory = run_folder(output)
    with disk_errors(directory):
        unfinished = directory.exists()
    if unfinished:
        raise OptionError(
            f"an unfinished run is in {directory}; go on with --resume {output}, or delete that folder"
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OptionError(f"{output} exists already; choose another folder with -o, or delete it first")
    keep(output, content)


def keep(output: Path, content: dict[str, Any]) -> None:
    """Writes what resuming needs into the folder of the run, which is created where it is missing."""
    directory = run_folder(output)
    with folder_for(directory), disk_errors(directory):
        directory.mkdir(exist_ok=True)
    write_text(directory / RECORD, json.dumps(content, ensure_ascii=False, indent=2))


def content_of(output: Path, complete: str) -> dict[str, Any]:
    """Reads what `begin` kept.

    Args:
        output: Folder to be made.
        complete: A file that stands in it when it is complete.

    Raises:
        ModelError: When there is nothing to resume, or what was kept is damaged.
    """
    record = run_folder(output) / RECORD
    if not record.is_file():
        if (output / complete).is_file():
            raise ModelError(f"{output} is complete; there is nothing to resume")
        raise ModelError(f"no interrupted run in {record.parent}; train without --resume")
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise damaged(output) from error
    if not isinstance(content, dict):
        raise damaged(output)
    return content


def damaged(output: Path) -> ModelError:
    """Returns the error for a run whose record cannot be used."""
    directory = run_folder(output)
    return ModelError(f"{directory / RECORD} is damaged; delete {directory} and train again")
