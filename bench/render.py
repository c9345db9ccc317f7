"""Writes docs/benchmarks.md and its plots from bench/results/*.json: what each script measured, nothing added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from _plots import draw
from wenmo.files import write_text

ROOT = Path(__file__).resolve().parent.parent
HEADER = """# Benchmarks

Made by `make bench` from `bench/results/*.json`; do not edit. Each script in `bench/` runs its peer in the
same run, in turn with ours, repeats, and reports medians with their spread. Run one with
`python bench/NAME.py`.
"""
SHOWN_APART = {"name", "claim", "date", "machine", "command", "versions", "rows", "verdict"}


def plain(value: Any) -> str:
    """Formats a value for a line or a table cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def table(rows: list[dict[str, Any]]) -> str:
    """Formats rows as a Markdown table with a column for every field that occurs."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([plain(row.get(name)) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(result: dict[str, Any], fallback_name: str) -> str:
    """Formats one result; fields that this script does not know stand as they are."""
    parts = [f"## {result.get('name', fallback_name)}"]
    if result.get("claim"):
        parts.append(f"**Claim:** {plain(result['claim'])}")
    rows = result.get("rows")
    if isinstance(rows, dict):
        rows = [{"": key, **(row if isinstance(row, dict) else {"value": row})} for key, row in rows.items()]
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        plot = draw(str(result.get("name", fallback_name)), rows, ROOT / "docs" / "plots")
        if plot is not None:
            parts.append(f"![{plot.stem}](plots/{plot.name})")
        parts.append(table(rows))
    others = {key: value for key, value in result.items() if key not in SHOWN_APART}
    if others:
        parts.append("\n".join(f"- {key.replace('_', ' ')}: {plain(value)}" for key, value in others.items()))
    if result.get("verdict"):
        parts.append(f"**Verdict:** {plain(result['verdict'])}")
    origin = [plain(result[key]) for key in ("date", "machine", "versions") if result.get(key)]
    if result.get("command"):
        origin.append(f"`{plain(result['command'])}`")
    parts.append(f"<sub>{'; '.join(origin)}</sub>" if origin else "")
    return "\n\n".join(part for part in parts if part)


def main() -> None:
    """Reads every result and writes the page."""
    paths = sorted((ROOT / "bench" / "results").glob("*.json"))
    sections = [section(json.loads(path.read_text(encoding="utf-8")), path.stem) for path in paths]
    write_text(ROOT / "docs" / "benchmarks.md", "\n\n".join([HEADER.rstrip(), *sections]) + "\n")
    print(f"docs/benchmarks.md: {len(sections)} results")


if __name__ == "__main__":
    main()
