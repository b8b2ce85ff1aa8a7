"""Write the reference of what plugins import, from signatures and docstrings: part of `./dev pages`."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

SDK = "mad_prefect_core.sdk"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "sdk.md"

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
MEMBERS = {
    "contracts.storages": "What a storage has",
    "arrow_format": "What a format has",
    "arrow_files": "What a format has",
    "contracts.formats": "What a format has",
    "contracts.options": "What a format has",
    "contracts.session": "What a format has",
    "object_stores.client": "What an object store has",
}
"""By the module where a class is made."""
INHERITED = {"ArrowFormat", "Format", "ObjectClient", "Storage", "Store"}
"""What an author begins with."""

HEAD = """# What a plugin imports

`mad_prefect_core.sdk` has all that an author of a plugin takes from mad-prefect: contracts, errors, the mark of hooks,
and helpers. The first-party plugins and the templates of `mad-prefect plugins new` import nothing else of the core. The
tests of a plugin take the conformance kit from [`mad_prefect_core.testing`](testing.md).

```python
from mad_prefect_core.sdk import Format, FormatCapabilities, hookimpl, quote
```

What is here belongs to the [plugin API](plugin-api.md): it changes as that page says. Written by `./dev pages` from the
docstrings, which say more: what is given and returned, and which errors are raised.

- [What a storage has](#what-a-storage-has), [what a format has](#what-a-format-has) and [what an object store
  has](#what-an-object-store-has): every member of the classes that you write or are given.
- The rest of this page lists all names, by what they are for.
"""


def source(module: str) -> ast.Module:
    """The code of a module."""
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    return ast.parse(Path(found.origin).read_text("utf-8"))


def imported(module: str) -> dict[str, str]:
    """The names that a module takes from others of the core, and from which."""
    nodes = [node for node in source(module).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in nodes if node.module for alias in node.names}


def assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.Assign | ast.AnnAssign, str]]:
    """The names that statements give a value or a type, each with the text behind it."""
    for place, node in enumerate(body):
        after = next(iter(body[place + 1 :]), None)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.value.value
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield ast.unparse(target).removeprefix("self."), node, inspect.cleandoc(str(text or ""))


def defined(module: str, name: str) -> tuple[str, ast.stmt, str]:
    """Where a name is made: the module, the statement, and the docstring there."""
    body = source(module).body
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node, ast.get_docstring(node) or ""
    for found, statement, text in assigned(body):
        if found == name:
            return module, statement, text
    return defined(imported(module)[name], name)


def row(shown: str, text: str) -> str:
    """A row of a table of two columns."""
    assert text, f"{shown} says nothing of itself"
    shown, text = (each.replace("|", "\\|") for each in (shown, text))
    return f"| `{shown}` | {text} |"


def table(rows: list[str]) -> str:
    """A table of such rows."""
    return "| | |\n|---|---|\n" + "\n".join(rows) + "\n"


def paragraph(docstring: str) -> str:
    """The first paragraph, on one line."""
    return " ".join(docstring.partition("\n\n")[0].split())


def summary(name: str, node: ast.stmt, docstring: str) -> str:
    """What a name of the SDK is, in its first sentence."""
    functions = [node] if isinstance(node, ast.FunctionDef) else [n for n in _methods(node) if n.name == "__init__"]
    names = [name for function in functions for name in _arguments(function.args)]
    called = f"({', '.join(names)})" if functions else ""
    return row(name + called, re.split(r"(?<=[.:;])\s", paragraph(docstring))[0].rstrip(".:;"))


def _arguments(given: ast.arguments) -> list[str]:
    by_name = ["*"] * bool(given.kwonlyargs) + [each.arg for each in given.kwonlyargs]
    return [each.arg for each in given.args if each.arg != "self"] + by_name


def _methods(node: ast.stmt) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    body = node.body if isinstance(node, ast.ClassDef) else []
    return [each for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]


def members(node: ast.ClassDef) -> Iterator[str]:
    """A row for each public member of a class."""
    is_base = any(ast.unparse(base) == "ABC" for base in node.bases)
    made = [statement for method in _methods(node) if method.name == "__init__" for statement in method.body]
    for name, statement, text in [*assigned(node.body), *assigned(made)]:
        if not name.startswith("_") and name.isidentifier() and (text or not isinstance(statement, ast.Assign)):
            required = is_base and isinstance(statement, ast.AnnAssign) and statement.value is None
            yield row(_attribute(name, statement), "Required. " * required + paragraph(text))
    for method in _methods(node):
        if not method.name.startswith("_") and ast.get_docstring(method):  # else its base says it
            marks = [ast.unparse(mark) for mark in method.decorator_list]
            text = paragraph(ast.get_docstring(method) or "")
            yield row(
                _signature(method, any(mark.endswith("property") for mark in marks)),
                "Required. " * ("abstractmethod" in marks) + text,
            )


def _attribute(name: str, statement: ast.Assign | ast.AnnAssign) -> str:
    kind = ast.unparse(statement.annotation) if isinstance(statement, ast.AnnAssign) else ""
    kind = re.sub(r"^ClassVar\[(.*)\]$", r"\1", kind)
    value = ast.unparse(statement.value) if statement.value and isinstance(statement.value, ast.expr) else ""
    value = {"field(default_factory=dict)": "{}", "fs": ""}.get(value, value)
    return name + f": {kind}" * bool(kind) + f" = {value}" * bool(value)


def _signature(method: ast.FunctionDef | ast.AsyncFunctionDef, is_property: bool) -> str:
    returned = ast.unparse(method.returns) if method.returns else ""
    if is_property:
        return f"{method.name}: {returned}"
    given = ast.unparse(method.args).removeprefix("self").removeprefix(", ")
    waited = "async " * isinstance(method, ast.AsyncFunctionDef)
    return f"{waited}{method.name}({given})" + f" -> {returned}" * (returned not in ("", "None"))


def page() -> str:
    """All of it."""
    names: dict[str, list[str]] = {heading: [] for heading in [*SECTIONS.values(), OTHERS]}
    bases: dict[str, list[str]] = {heading: [] for heading in MEMBERS.values()}
    others: dict[str, list[str]] = {heading: [] for heading in MEMBERS.values()}
    for name, module in sorted(imported(SDK).items(), key=lambda entry: entry[0].lower()):
        where, node, docstring = defined(module, name)
        names[SECTIONS.get(module.split(".")[1], OTHERS)].append(summary(name, node, docstring))
        heading = MEMBERS.get(where.partition(".")[2])
        if heading and isinstance(node, ast.ClassDef) and not name.endswith("Like"):
            found = bases if name in INHERITED else others
            found[heading].append(f"### {name}\n\n{paragraph(docstring)}\n\n{table(list(members(node)))}")
    parts = [f"## {heading}\n\n" + "\n".join(bases[heading] + others[heading]) for heading in bases]
    parts += [f"## {heading}\n\n{table(rows)}" for heading, rows in names.items()]
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
