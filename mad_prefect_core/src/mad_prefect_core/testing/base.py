"""What every contract is made of: tests that a plugin author inherits.

A contract is a class with `contract=True` whose `test_*` methods are its tests::

    class ShelfContract(Contract, contract=True):
        kind = "shelf"
        names = "sizes"

        @pytest.fixture(autouse=True)
        def _under_test(self, request, shelf):
            self.begin(request, shelf)

        @needs("lockable")
        def test_a_locked_shelf_stays_shut(self, shelf):
            \"\"\"A shelf that is locked can't be opened.\"\"\"

An author's class gives the fixtures, and the tests are collected with it. Contract tests are not parametrised: a card
could not tell that some of the parameters were left out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import pytest

from mad_prefect_core.cards import Card, Finding
from mad_prefect_core.hookspecs import PLUGIN_API
from mad_prefect_core.plugins import get_host

__all__ = ["CARD", "NOT_DECLARED", "Contract", "complaint", "costly", "needs", "overrides", "raises"]

NOT_DECLARED = "not declared"

CARD = pytest.StashKey[Card]()
"""Of a test item: the card that its outcome belongs on. The pytest plugin reads it."""

_Test = TypeVar("_Test", bound=Callable[..., Any])


def needs(*capabilities: str) -> Callable[[_Test], _Test]:
    """Run a contract test only where the plugin declares all of these capabilities."""

    def mark(test: _Test) -> _Test:
        test.__dict__["needs"] = capabilities
        return test

    return mark


def costly(test: _Test) -> _Test:
    """Run a contract test behind those that take less time, and not at all with `--quick`."""
    test.__dict__["costly"] = True
    return test


_OFFENDERS = 20


def complaint(cause: str, advice: str, offenders: Iterable[object] = ()) -> str:
    """What a contract test says when it fails: the cause, what to do, and then all that is wrong, each on a line."""
    listed = [" ".join(str(offender).split()) for offender in offenders]
    lines = [f"  - {offender[:500]}" for offender in listed[:_OFFENDERS]]
    if more := len(listed) - len(lines):
        lines.append(f"  - and {more} more")
    return "\n".join([f"{cause}. {advice}", *lines])


@contextlib.contextmanager
def raises(errors: type[Exception] | tuple[type[Exception], ...], cause: str, advice: str) -> Iterator[None]:
    """Have the test fail, saying why and what to do, where the block raises none of these errors."""
    try:
        yield
    except errors:
        return
    pytest.fail(complaint(cause, advice))


def overrides(reason: str) -> Callable[[_Test], _Test]:
    """Replace a contract test on purpose. The card shows it as overridden, with the reason."""
    if not reason.strip():
        raise ValueError("A contract test is overridden for a reason: say it")

    def mark(test: _Test) -> _Test:
        test.__dict__["overrides"] = reason
        return test

    return mark


class Contract:
    """Base of all contracts.

    Raises `TypeError` when a class is made that has a test of the name of an inherited contract test without
    `@overrides`: the author's test would replace it and nobody would know. It raises as well for `@overrides` on
    what overrides nothing, and for a contract test without a docstring.
    """

    kind: ClassVar[str]
    """What is tested, as the card says it."""
    names: ClassVar[str]
    """The attribute with the names that it serves: `suffixes`, `protocols`."""
    contract_tests: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    """All tests of the contract, in order, by name."""

    def __init_subclass__(cls, *, contract: bool = False, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        tests: dict[str, Callable[..., Any]] = {}
        for base in cls.__bases__:
            tests |= getattr(base, "contract_tests", {})
        if contract:
            own = {name: test for name, test in vars(cls).items() if name.startswith("test_")}
            if twice := own.keys() & tests.keys():
                raise TypeError(f"{cls.__name__} has contract tests that it inherits: {', '.join(sorted(twice))}")
            if silent := [name for name, test in own.items() if not inspect.getdoc(test)]:
                raise TypeError(f"Contract tests without a docstring that says their promise: {', '.join(silent)}")
            tests |= own
        cls.contract_tests = tests
        for name in dir(cls):
            found = inspect.getattr_static(cls, name)
            on_purpose = "overrides" in getattr(found, "__dict__", {})
            if name in tests and found is not tests[name] and not on_purpose:
                raise TypeError(
                    f"{cls.__name__}.{name} replaces a contract test. Rename it, or mark it with "
                    '@overrides("why the contract\'s own test does not fit").'
                )
            if on_purpose and name not in tests:
                raise TypeError(f"{cls.__name__}.{name} is marked with @overrides, and no contract test has its name")

    @classmethod
    def declared(cls, subject: Any) -> dict[str, bool]:
        """The capabilities that `needs` knows, and whether the plugin declares them."""
        fields = dataclasses.fields(subject.capabilities)
        return {field.name: bool(getattr(subject.capabilities, field.name)) for field in fields}

    @classmethod
    def card(cls, subject: Any) -> Card:
        """The card of a plugin of which nothing was run yet."""
        package = type(subject).__module__.partition(".")[0]
        records = (r for r in get_host().plugins() if r.status == "loaded" and r.module.split(".")[0] == package)
        record = next(records, None)
        capabilities = subject.capabilities
        return Card(
            kind=cls.kind,
            name=subject.name,
            serves=tuple(getattr(subject, cls.names)),
            distribution=record.distribution if record else None,
            version=record.version if record else None,
            plugin_api=PLUGIN_API,
            capabilities={f.name: getattr(capabilities, f.name) for f in dataclasses.fields(capabilities)},
            findings=tuple(Finding(name, _promise(test)) for name, test in cls.contract_tests.items()),
        )

    @classmethod
    def expected_card(cls, subject: Any) -> Card:
        """The stable form of the card that a whole run without a failure gives."""
        card = cls.card(subject)
        for name in cls.contract_tests:
            if missing := cls._not_declared(subject, name):
                card = card.found(name, "not declared", missing)
            elif reason := cls.overridden(name):
                card = card.found(name, "overridden", reason)
            else:
                card = card.found(name, "passed")
        return card

    @classmethod
    def _not_declared(cls, subject: Any, test: str) -> str | None:
        """The capabilities that a test needs and the plugin does not declare, in words."""
        declared = cls.declared(subject)
        wanted = getattr(getattr(cls, test, None), "needs", ())
        return ", ".join(name for name in wanted if not declared[name]) or None

    @classmethod
    def overridden(cls, test: str) -> str | None:
        """Why the author replaced a test of the contract; None where it is the contract's own."""
        reason: str | None = getattr(getattr(cls, test, None), "overrides", None)
        return reason

    def begin(self, request: pytest.FixtureRequest, subject: Any) -> None:
        """For the contract's autouse fixture: note whose card the test belongs on, and skip what is not declared."""
        request.node.stash[CARD] = self.card(subject)
        if missing := self._not_declared(subject, request.function.__name__):
            pytest.skip(f"{NOT_DECLARED}: {missing}")

    @pytest.fixture
    def measured(self, request: pytest.FixtureRequest) -> Callable[[str, str | int | float], None]:
        """`measured("peak memory, MB", 12)` puts a fact on the card."""

        def note(name: str, value: str | int | float) -> None:
            card = request.node.stash[CARD]
            request.node.stash[CARD] = dataclasses.replace(card, measured={**card.measured, name: value})

        return note


def _promise(test: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(test) or "").split("\n\n")[0].split())
