"""The kit for formats finds faults: each of its tests fails on a format that has the fault it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest
from format_faults import FAULTS

from mad_prefect_core.testing import FormatContract

WRITTEN_BEFORE = Path(__file__).resolve().parents[1] / "formats" / "written_before" / "json"

AUTHORS_TESTS = """
from pathlib import Path

import pytest
from format_faults import FAULTS

from mad_prefect_core.testing import FormatContract


class TestWrong(FormatContract):
    @pytest.fixture
    def format(self):
        return FAULTS[{wrong!r}][0]()

    @pytest.fixture
    def written_before(self):
        return Path({written_before!r})
"""


def test_there_is_a_fault_for_every_contract_test() -> None:
    assert {test for _, test, _ in FAULTS.values()} == set(FormatContract.contract_tests)


@pytest.mark.parametrize("wrong", FAULTS)
def test_a_planted_fault_is_found(wrong: str, pytester: pytest.Pytester) -> None:
    _, test, saying = FAULTS[wrong]
    pytester.makeconftest('pytest_plugins = ["mad_prefect_core.testing.pytest_plugin"]')
    path = pytester.makepyfile(AUTHORS_TESTS.format(wrong=wrong, written_before=str(WRITTEN_BEFORE)))

    result = pytester.inline_run(f"{path}::TestWrong::{test}", "-qq", "-p", "no:asyncio", "-p", "no:cacheprovider")

    [failed] = [report for report in result.getreports("pytest_runtest_logreport") if report.failed]
    assert failed.when == "call", failed.longreprtext
    told = str(getattr(failed.longrepr, "reprcrash").message)  # noqa: B009  not all forms of a report have one
    assert saying in told.partition("\n")[0], told
