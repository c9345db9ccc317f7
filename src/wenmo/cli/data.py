"""The verbs `prepare`, `tokenizer train` and `tokenizer inspect`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from wenmo.cli.inputs import read_prompt, whole_corpus
from wenmo.cli.options import Common, paths_given, plain
from wenmo.config import CorpusSettings, Recipe, TokenizerSettings
from wenmo.errors import OptionError

if TYPE_CHECKING:
    from wenmo.corpus import Corpus

Paths = Annotated[list[str], Parameter(negative=())]
Output = Annotated[Path, Parameter(name=("--output", "-o"))]


def prepare(
    paths: Paths,
    /,
    *,
    output: Output,
    force: Annotated[bool, Parameter(negative=())] = False,
    settings: Annotated[CorpusSettings | None, Parameter(name="*")] = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Read raw text, clean it and split it: a corpus ready to train on.

    Args:
        paths: Files, folders, globs, or - for standard input.
        output: Folder of the corpus.
        force: Prepare again even when neither inputs nor settings have changed.
        settings: How raw files become a corpus.
        common: Options of every verb.
    """
    from wenmo.corpus import prepare as run

    started = time.monotonic()
    corpus = run(
        paths_given(paths), output, plain(settings, CorpusSettings), force=force, progress=not common.quiet
    )
    summary = summarise(corpus)
    summary["seconds"] = round(time.monotonic() - started, 3)
    if common.json:
        from wenmo.cli.output import print_json

        print_json(summary)
    else:
        _print_corpus(summary, corpus.manifest.losses())


def summarise(corpus: Corpus) -> dict[str, Any]:
    """Returns what `prepare --json` prints, without the time taken."""
    splits = ("train", "valid", "test")
    return {
        "corpus": str(corpus.path),
        "fingerprint": corpus.fingerprint,
        "documents": {split: corpus.count(split) for split in splits},
        "bytes": {split: corpus.bytes(split) for split in splits},
        "report": str(corpus.path / "report.html"),
        "manifest": corpus.manifest.model_dump(mode="json"),
    }


def _print_corpus(summary: dict[str, Any], losses: list[str]) -> None:
    from wenmo.cli.output import print_table
    from wenmo.progress import quantity

    documents, sizes = summary["documents"], summary["bytes"]
    rows = [(split, f"{documents[split]:,}", quantity(sizes[split], "B")) for split in documents]
    print_table(rows, ("split", "documents", "text"), numeric=(1, 2))
    manifest = summary["manifest"]
    for line in losses:
        print(line)
    for note in manifest["notes"]:
        print(f"note: {note}")
    print(f"\nCorpus  {summary['corpus']}\nReport  {summary['report']}")


def tokenizer_train(
    paths: Paths,
    /,
    *,
    output: Output,
    settings: Annotated[TokenizerSettings | None, Parameter(name="*")] = None,
    corpus: CorpusSettings | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Train a tokenizer on the training part of your text.

    Args:
        paths: Files, folders, globs, a prepared corpus, or - for standard input.
        output: Folder of the tokenizer.
        settings: Which tokenizer is trained.
        corpus: How raw files become a corpus.
        common: Options of every verb.
    """
    from wenmo.files import atomic_directory
    from wenmo.tokenization.training import train_tokenizer
    from wenmo.workflow.texts import open_corpus

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OptionError(f"--output: {output} exists already; choose another folder, or delete it first")
    started = time.monotonic()
    recipe = Recipe(
        corpus=plain(corpus, CorpusSettings, "--corpus."), tokenizer=plain(settings, TokenizerSettings)
    )
    with tempfile.TemporaryDirectory(prefix="wenmo.") as folder:
        prepared = open_corpus(paths_given(paths), recipe, Path(folder) / "corpus", not common.quiet)
        texts = (text for text, _ in prepared.parts("train"))
        size = prepared.bytes("train")
        tokenizer = train_tokenizer(texts, recipe.tokenizer, size, progress=not common.quiet)
    with atomic_directory(output) as temporary:
        tokenizer.save(temporary)
    summary = {
        "tokenizer": str(output),
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "bytes": size,
        "fingerprint": tokenizer.fingerprint,
        "seconds": round(time.monotonic() - started, 3),
    }
    if common.json:
        from wenmo.cli.output import print_json

        print_json(summary)
    else:
        print(f"{tokenizer.kind} tokenizer of {tokenizer.vocab_size:,} tokens in {output}")


def tokenizer_inspect(
    tokenizer: Path,
    text: str = "",
    /,
    *,
    path: Annotated[list[str] | None, Parameter(negative=())] = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> None:
    """Show how a tokenizer cuts text: its tokens, bytes per token by script, coverage.

    Args:
        tokenizer: Folder of a tokenizer, or of a model.
        text: Text to cut; - reads it from standard input.
        path: File, folder or glob to measure instead; may be given several times.
        common: Options of every verb.
    """
    from wenmo.tokenization.inspection import inspect_tokenizer, render_inspection
    from wenmo.tokenization.tokenizer import Tokenizer

    if path and text:
        raise OptionError("give a text or --path, not both")
    loaded = Tokenizer.load(tokenizer)
    if path:
        with whole_corpus(path, common) as corpus:
            inspection = inspect_tokenizer(loaded, corpus.texts("train"))
    else:
        if text and _names_a_file(text) and not common.quiet:
            print(f"note: {text} is cut as text; to measure that file, give --path {text}", file=sys.stderr)
        inspection = inspect_tokenizer(loaded, [read_prompt(text)])
    if common.json:
        from wenmo.cli.output import print_json

        print_json(inspection)
    else:
        print(render_inspection(inspection))


def _names_a_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long, or no name at all
        return False
