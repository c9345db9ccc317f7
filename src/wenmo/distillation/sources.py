"""What a distillation begins with: the models that are put together, and the text they learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wenmo.api import Model, load
from wenmo.config import Recipe
from wenmo.corpus import Corpus
from wenmo.errors import InputError, ModelError
from wenmo.workflow.texts import open_corpus


def load_teachers(models: Sequence[str]) -> Model:
    """Loads one model, or several as a mixture.

    Raises:
        ModelError: When a folder is no language model, or their tokenizers differ.
    """
    for name in models:
        if (Path(name) / "task.json").is_file() and not (Path(name) / "wenmo.json").is_file():
            raise ModelError(
                f"{name} holds an application, and only language models can be distilled; "
                "name one that wenmo train made without --task"
            )
    return load(*models)


def _known_corpora(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Where the models' own corpora are, as they remember it; of several models, each different one once."""
    infos = [info, *(part for part in info.get("members", {}).values() if isinstance(part, dict))]
    found = []
    for each in infos:
        corpus = each.get("corpus")
        if isinstance(corpus, dict) and "path" in corpus and corpus not in found:
            found.append(corpus)
    return found


def find_corpus(
    teacher: Model,
    models: Sequence[str],
    paths: Sequence[str],
    recipe: Recipe,
    directory: Path,
    progress: bool,
) -> tuple[Corpus, bool]:
    """Opens the text that the user named, or else the corpus that the model was trained on.

    Args:
        teacher: The loaded models.
        models: Their folders as the user named them.
        paths: Files, folders, or a prepared corpus; may be empty.
        recipe: How files become a corpus.
        directory: Where a corpus made from files goes.
        progress: Whether to show progress.

    Returns:
        The corpus, and whether it is the one that every model was trained on, so that its test text is new to them.

    Raises:
        InputError: When no text is named and the model's own is not there any more.
    """
    known = _known_corpora(teacher.info)
    if paths:
        corpus = open_corpus(paths, recipe, directory, progress)
        return corpus, [each.get("fingerprint") for each in known] == [corpus.fingerprint]
    name = " --model ".join(models)
    if not known:
        raise InputError(
            f"{models[0]} does not say what it was trained on; name the text: wenmo distil {name} PATH"
        )
    if len(known) > 1:
        raise InputError(f"the models were trained on different texts; name one: wenmo distil {name} PATH")
    path = Path(known[0]["path"])
    beside = Path(models[0]).absolute()
    # A model that was moved has its corpus beside it.
    for candidate in (path, beside.with_name(beside.name + ".corpus")):
        try:
            corpus = Corpus.open(candidate)
        except InputError:
            continue
        if corpus.fingerprint == known[0].get("fingerprint"):
            return corpus, True
    raise InputError(
        f"the text of {models[0]} is not in {path} any more, or has changed; name it: wenmo distil {name} PATH"
    )
