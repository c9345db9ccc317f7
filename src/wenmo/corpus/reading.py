"""Reading files as blocks of text, in order and in bounded memory."""

from __future__ import annotations

import codecs
import csv
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from wenmo.corpus.inputs import Source, readable
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


def decoded(source: Source, encoding: str) -> Iterator[str]:
    """Decodes a source piece by piece, strictly; a last character that is not all there is left out."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with source.open() as stream:
        while data := stream.read(READ_BYTES):
            yield decoder.decode(data)
        with suppress(UnicodeError):
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
    with pq.ParquetFile(readable(plan.source.path)) as parquet:
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
