"""Reading files as blocks of text, in order and in bounded memory."""

from __future__ import annotations

import codecs
import csv
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from wenmo.config import CorpusSettings
from wenmo.corpus import records
from wenmo.corpus.encoding import Detection, check, detect
from wenmo.corpus.inputs import Source
from wenmo.errors import InputError, OptionError
from wenmo.text import safe_cut

Quoting = Literal[0, 1, 2, 3]
BLOCK_CHARS = 1 << 19
READ_BYTES = 1 << 20
MAX_PENDING = 1 << 24
MAX_HTML_BYTES = 1 << 26
ROWS_PER_BLOCK = 4096
DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Plan:
    """How one source is read, found out before the reading starts.

    Attributes:
        source: The file.
        sha256: Hex digest of the file on disk.
        encoding: Python codec; "" for Parquet, None when the file is refused.
        reason: Why it is refused, or "".
        detail: Where and on what evidence.
        field: Text field of rows, or "".
        column: Position of that field in a table.
        header: Whether a table's first row names its columns.
        delimiter: Delimiter of a table.
        quoting: Quoting rule of a table, a constant of `csv`.
        notes: Remarks for the user.
    """

    source: Source
    sha256: str
    encoding: str | None
    reason: str = ""
    detail: str = ""
    field: str = ""
    column: int = 0
    header: bool = False
    delimiter: str = ""
    quoting: Quoting = csv.QUOTE_MINIMAL
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """A piece of work: one part of a document, or several whole rows.

    Attributes:
        file: Position of the source.
        kind: text, html, jsonl or rows.
        line: Line (or row) number of the first text.
        first: Whether the first text starts a document.
        last: Whether the last text ends a document.
        texts: Parts of text; for jsonl the lines themselves; None marks a row without text.
    """

    file: int
    kind: str
    line: int
    first: bool
    last: bool
    texts: list[str | None]


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file as hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise OptionError(
            f"unknown encoding {name!r} (--corpus.encoding); use a name such as utf-8, gb18030 or big5"
        ) from None


def plan_source(source: Source, sha256: str, settings: CorpusSettings) -> Plan:
    """Finds the encoding of a source and the field that holds its text.

    Raises:
        InputError: When the field that the user named is not there.
        OptionError: When the encoding that the user named is unknown.
    """
    try:
        if source.kind == "parquet":
            return _plan_parquet(source, sha256, settings)
        with source.open() as stream:
            if settings.encoding:
                found = check(stream, _codec(settings.encoding))
            else:
                found = detect(stream)
        if found.encoding is None:
            return _refused(source, sha256, found)
        notes = (f"{source.label}: {found.note}",) if found.note else ()
        if source.kind == "jsonl":
            return _plan_json(source, sha256, found.encoding, settings, notes)
        if source.kind in ("csv", "tsv"):
            return _plan_table(source, sha256, found.encoding, settings, notes)
        return Plan(source, sha256, found.encoding, notes=notes)
    except PermissionError:
        return Plan(source, sha256, None, "unreadable", "permission denied")
    except DAMAGE as error:
        return Plan(source, sha256, None, "unreadable", str(error) or type(error).__name__)


def _refused(source: Source, sha256: str, found: Detection) -> Plan:
    return Plan(source, sha256, None, found.reason, found.detail)


def _head_lines(source: Source, encoding: str, count: int) -> list[str]:
    """First lines of a source, each whole."""
    lines: list[str] = []
    for text in decoded(source, encoding):
        lines.extend(text.split("\n"))
        if len(lines) > count or sum(map(len, lines)) > MAX_PENDING:
            break
    return [line + "\n" for line in lines[:count]]


def _missing_field(label: str, line: int, field: str, columns: list[str]) -> InputError:
    names = ", ".join(columns) or "(none)"
    return InputError(
        f"{label}, line {line}: there is no field {field!r}; the fields are {names} (--corpus.text_field)"
    )


def _plan_json(
    source: Source, sha256: str, encoding: str, settings: CorpusSettings, notes: tuple[str, ...]
) -> Plan:
    rows = records.json_sample(_head_lines(source, encoding, 4 * records.SAMPLE_ROWS))
    if settings.text_field:
        if rows and not any(settings.text_field in row for _, row in rows):
            raise _missing_field(source.label, rows[0][0], settings.text_field, list(rows[0][1]))
        return Plan(source, sha256, encoding, field=settings.text_field, notes=notes)
    columns = list(dict.fromkeys(key for _, row in rows for key in row))
    field = records.guess_field(columns, [[row.get(key) for key in columns] for _, row in rows])
    if rows and field is None:
        raise InputError(
            f"{source.label}, line {rows[0][0]}: no field holds text; the fields are {', '.join(columns)}"
        )
    if rows:
        notes = (*notes, f"{source.label}: text taken from the field {field!r} of {', '.join(columns)}")
    return Plan(source, sha256, encoding, field=field or "text", notes=notes)


def _plan_table(
    source: Source, sha256: str, encoding: str, settings: CorpusSettings, notes: tuple[str, ...]
) -> Plan:
    lines = _head_lines(source, encoding, records.SAMPLE_ROWS)
    while lines and not lines[-1].strip():
        lines.pop()
    delimiter, quoting = records.table_dialect(lines, source.kind)
    rows = list(islice(csv.reader(lines, delimiter=delimiter, quoting=quoting), records.SAMPLE_ROWS))
    rows = [row for row in rows if row]
    if not rows:
        return Plan(source, sha256, None, "empty", "no rows")
    wanted = settings.text_field
    header = wanted in rows[0] if wanted else records.looks_like_header(rows[0], rows[1:])
    columns = rows[0] if header else [str(number + 1) for number in range(max(map(len, rows)))]
    if wanted:
        if wanted not in columns:
            raise _missing_field(
                source.label, 1, wanted, rows[0] + columns if columns != rows[0] else columns
            )
        field = wanted
    else:
        guessed = records.guess_field(columns, rows[1:] if header and len(rows) > 1 else rows)
        if guessed is None:
            raise InputError(f"{source.label}: no column holds text; the columns are {', '.join(columns)}")
        field = guessed
        kind = (
            f"the column {field!r} of {', '.join(columns)}" if header else f"column {field} (no header found)"
        )
        notes = (*notes, f"{source.label}: text taken from {kind}")
    return Plan(
        source,
        sha256,
        encoding,
        field=field,
        column=columns.index(field),
        header=header,
        delimiter=delimiter,
        quoting=quoting,
        notes=notes,
    )


def _plan_parquet(source: Source, sha256: str, settings: CorpusSettings) -> Plan:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if source.compression:
        return Plan(source, sha256, None, "unreadable", "compressed Parquet; decompress it first")
    try:
        with pq.ParquetFile(source.path) as file:
            names = file.schema_arrow.names
            head = next(file.iter_batches(batch_size=records.SAMPLE_ROWS), None)
    except pa.ArrowException as error:
        return Plan(source, sha256, None, "unreadable", f"no valid Parquet file: {error}")
    if settings.text_field:
        if settings.text_field not in names:
            raise _missing_field(source.label, 1, settings.text_field, names)
        return Plan(source, sha256, "", field=settings.text_field)
    columns = [column.to_pylist() for column in head.columns] if head is not None else []
    field = records.guess_field(names, list(zip(*columns, strict=True)))
    if field is None:
        raise InputError(f"{source.label}: no column holds text; the columns are {', '.join(names)}")
    note = f"{source.label}: text taken from the column {field!r} of {', '.join(names)}"
    return Plan(source, sha256, "", field=field, notes=(note,))


def decoded(source: Source, encoding: str) -> Iterator[str]:
    """Decodes a source piece by piece, strictly."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with source.open() as stream:
        while data := stream.read(READ_BYTES):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)


def _text_blocks(plan: Plan, file: int) -> Iterator[Block]:
    """Cuts a text where cleaning the parts equals cleaning the whole."""
    pending: list[str] = []
    size = 0
    line = 1
    first = True
    for piece in decoded(plan.source, plan.encoding or "utf-8"):
        pending.append(piece)
        size += len(piece)
        if size < BLOCK_CHARS:
            continue
        text = "".join(pending)
        cut = safe_cut(text) or (len(text) if len(text) > MAX_PENDING else 0)
        if cut:
            yield Block(file, "text", line, first, False, [text[:cut]])
            line += text.count("\n", 0, cut)
            first = False
        pending, size = [text[cut:]], len(text) - cut
    yield Block(file, "text", line, first, True, ["".join(pending)])


def _json_blocks(plan: Plan, file: int) -> Iterator[Block]:
    rest = ""
    line = 1
    for piece in decoded(plan.source, plan.encoding or "utf-8"):
        lines = (rest + piece).split("\n")
        rest = lines.pop()
        for start in range(0, len(lines), ROWS_PER_BLOCK):
            part = lines[start : start + ROWS_PER_BLOCK]
            yield Block(file, "jsonl", line, True, True, list(part))
            line += len(part)
    if rest.strip():
        yield Block(file, "jsonl", line, True, True, [rest])


def _split_lines(pieces: Iterator[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        lines = (rest + piece).split("\n")
        rest = lines.pop()
        for line in lines:
            yield line + "\n"
    if rest:
        yield rest


def _table_blocks(plan: Plan, file: int) -> Iterator[Block]:
    reader = csv.reader(
        _split_lines(decoded(plan.source, plan.encoding or "utf-8")),
        delimiter=plan.delimiter,
        quoting=plan.quoting,
    )
    if plan.header:
        next(reader, None)
    texts: list[str | None] = []
    size = 0
    start = reader.line_num + 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            texts.append(None)
            continue
        if row is not None and row:
            text = row[plan.column] if plan.column < len(row) else None
            texts.append(text)
            size += len(text or "")
        if texts and (row is None or size >= BLOCK_CHARS or len(texts) >= ROWS_PER_BLOCK):
            yield Block(file, "rows", start, True, True, texts)
            texts, size, start = [], 0, reader.line_num + 1
        if row is None:
            return


def _parquet_blocks(plan: Plan, file: int) -> Iterator[Block]:
    import pyarrow.parquet as pq

    row = 1
    with pq.ParquetFile(plan.source.path) as parquet:
        for batch in parquet.iter_batches(batch_size=256, columns=[plan.field]):
            values = batch.column(0).to_pylist()
            yield Block(
                file, "rows", row, True, True, [value if isinstance(value, str) else None for value in values]
            )
            row += len(values)


def _html_blocks(plan: Plan, file: int) -> Iterator[Block]:
    pieces: list[str] = []
    size = 0
    for piece in decoded(plan.source, plan.encoding or "utf-8"):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_HTML_BYTES:
            raise OSError(f"HTML page of more than {MAX_HTML_BYTES >> 20} MiB; convert it to text first")
    yield Block(file, "html", 1, True, True, ["".join(pieces)])


_BLOCKS = {
    "text": _text_blocks,
    "html": _html_blocks,
    "jsonl": _json_blocks,
    "csv": _table_blocks,
    "tsv": _table_blocks,
    "parquet": _parquet_blocks,
}


def blocks(plan: Plan, file: int) -> Iterator[Block]:
    """Yields a source's text in order, in blocks of about half a million characters.

    Raises:
        OSError: When the file is damaged or was changed since it was planned.
    """
    try:
        yield from _BLOCKS[plan.source.kind](plan, file)
    except UnicodeDecodeError as error:
        raise OSError(f"no longer {plan.encoding}: {error.reason}") from error
    except DAMAGE as error:
        raise OSError(str(error) or type(error).__name__) from error
