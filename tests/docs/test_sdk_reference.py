"""The reference of what plugins import is made from the code: all of it, and what it says of itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mad_prefect_core import sdk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written() -> ModuleType:
    """What writes the page."""
    spec = importlib.util.spec_from_file_location("sdk_page", ROOT / ".ci" / "sdk_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says_of_itself_now(written: ModuleType) -> None:
    assert written.PAGE.read_text("utf-8") == written.page(), "Write it anew: ./dev pages"


def test_the_page_has_every_name_and_no_other(written: ModuleType) -> None:
    assert sorted(written.imported(sdk.__name__)) == sorted(sdk.__all__)
    text = written.page()
    assert [name for name in sdk.__all__ if f"| `{name}" not in text] == []


@pytest.mark.parametrize(
    "shown",
    [
        "| `replace(path: str, data: bytes, expected: str \\| None) -> str` | Required. Write a small object if it is",
        "| `close()` | Let go of connections.",
        "| `fs` | The fsspec filesystem",
        "| `protocols: tuple[str, ...]` | Required. URL schemes",
        "| `schema: pa.Schema \\| None = None` | What `file_schema` said",
        "| `errors: Mapping[type[Exception], Fault]` | By class",
        "| `async delete(path: str)` | Required. Delete an object.",
        "| `split_url(url, *, user)` | Protocol and the rest |",
    ],
)
def test_an_author_sees_how_a_member_is_called_and_what_it_does(written: ModuleType, shown: str) -> None:
    assert f"\n{shown}" in written.page()


def test_what_says_nothing_of_itself_is_told(written: ModuleType) -> None:
    with pytest.raises(AssertionError, match="nameless says nothing of itself"):
        written.row("nameless", "")
