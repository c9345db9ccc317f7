"""The user's documents: rows of tables, lines of a text, or whole files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wenmo.errors import InputError, OptionError
from wenmo.semantics.tokens import content_words

Unit = Literal["auto", "file", "line"]
FIELDS = ("text", "content", "abstract", "body", "document", "review", "正文", "内容", "文本", "摘要")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataclass
class Documents:
    """Texts with their places.

    Attributes:
        texts: The documents.
        sources: File, or file and line, of each.
        dropped: Reason -> number of documents left out.
        notes: What was found out, a sentence each.
    """

    texts: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_documents(
    paths: Sequence[str | Path],
    *,
    text_field: str | None = None,
    encoding: str | None = None,
    unit: Unit = "auto",
) -> Documents:
    """Reads documents: each row of a table is one, each web page, and each text file or each of its lines.

    Args:
        paths: Files, folders, globs or `-`.
        text_field: Column of tables that holds the text; guessed when not given.
        encoding: Of text files; detected when not given.
        unit: What of a text file is a document; `auto` takes lines of a single text file, else whole files.

    Raises:
        InputError: When a file cannot be read, or no document has a word.
        OptionError: When the column is not there.
    """
    from wenmo.examples import Role, Table, assign_columns, read_table

    pages, others = _web_pages(paths, encoding)
    table = read_table(others, encoding=encoding) if others else Table()
    found = Documents(dropped=Counter(table.dropped), notes=list(table.notes))
    for text, source in pages:
        _add(found, text, source)
    plain = [row for row in table.rows if set(row.values) == {"text"} and not _is_table(row.source)]
    rows = [row for row in table.rows if not (set(row.values) == {"text"} and not _is_table(row.source))]
    if rows:
        table.rows = rows
        table.columns = tuple(dict.fromkeys(name for row in rows for name in row.values))
        role = Role("text", "--text-field", FIELDS, "text")
        columns, sentence = assign_columns(table, [role], {"text": text_field})
        found.notes.append(sentence)
        for row in rows:
            _add(found, row.text(columns["text"]), row.place)
    files: dict[str, list[str]] = {}
    for row in plain:
        files.setdefault(row.source, []).append(row.text("text"))
    by_line = unit == "line" or (unit == "auto" and len(files) == 1 and not rows and not pages)
    if plain and unit == "auto":
        found.notes.append(
            "every line of the text is a document; with --unit file the whole text is one"
            if by_line
            else "every text file is a document; with --unit line every line is one"
        )
    if by_line:
        for row in plain:
            _add(found, row.text("text"), row.place)
    else:
        for source, lines in files.items():
            _add(found, "\n".join(lines), source)
    if not found.texts:
        raise InputError(f"{', '.join(map(str, paths))}: no document has a word in it; give texts to read")
    return found


def _web_pages(
    paths: Sequence[str | Path], encoding: str | None
) -> tuple[list[tuple[str, str]], list[str | Path]]:
    """The texts of web pages among the paths with their names, and the paths of everything else."""
    from wenmo.config import CorpusSettings
    from wenmo.corpus.inputs import find_inputs
    from wenmo.corpus.planning import plan_source
    from wenmo.corpus.reading import decoded
    from wenmo.corpus.working import html_text

    named = [path for path in paths if str(path) != "-"]
    sources = find_inputs(named, Path()).sources if named else []
    if not any(source.kind == "html" for source in sources):
        return [], list(paths)
    pages = []
    for source in sources:
        if source.kind == "html":
            plan = plan_source(source, "", CorpusSettings(encoding=encoding))
            if plan.encoding is None:
                raise InputError(f"{source.label} cannot be read: {plan.reason} ({plan.detail})")
            pages.append((html_text("".join(decoded(source, plan.encoding))).strip(), source.label))
    others: list[str | Path] = [str(source.path) for source in sources if source.kind != "html"]
    return pages, [*(["-"] if len(named) < len(paths) else []), *dict.fromkeys(others)]


def _is_table(source: str) -> bool:
    return any(ending in source.lower() for ending in TABLES)


def _add(found: Documents, text: str, source: str) -> None:
    if not text:
        found.dropped["an empty document"] += 1
    elif not content_words(text):
        found.dropped["a document without a word to go by"] += 1
    else:
        found.texts.append(text)
        found.sources.append(source)


def without_repeats(documents: Documents) -> Documents:
    """Keeps the first of documents with the same text; the others are counted."""
    seen: set[str] = set()
    kept = Documents(dropped=Counter(documents.dropped), notes=list(documents.notes))
    for text, source in zip(documents.texts, documents.sources, strict=True):
        if text in seen:
            kept.dropped["the same text again"] += 1
            continue
        seen.add(text)
        kept.texts.append(text)
        kept.sources.append(source)
    return kept


def given_documents(texts: Sequence[str], files: Sequence[str | Path], **options: Any) -> Documents:
    """Collects what was named on a command line: texts as they are, and the documents of files and folders.

    Args:
        texts: Each a text, or the path of a file or folder that exists, or `-`.
        files: Files and folders.
        **options: Options of `read_documents`.

    Raises:
        OptionError: When there is nothing, or a model's folder stands among the texts.
        InputError: When a text can only have been meant as the name of a file and there is none.
    """
    written: list[str] = []
    paths: list[str | Path] = list(files)
    for text in texts:
        if text == "-" or _exists(text):
            if text != "-" and (Path(text) / "task.json").is_file():
                raise OptionError(f"{text} is a model; give it with --model, and the texts beside it")
            paths.append(text)
        elif " " not in text and (
            text.startswith(("/", "./", "../", "~/"))
            or text.lower().endswith((".txt", ".md", ".gz", *TABLES))
        ):
            raise InputError(f"there is no file {text}")
        else:
            written.append(text)
    if not written and not paths:
        raise OptionError("there is no text; give one, or files, or - for standard input")
    found = read_documents(paths, **options) if paths else Documents()
    found.texts[:0] = written
    found.sources[:0] = [""] * len(written)
    return found


def _exists(text: str) -> bool:
    try:
        return Path(text).exists() or ("/" in text and any(character in text for character in "*?["))
    except (OSError, ValueError):  # too long for a name, or with a character that no name has
        return False
