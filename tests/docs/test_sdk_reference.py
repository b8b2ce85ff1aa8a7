"""The reference of what plugins import is made from the code: all of it, and what it says of itself."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from pathlib import Path

from mad_prefect_core import sdk

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "sdk.md").read_text("utf-8")

SECTIONS = {
    "contracts": "Contracts",
    "arrow_format": "Contracts",
    "arrow_files": "Contracts",
    "errors": "Errors",
    "hookspecs": "Hooks",
    "session": "SQL",
    "paths": "Paths and URLs",
}
OTHERS = "Helpers"


def source(module: str) -> ast.Module:
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    return ast.parse(Path(found.origin).read_text("utf-8"))


def imported(module: str) -> dict[str, str]:
    """The names that a module takes from others of the core, and from which."""
    nodes = [node for node in source(module).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in nodes if node.module for alias in node.names}


def defined(module: str, name: str) -> tuple[ast.stmt, str]:
    """Where a name is made, and the docstring there."""
    body = source(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node, ast.get_docstring(node) or ""
        targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in [getattr(target, "id", "") for target in targets]:
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.value.value
            return node, inspect.cleandoc(str(text or ""))
    return defined(imported(module)[name], name)


def row(module: str, name: str) -> str:
    node, text = defined(module, name)
    sentence = re.split(r"(?<=[.:;])\s", " ".join(text.partition("\n\n")[0].split()))[0].rstrip(".:;")
    assert sentence, f"{module}.{name} says nothing of itself"
    called = f"({', '.join(a.arg for a in node.args.args)})" if isinstance(node, ast.FunctionDef) else ""
    return f"| `{name}{called}` | {sentence.replace('|', chr(92) + '|')} |"


def test_the_reference_has_every_name_and_what_it_says_of_itself() -> None:
    tables: dict[str, list[str]] = {heading: [] for heading in [*SECTIONS.values(), OTHERS]}
    for name, module in sorted(imported(sdk.__name__).items(), key=lambda entry: entry[0].lower()):
        heading = SECTIONS.get(module.split(".")[1], OTHERS)
        tables[heading].append(row(module, name))
    text = "\n".join(f"## {heading}\n\n| | |\n|---|---|\n" + "\n".join(rows) + "\n" for heading, rows in tables.items())

    assert REFERENCE.endswith(f"\n{text}"), f"It is to end with:\n\n{text}"


def test_the_reference_tells_where_each_name_is_imported_from() -> None:
    assert "from mad_prefect_core.sdk import" in REFERENCE
    assert sorted(imported(sdk.__name__)) == sorted(sdk.__all__)
