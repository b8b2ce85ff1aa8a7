"""Every example in the README and the documentation runs, and prints what the page says it prints."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).resolve().parents[2]
# The hook reference, the table of types and the pages on S3 and Google Cloud Storage have tests of their own.
PAGES = sorted(
    path
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if path.name not in ("gcs.md", "hooks.md", "s3.md", "types.md") and "```python\n" in path.read_text("utf-8")
)


class Printed:
    """Runs blocks of Python, and compares what the last one printed with a block of text after it."""

    def __init__(self) -> None:
        self._last = ""

    def run(self, example: Example) -> None:
        """A block of Python; all blocks of a page share their names, as in one session."""
        example.namespace["__name__"] = "__main__"
        source = "\n" * example.line + str(example.parsed)  # so that a traceback has the page's lines
        code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            if (waiting := eval(code, example.namespace)) is not None:  # noqa: S307  a page of our own
                asyncio.run(waiting)
        self._last = printed.getvalue()

    def compare(self, example: Example) -> None:
        """A block of text: what the block of Python above it printed."""
        assert _stripped(self._last) == _stripped(str(example.parsed)), f"{example.path}:{example.line}"


def _stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_reader_copies_from_a_page_works_and_prints_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FILESYSTEM_URL", "FILESYSTEM_BLOCK_NAME", "ASSET_METADATA_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    printed = Printed()
    parsers: list[Any] = [
        CodeBlockParser(language="python", evaluator=printed.run),
        CodeBlockParser(language="text", evaluator=printed.compare),
    ]
    examples = list(Sybil(parsers).parse(page).examples())

    for example in examples:
        example.evaluate()

    blocks = re.findall(r"^(?:```|<!--- invisible-code-block: )(?:python|text)$", page.read_text("utf-8"), re.M)
    assert len(examples) == len(blocks)  # none is passed over
