"""`mad-prefect plugins doctor`: what is installed, what is wrong with it, and what formats and storages really do."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter
from rich.console import RenderableType

from mad_prefect_core.assets.privacy import redacted
from mad_prefect_core.cli.describe import error_data, plugin_data
from mad_prefect_core.cli.output import Result, escape, grid, indented, problem, status_of, styled, table, words
from mad_prefect_core.cli.trial import try_format
from mad_prefect_core.contracts import FormatLike
from mad_prefect_core.errors import CorruptFileError, MadPrefectError, StorageError
from mad_prefect_core.hookspecs import PLUGIN_API
from mad_prefect_core.mounts import mount
from mad_prefect_core.plugins import get_host
from mad_prefect_core.probe import Finding, Probe, probe
from mad_prefect_core.settings import Settings, get_settings
from mad_prefect_core.threads import StillRunningError, run_within

__all__ = ["doctor"]

_ENGINES = ("duckdb", "prefect", "fsspec", "pyarrow")


def doctor(
    *,
    url: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Another storage to try, beside the base. May be repeated."),
    ] = (),
    timeout: Annotated[float, Parameter(help="Seconds that one format or storage is given.")] = 30.0,
) -> Result:
    """What is installed, what failed and what would mend it, the settings in force, and what formats and storages do.

    Each format is tried by a row there and back, each storage in a folder of its own with a random name, which is
    removed afterwards.
    """
    host = get_host()
    settings = get_settings()
    plugins = [plugin_data(host, record) for record in host.plugins()]
    formats = [_format(format, timeout) for format in host.formats()]
    storages = _tried(settings, url, timeout)
    found = {
        (p["where"], p["message"]): p for source in (*plugins, *formats, *storages) for p in source["problems"]
    }  # both sides of a conflict say the same of it
    data = {
        "python": platform.python_version(),
        "plugin_api": PLUGIN_API,
        "versions": {name: importlib.metadata.version(name) for name in _ENGINES},
        "distributions": _distributions(),
        "plugins": plugins,
        "settings": _settings(settings),
        "formats": formats,
        "storages": storages,
        "problems": list(found.values()),
    }
    return Result(data, _view(data), problem=bool(found))


def _distributions() -> dict[str, str]:
    """The library's own distributions and those that bring plugins, by name."""
    found = {record.distribution: record.version for record in get_host().plugins()}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"] or ""
        if name.startswith("mad-prefect"):
            found.setdefault(name, distribution.version)
    return dict(sorted(found.items()))


def _settings(settings: Settings) -> list[dict[str, Any]]:
    return [
        {
            "name": field.alias,
            "value": _hidden(value) if isinstance(value := getattr(settings, name), str) else value,
            "default": value == field.default,
        }
        for name, field in Settings.model_fields.items()
    ]


def _hidden(url: str) -> str:
    return redacted(url, {"url": url})


# -- formats ---------------------------------------------------------------------------------------------------------


def _format(format: FormatLike[Any, Any], seconds: float) -> dict[str, Any]:
    """One format, tried within so many seconds. What goes wrong is among its problems."""
    entry: dict[str, Any] = {"name": format.name, "suffixes": list(format.suffixes), "works": True, "problems": []}
    try:
        run_within(partial(try_format, format), seconds)
    except Exception as error:  # of whatever the format is made of
        known = error if isinstance(error, MadPrefectError) else CorruptFileError(f"{type(error).__name__}: {error}")
        known.message = f"A row does not come there and back: {known.message}"
        known.hint = "Update the plugin, or uninstall it."
        entry.update(works=False, problems=[error_data(f"format {format.name}", known)])
    return entry


# -- storages --------------------------------------------------------------------------------------------------------

_Place: TypeAlias = Callable[[], tuple[str, Mapping[str, Any]]]
"""Says a URL and storage options."""


def _tried(settings: Settings, urls: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    def base() -> tuple[str, Mapping[str, Any]]:
        return get_host().base(settings) or (settings.filesystem_url, {})

    places: list[tuple[str, _Place]] = [("base", base), *(("--url", partial(_plain, url)) for url in urls)]
    with ThreadPoolExecutor(len(places)) as pool:
        metadata = settings.asset_metadata_location
        return list(pool.map(lambda place: _storage(place[0], place[1], metadata, seconds), places))


def _plain(url: str) -> tuple[str, Mapping[str, Any]]:
    return url, {}


def _storage(role: str, place: _Place, metadata: str, seconds: float) -> dict[str, Any]:
    """One storage, tried within so many seconds. What goes wrong is among its problems, without secrets."""
    entry: dict[str, Any] = {"role": role, "url": None, "storage": None, "path": None, "metadata": None}
    secrets: dict[str, Any] = {}

    def work() -> Probe:
        url, options = place()
        secrets.update(options, url=url)
        entry["url"] = _hidden(url)
        there = mount(url, options)
        entry.update(storage=there.storage.name, path=redacted(there.root, secrets))
        if role == "base":
            entry["metadata"] = redacted(there.path(metadata), secrets)
        return probe(there)

    try:
        found = run_within(work, seconds)
    except Exception as error:  # of whatever SDK the storage is made of
        known = _known(error, seconds)
        known.message, known.hint = redacted(known.message, secrets), redacted(known.hint or _CHECK, secrets)
        entry.update(reachable=False, findings=[], left_behind=None)
        entry["problems"] = [error_data(entry["url"] or role, known)]
    else:
        entry.update(reachable=True, left_behind=found.left_behind and redacted(found.left_behind, secrets))
        entry["findings"] = [asdict(f) | {"detail": redacted(f.detail, secrets)} for f in found.findings]
        entry["problems"] = [error_data(entry["url"], _broken(entry["storage"], f, secrets)) for f in found.broken]
    return entry


def _known(error: Exception, seconds: float) -> MadPrefectError:
    """An error as one of ours that says what to do."""
    if isinstance(error, StillRunningError):
        return StorageError(
            f"There was no answer within {seconds:g} seconds",
            hint=f"{_CHECK} --timeout gives it longer. A folder _mad_prefect_probe_... may be left there.",
        )
    return error if isinstance(error, MadPrefectError) else StorageError(f"{type(error).__name__}: {error}")


_CHECK = "Check the URL, the network and the credentials."


def _broken(storage: str, finding: Finding, secrets: Mapping[str, Any]) -> StorageError:
    return StorageError(
        f"The storage {storage!r} promises {finding.check}, and here {redacted(finding.detail, secrets)}",
        hint="Use another server or another place: what assets promise rests on it.",
    )


# -- for people ------------------------------------------------------------------------------------------------------


def _view(data: dict[str, Any]) -> Iterator[RenderableType]:
    yield styled("installed", "bold")
    versions = {"python": data["python"], **data["versions"], **data["distributions"]}
    yield indented(grid((escape(name), escape(version)) for name, version in versions.items()))
    yield f"\n{styled('plugins', 'bold')} for plugin API {data['plugin_api']}"
    rows = ((p["name"], f"{p['distribution']} {p['version']}", p["status"]) for p in data["plugins"])
    yield indented(grid((escape(name), escape(source), status_of(status)) for name, source, status in rows))
    yield f"\n{styled('settings', 'bold')}"
    shown = ((s["name"], words(s["value"]), "" if s["default"] else "set") for s in data["settings"])
    yield indented(grid((escape(name), escape(value), said) for name, value, said in shown))
    yield f"\n{styled('formats', 'bold')}, a row there and back"
    tried = ((f["name"], " ".join(f["suffixes"]), f["works"]) for f in data["formats"])
    yield indented(grid((escape(name), escape(suffixes), _works(works)) for name, suffixes, works in tried))
    for storage in data["storages"]:
        yield from _storage_view(storage)
    for found in data["problems"]:
        yield problem(found["where"], found["message"], found["hint"])
    count = len(data["problems"])
    said = styled("No problem was found.", "green") if not count else styled(f"Problems: {count}.", "red")
    yield f"\n{said}"


def _storage_view(storage: dict[str, Any]) -> Iterator[RenderableType]:
    state = styled("reachable", "green") if storage["reachable"] else styled("not reachable", "red")
    by = f" by the storage {storage['storage']}" if storage["storage"] else ""
    yield f"\n{styled(storage['role'], 'bold')} {escape(storage['url'] or '')}: {state}{escape(by)}"
    places = {name: storage[name] for name in ("path", "metadata", "left_behind") if storage[name]}
    if places:
        yield indented(grid((name.replace("_", " "), escape(path)) for name, path in places.items()))
    if storage["findings"]:
        yield ""
        rows = ((f["check"], words(f["declared"]), _does(f), escape(f["detail"])) for f in storage["findings"])
        yield indented(table(("tried", "promised", "seen", ""), rows))


def _works(works: bool) -> str:
    return styled("yes", "green") if works else styled("no", "red")


def _does(finding: dict[str, Any]) -> str:
    return _works(finding["found"]) if finding["found"] or finding["declared"] else styled("no", "yellow")
