"""Every kind of value comes back exactly through each fragment format and result format, or is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from fidelity_harness import PAGE, frame, outcomes, row
from fidelity_kinds import KINDS, Kind

from mad_prefect_core.errors import MadPrefectError


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_values_come_back_exactly_or_the_run_is_refused_by_name(kind: Kind, base: Path) -> None:
    found = await outcomes(kind)
    different = [f"{outcome.fragment}→{outcome.result}: {outcome.wrong}" for outcome in found if outcome.wrong]
    assert not different, "\n".join(different)
    for outcome in found:
        if isinstance(outcome.error, MadPrefectError):
            assert outcome.error.column is not None or "column" in str(outcome.error), str(outcome.error)
            assert outcome.error.asset is not None
            assert outcome.error.phase is not None
    committed = PAGE.read_text(encoding="utf-8")
    assert f"\n{row(kind, found)}\n" in committed, "make it anew: python tests/fidelity/fidelity_harness.py"


def test_the_docs_page_has_the_kinds_and_the_text_of_these_tests_and_no_others() -> None:
    def without_findings(page: str) -> list[str]:
        names = {line for line in frame().splitlines() if line.startswith("| ")}
        return [next((name for name in names if line.startswith(f"{name} ")), line) for line in page.splitlines()]

    assert without_findings(PAGE.read_text(encoding="utf-8")) == without_findings(frame())


def test_there_are_kinds_enough_and_each_has_a_name_of_its_own() -> None:
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names)) >= 121
