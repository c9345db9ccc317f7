"""The folder of a run that is not finished: everything needed to go on after an interruption.

While a model is trained, its folder does not exist; `NAME.run` beside it holds the recipe, the corpus, the tokens
and the checkpoints. When the model is complete it is renamed into place, and what was in `NAME.run` becomes its
`training/` folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from wenmo.config import Recipe
from wenmo.errors import ModelError, OptionError
from wenmo.files import disk_errors, folder_for, write_text


@dataclass(frozen=True)
class Run:
    """An unfinished run.

    Attributes:
        output: Folder the model will have.
        paths: The texts as the user named them.
        recipe: What was asked for.
    """

    output: Path
    paths: tuple[str, ...]
    recipe: Recipe

    @property
    def directory(self) -> Path:
        """Folder of everything that is kept until the model is complete."""
        return self.output.with_name(self.output.name + ".run")

    def part(self, name: str) -> Path:
        """A folder inside the run."""
        return self.directory / name

    def save(self) -> None:
        """Creates the folder and writes what `resume` needs."""
        with folder_for(self.directory), disk_errors(self.directory):
            self.directory.mkdir(exist_ok=True)
        content = {"paths": self.paths, "recipe": self.recipe.model_dump(mode="json")}
        write_text(self.directory / "run.json", json.dumps(content, ensure_ascii=False, indent=2))


def new_run(paths: list[str], output: Path | None, recipe: Recipe) -> Run:
    """Chooses the output folder and starts an unfinished run in it.

    Raises:
        OptionError: When the folder named by `output` is taken.
    """
    if output is None:
        output = _free_name(paths)
    run = Run(Path(output).absolute(), tuple(paths), recipe)
    with disk_errors(run.directory):
        unfinished = run.directory.exists()
    if unfinished:
        raise OptionError(
            f"an unfinished run is in {run.directory}; go on with --resume {output}, or delete that folder"
        )
    if run.output.exists() and (not run.output.is_dir() or any(run.output.iterdir())):
        raise OptionError(f"{output} exists already; choose another folder with -o, or delete it first")
    run.save()
    return run


def _free_name(paths: list[str]) -> Path:
    """`runs/STEM`, with a number behind it when that is taken."""
    first = Path(paths[0].rstrip("/*?")) if paths and paths[0] != "-" else Path("text")
    stem = (first.name.split(".")[0] or first.resolve().name or "text").strip()
    base = Path("runs") / stem
    number, candidate = 2, base
    while candidate.exists() or candidate.with_name(candidate.name + ".run").exists():
        candidate = base.with_name(f"{stem}-{number}")
        number += 1
    return candidate


def open_run(output: Path) -> Run:
    """Opens an interrupted run by the folder of its model, or by its `.run` folder.

    Raises:
        ModelError: When there is nothing to resume there, or it is damaged.
    """
    output = Path(output).absolute()
    if output.name.endswith(".run"):
        output = output.with_name(output.name[: -len(".run")])
    directory = output.with_name(output.name + ".run")
    record = directory / "run.json"
    if not record.is_file():
        if (output / "wenmo.json").is_file():
            raise ModelError(f"{output} is complete; there is nothing to resume")
        raise ModelError(f"no interrupted run in {directory}; train without --resume")
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        return Run(output, tuple(content["paths"]), Recipe.model_validate(content["recipe"]))
    except (json.JSONDecodeError, KeyError, ValidationError, UnicodeDecodeError) as error:
        raise ModelError(f"{record} is damaged; delete {directory} and train again") from error
