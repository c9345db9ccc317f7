"""Text that a verb reads as it is: a prompt, or files taken whole."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wenmo.cli import STDIN
from wenmo.cli.options import Common, paths_given, validate
from wenmo.config import CorpusSettings, Recipe
from wenmo.errors import InputError

if TYPE_CHECKING:
    from wenmo.corpus import Corpus


def read_prompt(text: str) -> str:
    """Returns a text given on the command line, read from standard input when it is `-`.

    Raises:
        InputError: When standard input is not UTF-8.
    """
    if text != STDIN:
        return text
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError("standard input is not UTF-8 text; convert it, for example with iconv") from error


def is_corpus(paths: list[str]) -> bool:
    """Whether the paths name one prepared corpus."""
    return len(paths) == 1 and (Path(paths[0]) / "manifest.json").is_file()


@contextmanager
def whole_corpus(
    paths: list[str], common: Common, *, text_field: str | None = None, encoding: str | None = None
) -> Iterator[Corpus]:
    """Opens a prepared corpus, or reads files for the time of the context.

    All of the files' text is in the split `train`: nothing is held out, and repeated documents count.
    """
    from wenmo.workflow.texts import open_corpus

    fields = {"text_field": text_field, "encoding": encoding}
    whole = {"valid_fraction": 0.0, "test_fraction": 0.0, "deduplicate": False}
    recipe = Recipe(corpus=validate(CorpusSettings, {**fields, **whole}, "--"))
    with tempfile.TemporaryDirectory(prefix="wenmo.") as folder:
        yield open_corpus(paths_given(paths), recipe, Path(folder) / "corpus", not common.quiet)
