"""The reference of the conformance kit has every promise that the contracts make."""

from __future__ import annotations

from pathlib import Path

import pytest

from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing import Contract, FormatContract, StorageContract

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "testing.md").read_text("utf-8")


@pytest.mark.parametrize(("kind", "contract"), [("format", FormatContract), ("storage", StorageContract)])
def test_the_reference_has_every_test_of_a_contract_its_promise_and_what_it_needs(
    kind: str, contract: type[Contract]
) -> None:
    subject = get_host().format_named("json") if kind == "format" else get_host().storage_for("file")
    rows = []
    for finding in contract.card(subject).findings:
        needed = ", ".join(f"`{name}`" for name in getattr(contract.contract_tests[finding.test], "needs", ()))
        rows.append(f"| `{finding.test}` | {finding.promise} | {needed} |")

    table = "\n".join(["| test | promise | needs |", "|---|---|---|", *rows])

    assert f"## What each test of a {kind} promises\n\n{table}\n" in REFERENCE, table
