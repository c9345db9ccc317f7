"""What the verbs print: one JSON object, or a short table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from rich.console import Console


def print_json(content: BaseModel | Mapping[str, Any]) -> None:
    """Prints one JSON object on standard output; Chinese stays readable, and NaN becomes null."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else dict(content)
    print(json.dumps(plain, ensure_ascii=False, indent=2))


def console() -> Console:
    """Returns a console on standard output; what is not a terminal gets lines as wide as they need."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)


def print_table(rows: Iterable[Sequence[str]], header: Sequence[str], numeric: Sequence[int] = ()) -> None:
    """Prints a table without frames.

    Args:
        rows: Cells of each row.
        header: Names of the columns.
        numeric: Columns set flush right.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index in numeric else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def print_scores(scores: Mapping[str, float | None]) -> None:
    """Prints names with bits per byte, the best one marked."""
    known = {name: value for name, value in scores.items() if value is not None}
    best = min(known, key=lambda name: known[name]) if known else None
    rows = [(name, f"{value:.3f}", "best" if name == best else "") for name, value in known.items()]
    print_table(rows, ("", "bits per byte", ""), numeric=(1,))


def from_here(path: str) -> str:
    """Shortens a path inside the current folder."""
    inside = Path(path).is_relative_to(Path.cwd())
    return str(Path(path).relative_to(Path.cwd())) if inside else path
