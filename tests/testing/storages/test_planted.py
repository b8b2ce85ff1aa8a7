"""A contract test that can't fail is worth nothing: each of them fails for a storage that is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from planted import PLANTED

from mad_prefect_core.testing.storages import StorageContract

CONTRACTS = Path(__file__).with_name("planted_contracts.py")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each test, in one run of all of them."""
    report = tmp_path_factory.mktemp("planted") / "report.xml"
    nodes = [f"{CONTRACTS}::Test_{test}::{test}" for test in PLANTED]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", f"--junitxml={report}", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *nodes], capture_output=True, text=True, timeout=240, check=False)
    assert report.exists(), done.stdout + done.stderr
    cases = ElementTree.parse(report).iter("testcase")
    return {str(case.get("name")): "+".join(child.tag for child in case) or "passed" for case in cases}


def test_there_is_a_wrong_storage_for_every_test_of_the_contract() -> None:
    assert PLANTED.keys() == StorageContract.contract_tests.keys()


@pytest.mark.parametrize("test", PLANTED)
def test_a_storage_that_is_wrong_fails(test: str, outcomes: dict[str, str]) -> None:
    assert outcomes[test] == "failure"
