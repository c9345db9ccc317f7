"""Imports point one way through the house, and heavy libraries are imported only when used."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import wenmo

SOURCE = Path(wenmo.__file__).parent
ROOMS = (
    *("errors", "files", "interrupts", "progress", "config", "compiled"),
    *("text", "corpus", "tokenization", "models", "training"),
    *("generation", "evaluation", "explanation", "audit", "interop"),
    *("examples", "seq2seq", "classification", "semantics", "retrieval", "answering", "conversation"),
    *("api", "serving", "comparison", "workflow", "distillation", "tasking", "tasks", "doctor", "cli"),
)
HEAVY = {
    "torch",
    "daft",
    "numba",
    "tokenizers",
    "matplotlib",
    "transformers",
    "scipy",
    "pandas",
    "pyarrow",
    "sklearn",
}
DOORS = {SOURCE / "__init__.py", SOURCE / "__main__.py"}
"""Open to the outside: they may import every room, and no room imports them."""


def imported(tree, package):
    """Absolute names of the modules that a module of `package` imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "wenmo":
                yield from ((f"wenmo.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield module, node.lineno


def violations(files, source):
    """Imports that point to a later room, as readable lines."""
    for file in files:
        parts = file.relative_to(source).with_suffix("").parts
        package = ".".join(["wenmo", *parts[:-1]])
        for name, line in imported(ast.parse(file.read_text("utf-8")), package):
            names = name.split(".")
            if names[0] != "wenmo" or len(names) < 2 or names[1] == "__version__":
                continue
            if names[1] not in ROOMS:
                yield f"{file}:{line}: {name} is not a room"
            elif ROOMS.index(names[1]) > ROOMS.index(parts[0]):
                yield f"{file}:{line}: {parts[0]} imports {name}, a later room"


def test_imports_point_to_earlier_rooms_only():
    files = [file for file in SOURCE.rglob("*.py") if file not in DOORS]
    unknown = {file.relative_to(SOURCE).with_suffix("").parts[0] for file in files} - set(ROOMS)
    assert not unknown, f"give these a place in the order: {unknown}"
    assert list(violations(files, SOURCE)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "from wenmo.training import trainer",
        "from ..training.trainer import Trainer",
        "from .. import training",
        "import wenmo.training",
        "def late():\n    from wenmo import workflow",
    ],
)
def test_an_import_of_a_later_room_is_found(tmp_path, statement):
    file = tmp_path / "models" / "base.py"
    file.parent.mkdir()
    file.write_text(statement)
    assert len(list(violations([file], tmp_path))) == 1


@pytest.mark.parametrize("module", ["wenmo", "wenmo.config", "wenmo.errors", "wenmo.cli"])
def test_importing_is_light(module):
    if module == "wenmo.cli" and not (SOURCE / "cli").exists() and not (SOURCE / "cli.py").exists():
        pytest.skip("the command line is not there")
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stdout))
