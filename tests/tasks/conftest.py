"""A task that is one file in another folder, put beside the real ones."""

import sys
from pathlib import Path

import pytest

import wenmo.tasks


@pytest.fixture
def sixth(monkeypatch):
    """Adds the folder `sixth` to the tasks: all that a new task needs is its file."""
    monkeypatch.setattr(
        wenmo.tasks, "__path__", [*wenmo.tasks.__path__, str(Path(__file__).parent / "sixth")]
    )
    yield "majority"
    sys.modules.pop("wenmo.tasks.majority", None)
