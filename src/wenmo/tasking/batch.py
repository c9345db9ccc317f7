"""Batches of inputs from files, and their results into files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wenmo.errors import OptionError
from wenmo.files import atomic_path

WRITTEN = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Item:
    """One input.

    Attributes:
        text: The text.
        row: The row it stands in, as read; empty for a text of the command line.
        place: File and line, or "".
    """

    text: str
    row: dict[str, Any] = field(default_factory=dict)
    place: str = ""


def gather(
    texts: Sequence[str],
    files: Sequence[str | Path] = (),
    *,
    column: str | None = None,
    encoding: str | None = None,
    names: Sequence[str] = (),
    option: str = "--text-field",
) -> list[Item]:
    """Collects the inputs of a verb: texts given on the command line, and rows of files.

    Args:
        texts: Texts; `-` reads standard input, one text a line.
        files: Files of rows (see `examples.read_table`); a plain text file has one text a line.
        column: Column with the text; guessed when not given.
        encoding: Of the files; detected when not given.
        names: Usual names of that column, lower case.
        option: The option that names the column.

    Raises:
        OptionError: When there is neither a text nor a file, or the column is not there.
        InputError: When a file cannot be read.
    """
    from wenmo.corpus.records import TEXT_FIELDS
    from wenmo.examples import Role, assign_columns, read_table

    items = [Item(text) for text in texts if text != "-"]
    sources = [*(["-"] if "-" in texts else []), *files]
    if not items and not sources:
        raise OptionError("there is no text; give one, or - for standard input, or --file")
    for source in sources:
        table = read_table([source], encoding=encoding)
        role = Role("text", option, (*names, *TEXT_FIELDS), kind="text")
        found, _ = assign_columns(table, [role], {"text": column})
        items += [Item(row.text(found["text"]), row.values, row.place) for row in table.rows]
    return items


def check_written(path: Path) -> None:
    """Refuses a file that `write_rows` could not write, before the work is done.

    Raises:
        OptionError: When the ending is unknown.
    """
    if path.suffix.lower() not in WRITTEN:
        raise OptionError(f"--output: {path} must end in {', '.join(WRITTEN)}, which says the format")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as csv, tsv, jsonl or parquet, by the ending of the name, whole or not at all.

    Raises:
        OptionError: When the ending is unknown.
        ResourceError: When the disk is full or the folder is not writable.
    """
    check_written(path)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    kind = path.suffix.lower()
    with atomic_path(path) as temporary:
        if kind == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), temporary)
        elif kind == ".jsonl":
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, delimiter="," if kind == ".csv" else "\t", lineterminator="\n")
                writer.writerow(columns)
                writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else value
