"""Where the benchmarks' texts lie, and how they are read."""

from __future__ import annotations

from pathlib import Path


def shared_data(*names: str) -> Path:
    """The folder or file shared/data/NAMES in a folder above this one; the relative path where there is none."""
    wanted = Path("shared", "data", *names)
    places = (folder / wanted for folder in Path(__file__).resolve().parents)
    return next((place for place in places if place.exists()), wanted)


def read_text(path: Path) -> str:
    """A text in UTF-8 or GB18030.

    Raises:
        UnicodeDecodeError: When it is in neither.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("gb18030")
