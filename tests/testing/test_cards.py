"""Capability cards tell the truth: whole or partial, by whom it was found, and never a part over the whole."""

from __future__ import annotations

import pytest

from mad_prefect_core.cards import Card
from mad_prefect_core.testing import Contract, needs, overrides

SHELF = """
from dataclasses import dataclass

import pytest

from mad_prefect_core.testing import Contract, needs, overrides


@dataclass(frozen=True)
class Capabilities:
    tall: bool = True
    lockable: bool = False


class Shelf:
    name, sizes, capabilities = "oak", ("s", "m"), Capabilities()


class ShelfContract(Contract, contract=True):
    kind, names = "shelf", "sizes"

    @pytest.fixture(autouse=True)
    def _under_test(self, request):
        self.begin(request, Shelf())

    @needs("lockable")
    def test_lock(self):
        '''It stays shut.'''

    @needs("tall")
    def test_tall(self, measured):
        '''It is tall.'''
        measured("height", 3)

    def test_deep(self):
        '''It is deep.'''


class TestOak(ShelfContract):
    @overrides("a flat one")
    def test_deep(self):
        pass
"""


def run(pytester: pytest.Pytester, *arguments: str) -> Card:
    pytester.makeconftest('pytest_plugins = ["mad_prefect_core.testing.pytest_plugin"]')
    path = pytester.makepyfile(SHELF)
    options = ["-p", "no:asyncio", "-p", "no:cacheprovider", "--capability-cards", "cards", *arguments]
    assert pytester.runpytest_subprocess(str(path), *options).ret == 0
    card = Card.from_json((pytester.path / "cards" / "oak.json").read_text("utf-8"))
    assert (pytester.path / "cards" / "oak.md").read_text("utf-8") == card.to_markdown()
    return card


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_a_card_says_of_each_test_what_became_of_it(workers: list[str], pytester: pytest.Pytester) -> None:
    card = run(pytester, *workers)

    found = {finding.test: (finding.status, finding.reason) for finding in card.findings}
    assert found == {
        "test_lock": ("not declared", "lockable"),
        "test_tall": ("passed", None),
        "test_deep": ("overridden", "a flat one"),
    }
    assert card.whole
    assert card.conforms
    assert card.measured == {"height": 3}


def test_a_part_is_called_partial_and_never_written_over_the_whole(pytester: pytest.Pytester) -> None:
    assert not run(pytester, "-k", "tall").whole
    assert run(pytester).whole
    assert run(pytester, "-k", "tall").whole


COSTLY = """
from mad_prefect_core.testing import costly

SHELF

class CostlyContract(ShelfContract, contract=True):
    @costly
    def test_long(self):
        '''It lasts.'''

    def test_short(self):
        '''It is quick.'''


class TestBirch(CostlyContract):
    pass
"""


def test_what_takes_long_comes_last_and_is_left_out_where_it_must_be_quick(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["mad_prefect_core.testing.pytest_plugin"]')
    path = pytester.makepyfile(COSTLY.replace("SHELF", SHELF))
    options = ["-v", "-p", "no:asyncio", "-p", "no:cacheprovider", "-p", "no:randomly", f"{path}::TestBirch"]
    whole = pytester.runpytest_subprocess(*options)
    whole.stdout.fnmatch_lines(["*::test_short PASSED*", "*::test_long PASSED*"])
    quick = pytester.runpytest_subprocess(*options, "--quick")
    quick.stdout.fnmatch_lines(["*::test_short PASSED*", "*This card is partial*"])
    quick.stdout.no_fnmatch_line("*::test_long*")


class Held(Contract, contract=True):
    kind, names = "held", "sizes"

    def test_it(self) -> None:
        """It holds."""


def test_a_contract_test_is_not_replaced_by_accident() -> None:
    with pytest.raises(TypeError, match=r"Mine.test_it replaces a contract test"):
        type("Mine", (Held,), {"test_it": None})
    with pytest.raises(TypeError, match="no contract test has its name"):
        type("Mine", (Held,), {"test_other": overrides("why")(lambda self: None)})
    with pytest.raises(ValueError, match="for a reason"):
        overrides(" ")
    assert needs("a")(overrides("why")(lambda self: None)).__dict__ == {"overrides": "why", "needs": ("a",)}
