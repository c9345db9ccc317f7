"""Which column of a table is what: as the user says, else by usual names, else by what stands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from wenmo.errors import InputError, OptionError
from wenmo.examples.table import Table

SAMPLE = 2_000
"""Rows that are looked at."""
FEW = 50
"""A column of labels has at most this many different values, or a tenth as many as rows."""
LONGEST_LABEL = 40
"""Characters of the longest value of a column of labels."""


@dataclass(frozen=True)
class Role:
    """What a task needs of a table.

    Attributes:
        name: Name of the role, such as `text`.
        option: The option that names its column, such as `--text-field`.
        names: Usual names of the column, lower case, Chinese and English, the likeliest first.
        kind: `text` (the longest strings) or `label` (few different short values) are also found by content;
            `named` only by its name.
        required: Whether a table without it is refused.
    """

    name: str
    option: str
    names: tuple[str, ...]
    kind: Literal["text", "label", "named"] = "named"
    required: bool = True


def assign_columns(
    table: Table, roles: Sequence[Role], given: Mapping[str, str | None]
) -> tuple[dict[str, str], str]:
    """Finds the column of every role.

    Args:
        table: The rows.
        roles: What is needed.
        given: Role -> column that the user named, or None.

    Returns:
        Role -> column (roles that are not required may be missing), and a sentence that says what was found.

    Raises:
        OptionError: When a named column is not there, or one column was named twice.
        InputError: When a required role finds no column.
    """
    found: dict[str, str] = {}
    shown = ", ".join(table.columns)
    for role in roles:
        name = given.get(role.name)
        if name is None:
            continue
        if name not in table.columns:
            raise OptionError(f"{role.option}: there is no column {name!r}; the columns are {shown}")
        if name in found.values():
            raise OptionError(f"{role.option}: the column {name!r} already has another role")
        found[role.name] = name
    lowered = {column.strip().lower(): column for column in reversed(table.columns)}
    for role in roles:
        if role.name in found:
            continue
        match = next(
            (lowered[n] for n in role.names if n in lowered and lowered[n] not in found.values()), None
        )
        if match is not None:
            found[role.name] = match
    for kind in ("label", "text"):  # a label is the surer guess, and leaves fewer columns for the text
        for role in roles:
            if role.kind == kind and role.name not in found and role.required:
                guess = _by_content(table, kind, set(found.values()))
                if guess is not None:
                    found[role.name] = guess
    missing = next((role for role in roles if role.required and role.name not in found), None)
    if missing is not None:
        place = table.rows[0].source if table.rows else "the table"
        raise InputError(
            f"{place}: no column holds the {missing.name}; the columns are {shown}; name it with {missing.option}"
        )
    said = ", ".join(f"{role.name} from {found[role.name]!r}" for role in roles if role.name in found)
    return found, f"columns: {said} (of {shown})"


def _by_content(table: Table, kind: str, taken: set[str]) -> str | None:
    rows = table.rows[:SAMPLE]
    best: tuple[float, str] | None = None
    for column in table.columns:
        if column in taken:
            continue
        values = [value for value in (row.text(column) for row in rows) if value]
        if not values:
            continue
        if kind == "text":
            score = float(median(map(len, values)))
        else:
            distinct = len(set(values))
            if distinct > max(2, min(FEW, len(rows) // 2)) or max(map(len, values)) > LONGEST_LABEL:
                continue
            score = -float(distinct) if distinct > 1 else -float(FEW)
        if best is None or score > best[0]:
            best = (score, column)
    return best[1] if best else None
