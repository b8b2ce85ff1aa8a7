"""What plugins claim: formats by name and suffix, storages by protocol. Who looks for something else is told why."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, TypeAlias, cast

from fsspec import available_protocols

from mad_prefect_core.contracts import FormatLike, StorageLike
from mad_prefect_core.errors import PluginConflictError, PluginLoadError, UnknownFormatError, UnknownStorageError
from mad_prefect_core.plugins.records import PluginRecord, canonical, state

__all__ = ["Conflict", "Registry", "catalogue", "folder_of", "install_hint"]


_ANY_PROTOCOL = "mad-prefect-fsspec"

_Kind: TypeAlias = Literal["format", "suffix", "protocol"]


@dataclass(frozen=True)
class _Claim:
    record: PluginRecord
    value: Any


@dataclass(frozen=True)
class Conflict:
    """A name that several plugins claim. Nobody gets it: looking it up raises `error`."""

    kind: _Kind
    name: str
    records: tuple[PluginRecord, ...]

    @property
    def error(self) -> PluginConflictError:
        sources = " and ".join(sorted(f"{r.source} (plugin {r.name!r})" for r in self.records))
        return PluginConflictError(
            f"The {self.kind} {self.name!r} is claimed by {sources}",
            hint="Uninstall one of them, or name its distribution in MAD_PREFECT_PLUGINS_DENY.",
        )


class Registry:
    """The claims of all plugins in use, and the lookups over them.

    Args:
        records: All plugins found, for messages: what is missing may be what one that is not in use would bring.
    """

    def __init__(self, records: Sequence[PluginRecord]) -> None:
        self._records = records
        self._formats: dict[str, list[_Claim]] = {}
        self._suffixes: dict[str, list[_Claim]] = {}
        self._protocols: dict[str, list[_Claim]] = {}

    def add(
        self, record: PluginRecord, formats: Sequence[FormatLike[Any, Any]], storages: Sequence[StorageLike[Any]]
    ) -> None:
        """Take over what a plugin brings. Raises `PluginLoadError`, and takes nothing, where it claims a name twice."""
        claims: list[tuple[dict[str, list[_Claim]], str, _Claim]] = []
        for format in formats:
            claim = _Claim(record, format)
            claims.append((self._formats, format.name.lower(), claim))
            claims += [(self._suffixes, name, claim) for name in dict.fromkeys(s.lower() for s in format.suffixes)]
        for storage in storages:
            claim = _Claim(record, storage)
            claims += [(self._protocols, name, claim) for name in dict.fromkeys(p.lower() for p in storage.protocols)]
        names = [(id(table), name) for table, name, _ in claims]
        for _, name, _ in (claim for claim, key in zip(claims, names, strict=True) if names.count(key) > 1):
            raise PluginLoadError(f"The plugin claims {name!r} twice", plugin=record.label)
        for table, name, claim in claims:
            table.setdefault(name, []).append(claim)
        record.formats = [format.name for format in formats]
        record.storages = [storage.name for storage in storages]

    def brought(self, record: PluginRecord) -> tuple[list[FormatLike[Any, Any]], list[StorageLike[Any]]]:
        """As `PluginHost.brought`."""

        def of(table: dict[str, list[_Claim]]) -> list[Any]:
            return list(
                {id(c.value): c.value for claims in table.values() for c in claims if c.record is record}.values()
            )

        return of(self._formats), of(self._protocols)

    # -- lookups -------------------------------------------------------------------------------------------------

    def formats(self) -> list[FormatLike[Any, Any]]:
        """As `PluginHost.formats`."""
        return [claims[0].value for name in sorted(self._formats) if len(claims := self._named(name)) == 1]

    def storages(self) -> list[StorageLike[Any]]:
        """As `PluginHost.storages`."""
        found = {id(c.value): c.value for claims in self._protocols.values() for c in claims if len(claims) == 1}
        return sorted(found.values(), key=lambda storage: str(storage.name))

    def conflicts(self) -> list[Conflict]:
        """As `PluginHost.conflicts`."""
        tables: dict[_Kind, dict[str, list[_Claim]]] = {
            "format": {name: self._named(name) for name in self._formats},
            "suffix": self._suffixes,
            "protocol": self._protocols,
        }
        return [
            Conflict(kind, name, tuple(claim.record for claim in claims))
            for kind, table in tables.items()
            for name, claims in sorted(table.items())
            if len(claims) > 1
        ]

    def known_formats(self) -> list[str]:
        """As `PluginHost.known_formats`."""
        own = [*self._formats, *(suffix.lstrip(".") for suffix in self._suffixes)]
        return sorted({*own, *catalogue()["formats"]})

    def known_protocols(self) -> list[str]:
        """As `PluginHost.known_protocols`."""
        return sorted({*self._protocols, *catalogue()["protocols"]})

    def format_named(self, name: str, suffix: str | None = None) -> FormatLike[Any, Any]:
        """As `PluginHost.format_named`."""
        wanted = name.lower().lstrip(".")
        claims = self._named(wanted) if wanted in self._formats else self._suffixes.get(f".{wanted}")
        if claims and suffix is not None:
            claims = [claim for claim in claims if suffix in claim.value.suffixes] or claims
        if claims:
            return cast(FormatLike[Any, Any], _only(claims, "format", wanted))
        raise self._unknown_format(repr(name), [wanted])

    def _named(self, name: str) -> list[_Claim]:
        """Who claims a format's name, be it as a suffix: a user may mean either."""
        claims = self._formats[name]
        own = [claim.record for claim in claims]
        return [*claims, *(claim for claim in self._suffixes.get(f".{name}", []) if claim.record not in own)]

    def format_of(self, path: str) -> tuple[FormatLike[Any, Any], str]:
        """As `PluginHost.format_of`."""
        file_name = path.rsplit("/", 1)[-1]
        suffixes = [file_name[dot.start() :] for dot in re.finditer(r"(?<=.)\.", file_name)]  # the longest first
        for suffix in suffixes:
            if claims := self._suffixes.get(suffix.lower()):
                return _only(claims, "suffix", suffix.lower()), suffix
        if not suffixes or suffixes[-1] == ".":
            known = ", ".join(sorted(self._suffixes)) or "none"
            raise UnknownFormatError(
                f"{file_name!r} has no file suffix, so its format is not known",
                path=path,
                hint=f"End the path with one of: {known}.",
            )
        wanted = [suffix.lower().lstrip(".") for suffix in suffixes]
        error = self._unknown_format(f"of suffix {suffixes[-1]!r}", wanted)
        error.path = path
        raise error

    def format_for(self, kind: Literal["rows", "columns"]) -> FormatLike[Any, Any]:
        """As `PluginHost.format_for`."""
        formats = self.formats()
        contested = [claim.value for claims in self._formats.values() for claim in claims]
        for candidate in (*formats, *contested):
            if candidate.capabilities.best_for == kind:
                return self.format_named(candidate.name)
        if formats:
            return formats[0]
        raise UnknownFormatError(
            "No format plugin is installed", hint=f"{install_hint('mad_prefect_formats/*')} It brings the usual four."
        )

    def claimed_storage(self, protocol: str) -> StorageLike[Any] | None:
        """The storage that a plugin claims this protocol for, in lower case. Raises `PluginConflictError`."""
        claims = self._protocols.get(protocol)
        return cast(StorageLike[Any], _only(claims, "protocol", protocol)) if claims else None

    def storage_for(self, protocol: str) -> StorageLike[Any]:
        """As `PluginHost.storage_for`."""
        wanted = protocol.lower()
        if (claimed := self.claimed_storage(wanted)) is not None:
            return claimed
        raise UnknownStorageError(
            f"No installed plugin brings the protocol '{protocol}://'",
            hint=self._advice("protocols", [wanted], sorted(self._protocols)) + self._advice_on_others(wanted),
        )

    def _advice_on_others(self, protocol: str) -> str:
        """What to install where fsspec knows the protocol."""
        unknown = {*protocol.split("::")} - {*available_protocols()}
        loaded = {canonical(record.distribution) for record in self._records if record.status == "loaded"}
        if unknown or protocol in catalogue()["protocols"] or _ANY_PROTOCOL in loaded:
            return ""
        return (
            f" A filesystem of fsspec has it, which mad-prefect-fsspec brings. {install_hint(folder_of(_ANY_PROTOCOL))}"
        )

    # -- messages ------------------------------------------------------------------------------------------------

    def _unknown_format(self, what: str, names: list[str]) -> UnknownFormatError:
        known = sorted({*self._formats, *(suffix.lstrip(".") for suffix in self._suffixes)})
        return UnknownFormatError(
            f"No installed plugin brings the format {what}", hint=self._advice("formats", names, known)
        )

    def _advice(self, kind: str, names: list[str], known: list[str]) -> str:
        """What to do about a name that nobody brings; `names` are ways to read it, the best first."""
        bringers = catalogue()[kind]
        parts = []
        named = next((name for name in names if name in bringers), None)
        if named is None:
            candidates = sorted({*known, *bringers})
            near = next((match for name in names for match in difflib.get_close_matches(name, candidates, 1)), None)
            if near is not None:
                parts.append(f"Did you mean {near!r}?")
                named = None if near in known else near
        mentioned: list[PluginRecord] = []
        if named is not None:
            distribution = bringers[named]
            mentioned = [r for r in self._records if canonical(r.distribution) == distribution]
            if unused := [r for r in mentioned if r.status != "loaded"]:
                parts.append(f"{unused[0].source} brings it, {state(unused[0])}.")
            else:
                parts.append(install_hint(folder_of(distribution)))
        parts.append(f"Installed: {', '.join(known) or 'none'}.")
        if others := [f"{r.source}, {state(r)}" for r in self._records if r.status != "loaded" and r not in mentioned]:
            parts.append(f"Not in use: {'; '.join(others)}.")
        return " ".join(parts)


def _only(claims: Sequence[_Claim], kind: _Kind, name: str) -> Any:
    if len(claims) == 1:
        return claims[0].value
    raise Conflict(kind, name, tuple(claim.record for claim in claims)).error


def catalogue() -> dict[str, dict[str, str]]:
    """Which distribution brings what. To tell and explain mistakes alone: nothing is looked up here to be used."""
    import tomllib  # noqa: PLC0415  only errors, and the list of plugins, need it

    text = files("mad_prefect_core").joinpath("known_plugins.toml").read_text("utf-8")
    return tomllib.loads(text)


def folder_of(distribution: str) -> str:
    """The folder of one of our plugins in a clone."""
    room = "formats" if distribution in catalogue()["formats"].values() else "storage"
    return f"mad_prefect_{room}/{distribution.removeprefix('mad-prefect-')}"


def install_hint(*folders: str) -> str:
    """How to install what is in these folders of a clone.

    By folder, the core included, since the names of our distributions are not on the index that pip asks: whoever
    takes one there would have their code installed.
    """
    names = " ".join(f"./{folder}" for folder in ("mad_prefect_core", *folders))
    return f"In a clone of mad-prefect, run `pip install {names}`."
