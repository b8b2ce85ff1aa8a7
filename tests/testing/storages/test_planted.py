"""A contract test that can't fail is worth nothing: each of them fails for a storage that is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from planted import PLANTED

from mad_prefect_core.testing import StorageContract

CASES = [(test, wrong.__name__, saying) for test, several in PLANTED.items() for wrong, saying in several.items()]
CONTRACTS = Path(__file__).with_name("planted_contracts.py")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What each test said as it failed, in one run of all of them."""
    report = tmp_path_factory.mktemp("planted") / "report.xml"
    nodes = [f"{CONTRACTS}::Test{wrong}_{test}::{test}" for test, wrong, _ in CASES]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", f"--junitxml={report}", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *nodes], capture_output=True, text=True, timeout=600, check=False)
    assert report.exists(), done.stdout + done.stderr
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        test, wrong = str(case.get("name")), str(case.get("classname")).rpartition(".Test")[2]
        [failure] = case.findall("failure") or [{"message": f"{[child.tag for child in case] or 'passed'}"}]
        found[test, wrong.removesuffix(f"_{test}")] = str(failure.get("message"))
    return found


def test_there_is_a_wrong_storage_for_every_test_of_the_contract() -> None:
    assert PLANTED.keys() == StorageContract.contract_tests.keys()


@pytest.mark.parametrize(("test", "wrong", "saying"), CASES)
def test_a_storage_that_is_wrong_fails_and_is_told_what_is_wrong(
    test: str, wrong: str, saying: str, outcomes: dict[tuple[str, str], str]
) -> None:
    assert saying in outcomes[test, wrong].partition("\n")[0]
