"""The reference of untrusted SQL has every function that may be called, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from mad_prefect_core import Limits
from mad_prefect_core.sql_functions import BOUNDED, PURE, PURE_TABLES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "untrusted-sql.md").read_text("utf-8")


def _names(heading: str) -> set[str]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"`(\w+)`(?=,|$|\n)", section))


def test_the_reference_lists_every_function_that_an_untrusted_query_may_call() -> None:
    assert _names("Table functions") == PURE_TABLES
    assert _names("Functions") - BOUNDED.keys() - {"CAST", "CASE", "COALESCE"} == PURE - BOUNDED.keys()


def test_the_reference_has_the_limits_that_hold_where_none_are_given() -> None:
    limits = Limits()
    for field, value in (("rows", f"{limits.rows:,}"), ("seconds", f"{limits.seconds:.0f}")):
        assert f"| `{field}` | {value} |" in PAGE
    for field, value in (("memory", limits.memory), ("disk", limits.disk)):
        assert f'| `{field}` | `"{value}"` |' in PAGE
