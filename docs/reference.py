"""Writes docs/reference.md from the docstrings, by reading the source: nothing is imported."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from wenmo.files import write_text

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "wenmo"
HEADER = """# Reference

Made from the docstrings by `make docs`; do not edit. The public API is what `import wenmo` offers; the other
modules are documented for those who work on the house.
"""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(name: str) -> bool:
    """Whether a name is documented."""
    return not name.startswith("_")


def signature(function: Function) -> str:
    """Returns `name(arguments) -> type` as written."""
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{function.name}({ast.unparse(function.args)}){returns}"


def docstring(node: Function | ast.ClassDef | ast.Module) -> str:
    """Returns the docstring as an indented block that Markdown shows as written."""
    return inspect.cleandoc(ast.get_docstring(node) or "")


def fields(node: ast.ClassDef) -> Iterator[str]:
    """Yields the documented attributes of a class: an annotated assignment with a string below it."""
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            default = f" = {ast.unparse(statement.value)}" if statement.value else ""
            text = " ".join(following.value.value.split())
            yield f"- `{ast.unparse(statement.target)}: {ast.unparse(statement.annotation)}{default}`: {text}"


def block(text: str) -> str:
    """Sets text so that its indentation is kept."""
    return f"```text\n{text}\n```" if "\n" in text else text


def describe(node: ast.stmt) -> Iterator[str]:
    """Yields the Markdown of a public function or class."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and public(node.name):
        yield f"### `{signature(node)}`"
        yield block(docstring(node))
    elif isinstance(node, ast.ClassDef) and public(node.name):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        yield f"### class `{node.name}{f'({bases})' if bases else ''}`"
        yield block(docstring(node))
        yield "\n".join(fields(node))
        for member in node.body:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and public(member.name):
                yield f"#### `{node.name}.{signature(member)}`"
                yield block(docstring(member))


def module(path: Path) -> str:
    """Returns the Markdown of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    parts = [f"## {name}", block(docstring(tree)), *(part for node in tree.body for part in describe(node))]
    return "\n\n".join(part for part in parts if part)


def main() -> None:
    """Writes the page for all modules."""
    paths = [path for path in sorted(SOURCE.rglob("*.py")) if public(path.stem) or path.stem == "__init__"]
    write_text(ROOT / "docs" / "reference.md", "\n\n".join([HEADER.rstrip(), *map(module, paths)]) + "\n")
    print(f"docs/reference.md: {len(paths)} modules")


if __name__ == "__main__":
    main()
