"""Where the results of an asset are: the users' paths, the runs' own files, and the lease on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mad_prefect_core.artifacts.files import DataFile, FormatOptions
from mad_prefect_core.contracts import FormatLike, ReadContext, Schema, Session, WriteContext
from mad_prefect_core.mounts import Location, default_mount, locate
from mad_prefect_core.paths import is_url, split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.runs.holds import hold
from mad_prefect_core.runs.lease import Lease, lease_name
from mad_prefect_core.runs.results import ResultRecord, own_file
from mad_prefect_core.runs.stored import foreign_error, locate_recorded

__all__ = ["ResultTarget", "address", "lease_on", "place_of", "result_file"]


@dataclass(frozen=True)
class ResultTarget:
    """Where one result of an asset goes."""

    path: str
    """As the user named it."""
    location: Location
    format: FormatLike[Any, Any]
    suffix: str

    @classmethod
    def of(cls, path: str) -> ResultTarget:
        """Raises `UnknownFormatError`, `UnknownStorageError`, `PathError`."""
        format, suffix = get_host().format_of(path)
        return cls(path, locate(path), format, suffix.lower())

    def reading(self, session: Session, options: Any, schema: Schema | None = None) -> ReadContext[Any]:
        """How a file of it is read."""
        return ReadContext(session=session, options=options, suffix=self.suffix, schema=schema)

    def writing(self, session: Session, options: FormatOptions) -> WriteContext[Any]:
        """How it is written."""
        return WriteContext(session=session, options=options.writing(self.format), suffix=self.suffix)

    def run_file(self, asset_name: str, run_id: str) -> Location:
        """The run's own file."""
        return self.location.beside(own_file(self.location.key, asset_name, run_id))


def lease_on(targets: Sequence[ResultTarget]) -> Lease:
    """The lease on the paths of an asset's results, in whatever order; below the base, wherever that is mounted."""
    return Lease(lease_name(sorted(place_of(target.location) for target in targets)))


def place_of(location: Location) -> str:
    """Where a file is, in a form that is the same for all who name it: below the base, or on its storage."""
    base = default_mount()
    root = f"{base.root}/".replace("//", "/")
    inside = location.mount.storage.name == base.storage.name and location.path.startswith(root)
    return location.path.removeprefix(root) if inside else f"{location.mount.storage.name}:{location.path}"


def address(path: str, location: Location) -> str:
    """What to give `locate` later to get to `location`, which is on the storage that `path` is on."""
    protocol = split_url(path)[0]
    return f"{protocol}://{location.path}" if is_url(path) and protocol != "mad" else location.key


def result_file(record: ResultRecord) -> DataFile:
    """The run's own file of a result, as readers take it. Raises `ManifestError` for a record that leads elsewhere, or
    that no writer of its format has made."""
    location, published = locate_recorded(record.file), locate_recorded(record.path)
    format = get_host().format_named(record.format, suffix=record.suffix)
    if record.suffix not in format.suffixes:
        raise foreign_error(record.path, None, "suffix", f"{format.name} has no suffix {record.suffix!r}")
    read = _read_back(record, format)
    return DataFile(
        location,
        format,
        record.suffix,
        record.columns,
        read=read,
        published=published,
        sha256=record.sha256,
        pin=hold(location),
    )


def _read_back(record: ResultRecord, format: FormatLike[Any, Any]) -> Any:
    """How the file reads back, by the write options that are recorded of it."""
    try:
        return format.read_back(format.write_options.model_validate(record.write))
    except ValidationError as error:
        field = ".".join(map(str, ("write", *error.errors()[0]["loc"])))
        raise foreign_error(record.path, None, field, error.errors()[0]["msg"]) from None
    except RecursionError:
        raise foreign_error(record.path, None, "write", "it is nested too deep") from None
