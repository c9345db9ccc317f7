"""Rows of csv, tsv, jsonl, parquet and plain text files as one table, with their place and in whole.

Examples are small beside raw text (people label by hand), so that a table is held in memory. Nothing is dropped
silently: what cannot be read is counted with its reason and the first place.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wenmo.config import CorpusSettings
from wenmo.corpus.inputs import Source, find_inputs
from wenmo.corpus.planning import plan_source
from wenmo.corpus.reading import decoded
from wenmo.corpus.records import SAMPLE_ROWS, looks_like_header, table_dialect
from wenmo.errors import InputError

TEXT_COLUMN = "text"
"""Name of the only column of a plain text file, whose rows are its lines that are not empty."""


@dataclass(frozen=True)
class Row:
    """One example as it stands in its file.

    Attributes:
        values: Column -> value: a string, or whatever JSON or Parquet holds. A missing cell is not in it.
        source: File, as shown to the user.
        line: Line in it, from 1 (row number for Parquet).
    """

    values: dict[str, Any]
    source: str
    line: int

    def text(self, column: str) -> str:
        """Returns a cell as text without white space around it; "" when it is missing or null."""
        value = self.values.get(column)
        if value is None:
            return ""
        return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).strip()

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.source}, line {self.line}"


@dataclass
class Table:
    """Rows of one or more files.

    Attributes:
        columns: Names of all columns, in order of appearance; "1", "2", ... where a table has no header.
        rows: Every row that could be read.
        dropped: Reason -> number of rows or lines that could not.
        notes: What was found out or left out, a sentence each.
        plain: Whether all files are plain text, whose rows are lines.
    """

    columns: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    plain: bool = False

    def drop(self, reason: str, place: str) -> None:
        """Counts what is left out; the first place of each reason is noted."""
        if not self.dropped[reason]:
            self.notes.append(f"left out: {reason} (first in {place})")
        self.dropped[reason] += 1


def read_table(
    paths: Sequence[str | Path], *, encoding: str | None = None, header: bool | None = None
) -> Table:
    """Reads every row of the files.

    Args:
        paths: Files, folders, globs or `-`; .csv, .tsv, .jsonl, .parquet, .txt and .md, plain or compressed.
        encoding: Of all text files; detected per file when not given.
        header: Whether the first row of a csv or tsv names its columns; found out when not given.

    Returns:
        The rows of all files one after another.

    Raises:
        InputError: When a path does not exist, a file cannot be read, or there is no row.
    """
    with tempfile.TemporaryDirectory(prefix="wenmo.") as folder:
        found = find_inputs(paths, Path(folder) / "stdin.txt")
        if found.unreadable:
            name, reason = found.unreadable[0]
            raise InputError(f"{name} cannot be read: {reason}")
        table = Table()
        columns: dict[str, None] = {}
        for source in found.sources:
            for row in _rows(source, encoding, header, table):
                columns.update(dict.fromkeys(row.values))
                table.rows.append(row)
    for suffix, count in found.skipped.items():
        table.notes.append(f"{count} files of a kind that holds no rows were skipped: {suffix}")
    if not table.rows:
        lost = "".join(f"; {count} lines: {reason}" for reason, count in table.dropped.items())
        raise InputError(f"{', '.join(map(str, paths))}: there are no rows in it{lost}")
    table.columns = tuple(columns)
    table.plain = all(source.kind == "text" for source in found.sources)
    return table


def _rows(source: Source, encoding: str | None, header: bool | None, table: Table) -> Iterator[Row]:
    if source.kind == "parquet":
        return _parquet_rows(source)
    if source.kind == "html":
        raise InputError(f"{source.label}: a web page has no rows; save the examples as csv, tsv or jsonl")
    plain = Source(source.path, "text", source.label, source.compression, source.member)
    plan = plan_source(plain, "", CorpusSettings(encoding=encoding))
    if plan.encoding is None:
        raise InputError(
            f"{source.label} cannot be read: {plan.reason} ({plan.detail})".replace(
                "--corpus.encoding", "--encoding"
            )
        )
    table.notes.extend(plan.notes)
    lines = _lines("".join(decoded(source, plan.encoding)).removeprefix("\ufeff"))
    if source.kind == "jsonl":
        return _json_rows(source, lines, table)
    if source.kind in ("csv", "tsv"):
        return _cells(source, lines, header, table)
    return (
        Row({TEXT_COLUMN: line.strip()}, source.label, number)
        for number, line in enumerate(lines, 1)
        if line.strip()
    )


def _lines(text: str) -> list[str]:
    """Lines as editors count them, without their ends; other separators of Unicode stay inside a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _json_rows(source: Source, lines: Sequence[str], table: Table) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{source.label}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            table.drop("broken JSON", place)
            continue
        if isinstance(value, dict):
            yield Row(value, source.label, number)
        elif isinstance(value, list) and value:
            yield Row({str(i): item for i, item in enumerate(value, 1)}, source.label, number)
        else:
            table.drop("a JSON line that is neither an object nor a list", place)


def _cells(source: Source, lines: list[str], header: bool | None, table: Table) -> Iterator[Row]:
    delimiter, quoting = table_dialect(lines[:SAMPLE_ROWS], source.kind)
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, quoting=quoting, strict=False)
    cells: list[tuple[int, list[str]]] = []
    last = 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                cells.append((last + 1, row))
            last = reader.line_num
    except csv.Error as error:
        raise InputError(f"{source.label}, line {last + 1}: {error}; repair the quotes there") from error
    if not cells:
        return
    first = [cell.strip() for cell in cells[0][1]]
    if header is None:
        header = looks_like_header(first, [row for _, row in cells[1:SAMPLE_ROWS]])
    width = len(first)
    columns = first if header else [str(number) for number in range(1, width + 1)]
    if len(set(columns)) < len(columns):
        twice = next(name for name, count in Counter(columns).items() if count > 1)
        raise InputError(f"{source.label}, line 1: two columns are named {twice!r}; rename one")
    for line, row in cells[1 if header else 0 :]:
        if len(row) > width:
            table.drop(f"a row with more than {width} cells", f"{source.label}, line {line}")
            continue
        yield Row(dict(zip(columns, row, strict=False)), source.label, line)


def _parquet_rows(source: Source) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, source.label, number)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.label} cannot be read as Parquet: {error}") from error
