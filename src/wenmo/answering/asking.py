"""What the verb `ask` needs: telling documents from the question, and the index of documents that stays on disk."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from pathlib import Path

from wenmo.config import cache_directory
from wenmo.errors import OptionError
from wenmo.retrieval import Index, update_index


def documents_and_question(words: Sequence[str], batch: bool = False) -> tuple[list[str], str]:
    """Splits the words of a command line: the last one is the question, unless it names a file, folder or pattern.

    Args:
        words: As given.
        batch: Whether the questions come from a file, so that all words are documents.

    Raises:
        OptionError: When the question is empty.
    """
    if not words or batch:
        return list(words), ""
    last = words[-1]
    named = len(last) < 4096 and "\0" not in last and _names_something(last)
    if named:
        return list(words), ""
    if not last.strip():
        raise OptionError("the question is empty; write it in quotes after the documents")
    return list(words[:-1]), last.strip()


def _names_something(word: str) -> bool:
    try:
        path = Path(word).expanduser()
        return path.exists() or (glob.has_magic(word) and bool(glob.glob(str(path), recursive=True)))  # noqa: PTH207
    except OSError:  # longer than a name may be: a question
        return False


def cached_index(
    documents: Sequence[str],
    directory: Path | None,
    text_field: str | None,
    encoding: str | None,
    progress: bool,
) -> tuple[Index, str]:
    """Opens the index of documents, brought up to date, and says in a sentence what was done.

    Raises:
        InputError: When the documents are not there or hold no text.
        ResourceError: When it cannot be written.
    """
    if directory is None:
        names = "\n".join(str(Path(name).expanduser().absolute()) for name in documents)
        key = hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        directory = cache_directory() / "indexes" / key
    index, report = update_index(
        documents, directory, text_field=text_field, encoding=encoding, progress=progress
    )
    parts = [f"{report.passages:,} passages of {len(report.read) + len(report.kept):,} files"]
    if report.kept:
        parts.append(f"{len(report.kept):,} files unchanged")
    if report.removed:
        parts.append(f"{len(report.removed):,} files gone")
    if report.left_out:
        label, reason = report.left_out[0]
        parts.append(f"{len(report.left_out):,} files without text (first: {label}, {reason})")
    if report.skipped:
        parts.append(f"{report.skipped.total():,} files of other kinds passed over")
    return index, "; ".join(parts)
