"""Finding out how each source is to be read: its encoding, and the field that holds the text of its rows."""

from __future__ import annotations

import codecs
import csv
import hashlib
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from wenmo.config import CorpusSettings
from wenmo.corpus import records
from wenmo.corpus.declared import HEAD, declared_encoding
from wenmo.corpus.encoding import BYTE_ORDER_MARKS, Detection, check, detect
from wenmo.corpus.inputs import Source, readable
from wenmo.corpus.reading import DAMAGE, MAX_PENDING, Plan, decoded
from wenmo.corpus.remote import RemoteFile
from wenmo.errors import InputError, OptionError


def hash_file(path: Path | RemoteFile) -> str:
    """Returns the SHA-256 of a file as hex digits; of a remote one what is known of it without fetching it."""
    if isinstance(path, RemoteFile):
        return path.fingerprint
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _codec(name: str) -> str:
    try:
        codec = codecs.lookup(name)
        " ".encode(codec.name)  # codecs of bytes to bytes, such as base64, are found but encode no text
        codecs.getincrementaldecoder(codec.name)
        return codec.name
    except (LookupError, UnicodeError):
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
            if settings.encoding is not None:
                found = check(stream, _codec(settings.encoding))
            else:
                found = _detect_page(stream) if source.kind == "html" else detect(stream)
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


def _detect_page(stream: BinaryIO) -> Detection:
    """Believes what an HTML page says of its encoding if all of it can be read so; else its bytes decide."""
    head = stream.read(HEAD)
    stream.seek(0)
    declared = declared_encoding(head)
    if declared is None or head.startswith(BYTE_ORDER_MARKS):
        return detect(stream)
    if (found := check(stream, declared)).encoding is not None:
        return found
    stream.seek(0)
    found = detect(stream)
    if found.encoding is not None:
        return replace(found, note=f"says it is in {declared}, and is in {found.encoding}")
    return replace(found, detail=f"says it is in {declared}, and is not; {found.detail}")


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
        f"{label}, line {line}: there is no field {field!r}; the fields are {names} (--corpus.text-field)"
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
        with pq.ParquetFile(readable(source.path)) as file:
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
