"""How stored records become values: the one place that trusts nothing they say.

Anybody who can write to the base can write a manifest, run record, lease or history. So each is parsed here, by a
model whose fields are of the types below. A path in a record is a key below the base, or the URL of a storage that the
asset's own code names (`reaching`). What leads anywhere else is a `ManifestError` that names record and field.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError, from_json

from mad_prefect_core.contracts import Versioned
from mad_prefect_core.errors import ManifestError, PathError, UnknownStorageError, located
from mad_prefect_core.mounts import Location, default_mount, locate
from mad_prefect_core.paths import is_url, relative_key, split_url
from mad_prefect_core.plugins import get_host

__all__ = [
    "Count",
    "Moment",
    "RecordedPath",
    "RecordedUrl",
    "Segment",
    "Torn",
    "check_paths",
    "check_place",
    "foreign",
    "foreign_error",
    "in_utc",
    "locate_recorded",
    "parse",
    "reach",
    "reaching",
    "read",
]

M = TypeVar("M", bound=BaseModel)

_FOREIGN = "foreign"
_LARGEST = 256 * 2**20  # bytes; one of a run with 100,000 fragments has a tenth
_LONGEST_SHOWN = 200
_PLAIN = re.compile(r"[A-Za-z0-9_][ -9;-~]{0,200}(?:\n[A-Za-z0-9_][ -9;-~]{0,200})*")
"""Keys that need no closer look, unless they climb, each in a line."""

_reach: ContextVar[tuple[str, ...]] = ContextVar("mad_prefect_reach", default=())


class RecordedUrl(str):
    """A URL from a record, which knows where it was read: for the error if it may not be followed."""

    record: str
    field: str


def foreign(problem: str) -> PydanticCustomError:
    """What a validator raises for a value that no run has written: the record is foreign, rather than torn."""
    return PydanticCustomError(_FOREIGN, "{problem}", {"problem": problem})


def check_paths(paths: Sequence[str]) -> None:
    """Raise what a validator raises unless each is a `RecordedPath`. One look at all of thousands is fast."""
    together = "\n".join(paths)
    plain = _PLAIN.fullmatch(together) and ".." not in together and together.count("\n") == len(paths) - 1
    if not plain:
        for number, path in enumerate(paths):
            _check_path(path, f"{number}.path: " if len(paths) > 1 else "")


def _check_path(value: str, place: str) -> None:
    try:
        relative_key(split_url(value)[1] if is_url(value) else value)
    except PathError as error:
        raise foreign(f"{place}{error.message}: {_shown(value)}") from None


def _path(value: str, info: ValidationInfo) -> str:
    check_paths([value])
    if info.context is None or not is_url(value):
        return value
    found = RecordedUrl(value)
    found.record, found.field = info.context, info.field_name or ""
    return found


def _segment(value: str) -> str:
    if not value or "/" in value or len(value) > 240 or not (value.isascii() and value.isprintable()):
        raise foreign(f"this is no name or id: {_shown(value)}")
    return value


def _shown(value: str) -> str:
    return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")


RecordedPath = Annotated[str, AfterValidator(_path)]
"""A path below the base, or a URL, which only `locate_recorded` may follow."""
Segment = Annotated[str, AfterValidator(_segment)]
"""A name or id that becomes part of one path segment."""
Count = Annotated[int, Field(ge=0, lt=2**63)]


def in_utc(value: dt.datetime) -> dt.datetime:
    """A moment in UTC. Raises `ValueError` for one so early or late that it is in no year there."""
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError(f"the moment {value} is in no year of UTC") from None


def _as_moment(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo is dt.UTC else in_utc(value if value.tzinfo else value.replace(tzinfo=dt.UTC))


Moment = Annotated[dt.datetime, AfterValidator(_as_moment)]
"""A moment in UTC, which one without a time zone is taken for: moments of different runs are compared."""


@dataclass(frozen=True)
class Torn:
    """What is no record: cut short by a crash, perhaps."""

    problem: str


def read(location: Location, asset: str) -> Versioned | None:
    """A record's object, if there is one. Raises `ManifestError` where there is a folder."""
    with located(asset=asset):
        return location.read()


def parse(model: type[M], data: bytes, location: Location, asset: str | None, version: str | None = None) -> M | Torn:
    """A record, or why it is none. Raises `ManifestError` for one that holds what no run writes, and for one of a later
    release, where `version` names the field that tells."""
    if len(data) > _LARGEST:
        return Torn(f"it has {len(data)} bytes")
    try:
        return model.model_validate_json(data, context=location.key)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    except (ValueError, OverflowError, RecursionError) as error:
        return Torn(str(error).splitlines()[0])
    if version is not None:
        _refuse_later(data, version, location, asset)
    for problem in problems:
        if problem["type"] == _FOREIGN:
            raise foreign_error(location, asset, _field(problem), problem["msg"])
    return Torn(f"{_field(problems[0])}: {problems[0]['msg']}".removeprefix(": "))


def _field(problem: Any) -> str:
    return ".".join(str(part) for part in problem["loc"]).removeprefix("data.")[:_LONGEST_SHOWN]


def _refuse_later(data: bytes, field: str, location: Location, asset: str | None) -> None:
    try:
        version = str(from_json(data)[field])
    except (ValueError, LookupError, TypeError):
        return
    if re.fullmatch(r"[0-9]{1,9}", version) and version != "1":
        raise ManifestError(
            f"This is of version {version}, which this release does not know",
            asset=asset,
            path=location.key,
            hint="Update mad-prefect. Nothing was changed.",
        )


def check_place(location: Location, name: tuple[str | None, str], id: tuple[str | None, str]) -> None:
    """Raise `ManifestError` for a record that says of itself that it is another asset's than its place does."""
    for field, (says, place) in (("asset_name", name), ("asset_id", id)):
        if says is not None and says != place:
            raise foreign_error(location, name[1], field, f"{_shown(says)} instead of {place!r}")


def foreign_error(location: Location | str, asset: str | None, field: str, problem: str) -> ManifestError:
    """The error for a record with a field that no run of the asset has written so."""
    return ManifestError(
        f"The record has a {field!r} that no run of the asset writes: {problem}",
        asset=asset,
        path=location if isinstance(location, str) else location.key,
        hint="Nothing of it was followed. Find out who wrote it; if it is deleted, the next run writes its own.",
    )


@contextmanager
def reaching(urls: Iterable[str]) -> Iterator[None]:
    """Have records lead to these folders too, besides the base: those that the asset's own code, or the user, names."""
    token = _reach.set(tuple(url.rstrip("/") for url in urls if is_url(url) and split_url(url)[0] != "mad"))
    try:
        yield
    finally:
        with suppress(ValueError):  # a task that is destroyed with its loop ends in another context
            _reach.reset(token)


def reach() -> tuple[str, ...]:
    """The folders that `reaching` names here."""
    return _reach.get()


def locate_recorded(path: str) -> Location:
    """The file that a path of a record means. Raises `ManifestError` for one that is outside of the base and of what
    the asset's own code names."""
    try:
        if not is_url(path) or split_url(path)[0] == "mad":
            return locate(path)
        if (found := _within_reach(path)) is not None:
            return found
    except (PathError, UnknownStorageError):
        pass
    record, field = (path.record, path.field) if isinstance(path, RecordedUrl) else (None, "path")
    folder = path.partition("/_artifacts/")[0] if "/_artifacts/" in path else path.rpartition("/")[0]
    raise ManifestError(
        f"The record has a {field!r} that leads neither below the base nor to the asset's own paths: {_shown(path)}",
        path=record,
        hint="Nothing of it was followed. On the command line, name the folder if it is yours: "
        f"--storage {_shown(folder)}.",
    )


def _within_reach(url: str) -> Location | None:
    storage = get_host().storage_for(split_url(url)[0])
    base = default_mount()
    if base.storage is storage:
        location = locate(url)
        # By identity: options of the base, such as its server, are in no URL.
        if location.mount.fs is base.fs and _is_below(location.path, base.root):
            return location
    for folder in _reach.get():
        inside = locate(f"{folder}/x")
        if inside.mount.storage is storage:
            location = locate(url)
            if location.mount.fs == inside.mount.fs and _is_below(location.path, inside.path.rpartition("/")[0]):
                return location
    return None


def _is_below(path: str, root: str) -> bool:
    return path.startswith(f"{root.rstrip('/')}/" if root else "")
