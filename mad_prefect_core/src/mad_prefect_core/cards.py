"""The capability card: what a plugin says it can do, and what its contract tests found.

The JSON form (`docs/reference/testing.md` describes every field) is what a plugin ships beside its code as
`capability_card.json`. The Markdown form is for people.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

__all__ = ["FORM", "Card", "Finding", "Status"]

FORM = 1
"""The version of the JSON form. It grows when a field changes its meaning or goes away."""

Status: TypeAlias = Literal["not run", "not declared", "passed", "overridden", "failed"]

_BY_WEIGHT: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class Finding:
    """What became of one contract test."""

    test: str
    promise: str
    """What a user would lose if it failed: the first line of the test's docstring."""
    status: Status = "not run"
    reason: str | None = None
    """Why it was not declared, overridden or not run."""


@dataclass(frozen=True)
class Card:
    """What is known of one format or storage."""

    kind: str
    """`format` or `storage`."""
    name: str
    serves: tuple[str, ...]
    """The suffixes of a format, the protocols of a storage."""
    distribution: str | None
    """None where no installed plugin brings it."""
    version: str | None
    plugin_api: int
    """The plugin API of the core that it was tested with."""
    capabilities: Mapping[str, Any]
    """What it declares, by the names of the capabilities class."""
    findings: tuple[Finding, ...]
    """All tests of the contract, in its order."""
    measured: Mapping[str, str | int | float] = field(default_factory=dict)
    """What the run measured. It differs from run to run."""

    @property
    def whole(self) -> bool:
        """Whether every test of the contract ran, or was not declared. A card that is not is partial."""
        return all(finding.status != "not run" for finding in self.findings)

    @property
    def conforms(self) -> bool:
        """Whether it is whole and no test failed."""
        return self.whole and all(finding.status != "failed" for finding in self.findings)

    def found(self, test: str, status: Status, reason: str | None = None) -> Card:
        """With what became of a test. Where it ran before, the weightiest counts: failed, overridden, passed."""
        findings = (
            replace(old, status=status, reason=reason)
            if old.test == test and _BY_WEIGHT.index(status) >= _BY_WEIGHT.index(old.status)
            else old
            for old in self.findings
        )
        return replace(self, findings=tuple(findings))

    def merged(self, other: Card) -> Card:
        """With what another process found of the same format or storage."""
        known = {finding.test for finding in self.findings}
        card = replace(
            self,
            findings=(*self.findings, *(finding for finding in other.findings if finding.test not in known)),
            measured={**self.measured, **other.measured},
        )
        for finding in other.findings:
            card = card.found(finding.test, finding.status, finding.reason)
        return card

    def stable(self) -> Card:
        """Without what differs from run to run: for comparing."""
        return replace(self, measured={})

    # -- forms -----------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """As JSON, whose keys keep their order."""
        document = {
            "form": FORM,
            "kind": self.kind,
            "name": self.name,
            "suffixes" if self.kind == "format" else "protocols": list(self.serves),
            "distribution": self.distribution,
            "version": self.version,
            "plugin_api": self.plugin_api,
            "capabilities": _plain(self.capabilities),
            "whole": self.whole,
            "conforms": self.conforms,
            "tests": [asdict(finding) for finding in self.findings],
            "measured": dict(sorted(self.measured.items())),
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """What `to_json` wrote. Raises `ValueError` for another form."""
        document = json.loads(text)
        if document["form"] != FORM:
            raise ValueError(f"The capability card has form {document['form']}; this core reads form {FORM}")
        return cls(
            kind=document["kind"],
            name=document["name"],
            serves=tuple(document["suffixes" if document["kind"] == "format" else "protocols"]),
            distribution=document["distribution"],
            version=document["version"],
            plugin_api=document["plugin_api"],
            capabilities=document["capabilities"],
            findings=tuple(Finding(**finding) for finding in document["tests"]),
            measured=document["measured"],
        )

    @property
    def headline(self) -> str:
        """The card in one line."""
        counts = {status: sum(f.status == status for f in self.findings) for status in reversed(_BY_WEIGHT)}
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        return f"{said} of {len(self.findings)}{'' if self.whole else '; partial'}"

    def to_markdown(self) -> str:
        """As a page for people."""
        where = f"`{self.distribution}` {self.version}" if self.distribution else "not installed"
        serves = " ".join(f"`{name}`" for name in self.serves)
        parts = [
            f"# {self.kind} {self.name}\n\n",
            f"{where} · plugin API {self.plugin_api} · {serves}\n\n",
            f"Contract tests: {self.headline}.\n",
        ]
        if not self.whole:
            parts.append("\nThis card is partial: not all of the contract was run.\n")
        parts.append(_table(("declared", ""), ((f"`{n}`", _cell(v)) for n, v in _plain(self.capabilities).items())))
        rows = ((finding.promise, finding.status, finding.reason or "") for finding in self.findings)
        parts.append(_table(("promise", "found", ""), rows))
        if self.measured:
            parts.append(_table(("measured", ""), ((name, str(v)) for name, v in sorted(self.measured.items()))))
        return "".join(parts)


def _plain(value: Any) -> Any:
    """As JSON has it; sets sorted."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "<br>".join(f"{name}: {text}" for name, text in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in escaped)
