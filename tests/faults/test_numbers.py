"""Every fault that the promises page lists has a test with its number, and the page's commands name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/explanation/promises.md").read_text("utf-8")
LISTED = re.findall(r"^\| (S\d\d) \|", PAGE, re.M)
NAMED = {
    number
    for path in (ROOT / "tests").rglob("*.py")
    for name in re.findall(r"^ *(?:async )?def test_((?:s\d\d_)+)", path.read_text("utf-8"), re.M)
    for number in re.findall(r"s\d\d", name)
}


def test_the_page_lists_53_faults() -> None:
    assert [f"S{n:02}" for n in range(1, 54)] == LISTED


@pytest.mark.parametrize("fault", LISTED)
def test_a_fault_has_a_test_by_its_number(fault: str) -> None:
    assert fault.lower() in NAMED


def test_the_commands_of_the_page_name_tests_that_there_are() -> None:
    paths = re.findall(r"\btests/\S+?(?=[`\s])", PAGE)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []
    suite = {path.name for path in (ROOT / "tests/fault_suite").glob("test_*.py")}
    assert set(re.findall(r"^\| `(test_\w+\.py)`", PAGE, re.M)) == suite
