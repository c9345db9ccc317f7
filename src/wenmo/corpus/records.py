"""Finding the text in rows: which field of a table or of JSON lines holds it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

TEXT_FIELDS = (
    "text",
    "content",
    "body",
    "文本",
    "内容",
    "正文",
    "内文",
    "article",
    "document",
    "review",
    "passage",
)
SAMPLE_ROWS = 200

csv.field_size_limit(1 << 30)


def guess_field(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str | None:
    """Names the column that holds the text: a usual name, else the longest strings; None without strings."""
    lowered = {column.strip().lower(): column for column in reversed(columns)}
    for name in TEXT_FIELDS:
        if name in lowered:
            return lowered[name]
    lengths = [0] * len(columns)
    for row in rows:
        for position, value in enumerate(row[: len(columns)]):
            if isinstance(value, str) and not _number(value):
                lengths[position] += len(value)
    longest = max(lengths, default=0)
    return columns[lengths.index(longest)] if longest else None


def _number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def looks_like_header(row: Sequence[str], following: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table names its columns: short, distinct, no numbers, unlike other rows."""
    cells = [cell.strip() for cell in row]
    if any(cell.lower() in TEXT_FIELDS for cell in cells):
        return True
    if len(set(cells)) < len(cells) or any(not cell or len(cell) > 32 or _number(cell) for cell in cells):
        return False
    if any(character in cell for cell in cells for character in "。，！？.!?"):
        return False
    return all(not set(cells) & set(other) for other in following)


def table_dialect(lines: Sequence[str], kind: str) -> tuple[str, Literal[0, 3]]:
    """Returns the delimiter and the quoting rule (of `csv`) that fit the first lines of a table."""
    if kind == "tsv":
        delimiter = "\t"
    else:
        counts = {mark: [line.count(mark) for line in lines if line.strip()] for mark in ",;\t|"}
        delimiter = max(
            counts, key=lambda mark: sum(1 for count in counts[mark] if count) * 1000 + (mark == ",")
        )
    quoted = [cell for line in lines for cell in line.rstrip("\n").split(delimiter) if cell.startswith('"')]
    balanced = all(len(cell) > 1 and cell.endswith('"') for cell in quoted)
    return delimiter, csv.QUOTE_MINIMAL if kind == "csv" or balanced else csv.QUOTE_NONE


def json_text(line: str, field: str) -> tuple[str | None, str]:
    """Takes the text out of one JSON line.

    Returns:
        The text and "", or None and the reason why there is none.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None, "broken JSON"
    if isinstance(value, str):
        return value, ""
    if not isinstance(value, dict) or field not in value:
        return None, "missing field"
    found = value[field]
    return (found, "") if isinstance(found, str) else (None, "field is not text")


def json_sample(lines: Iterable[str]) -> list[tuple[int, dict[str, Any]]]:
    """Parses the first JSON lines that are objects; returns (line number, object)."""
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            rows.append((number, value))
        if len(rows) >= SAMPLE_ROWS:
            break
    return rows
