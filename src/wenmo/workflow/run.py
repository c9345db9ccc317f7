"""The folder of a run that is not finished: everything needed to go on after an interruption.

While a model is trained, its folder does not exist; `NAME.run` beside it holds the recipe, the corpus, the tokens
and the checkpoints. When the model is complete it is renamed into place, and what was in `NAME.run` becomes its
`training/` folder.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wenmo.config import Recipe
from wenmo.errors import ModelError
from wenmo.workflow.unfinished import begin, content_of, damaged, free_output, resumed, run_folder


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
        return run_folder(self.output)

    def part(self, name: str) -> Path:
        """A folder inside the run."""
        return self.directory / name

    @property
    def content(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"paths": self.paths, "recipe": self.recipe.model_dump(mode="json")}


def new_run(paths: list[str], output: Path | None, recipe: Recipe, again: bool = False) -> Run:
    """Chooses the output folder and starts an unfinished run in it.

    Args:
        paths: The texts as the user named them.
        output: Folder of the model; a free one under runs/ when not given.
        recipe: What was asked for.
        again: Go on with the unfinished run that the same paths and recipe began, if there is one.

    Raises:
        OptionError: When the folder named by `output` is taken.
    """
    begun = _begun(paths, output, recipe) if again else None
    if begun is not None:
        return begun
    run = Run((output or free_output(_stem(paths))).absolute(), tuple(paths), recipe)
    begin(run.output, run.content)
    return run


def _begun(paths: list[str], output: Path | None, recipe: Recipe) -> Run | None:
    """Finds the unfinished run that the same command began, in the folder that it names or would have been given."""
    base = (output or Path("runs") / _stem(paths)).absolute()
    folders = [base] if output else [base, *sorted(base.parent.glob(f"{glob.escape(base.name)}-*.run"))]
    for folder in folders:
        try:
            run = open_run(folder)
        except ModelError:
            continue
        if run.paths == tuple(paths) and run.recipe == recipe:
            return run
    return None


def _stem(paths: list[str]) -> str:
    """Name of a model by what it is made from."""
    first = (
        Path((paths[0].split("?")[0] if "://" in paths[0] else paths[0]).rstrip("/*?"))
        if paths and paths[0] != "-"
        else Path("text")
    )
    return (first.name.split(".")[0] or first.resolve().name or "text").strip()


def open_run(output: Path) -> Run:
    """Opens an interrupted run by the folder of its model, or by its `.run` folder.

    Raises:
        ModelError: When there is nothing to resume there, or it is damaged.
    """
    output = resumed(output)
    content = content_of(output, "wenmo.json")
    if "teachers" in content:
        raise ModelError(f"{output} is being distilled; go on with: wenmo distil --resume {output}")
    try:
        return Run(output, tuple(content["paths"]), Recipe.model_validate(content["recipe"]))
    except (KeyError, TypeError, ValidationError) as error:
        raise damaged(output) from error
