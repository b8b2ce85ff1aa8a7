"""Where paths lead: a mount is a storage and a base on it, a location is one file there."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

from pydantic import ValidationError

from mad_prefect_core.contracts import (
    DeclaredErrors,
    FileStat,
    LinkingStore,
    PrivateFiles,
    ProbedStore,
    Session,
    StorageCapabilities,
    StorageLike,
    StoreLike,
    SyncingStore,
    Versioned,
)
from mad_prefect_core.errors import (
    ManifestError,
    OptionError,
    OptionWarning,
    PathError,
    StorageConflictError,
    StorageError,
)
from mad_prefect_core.misspelt import check_base, check_url
from mad_prefect_core.paths import is_url, relative_key, split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.redaction import remember_secrets, secrets_in
from mad_prefect_core.settings import get_settings, use_settings
from mad_prefect_core.stores import duckdb_files, opened, stage
from mad_prefect_core.translation import StorageCall

__all__ = ["BaseKey", "Location", "Mount", "default_mount", "locate", "mount", "on_one_base", "sync"]

BaseKey: TypeAlias = tuple[int, str]

_COPIED_AT_ONCE = 2**20  # bytes

_base: ContextVar[Mount | None] = ContextVar("mad_prefect_base", default=None)


@dataclass(frozen=True)
class Mount:
    """A storage, the store that it opened, and the path on it that keys are relative to."""

    storage: StorageLike[Any]
    store: StoreLike
    root: str

    @property
    def fs(self) -> Any:
        """The store's filesystem."""
        return self.store.fs

    @property
    def key(self) -> BaseKey:
        """Tells it from other mounts. By the filesystem's identity: to fsspec, those that print alike are equal."""
        return id(self.fs), self.root

    @property
    def call(self) -> StorageCall:
        """What every call of the storage and its filesystem is made in."""
        store = self.store
        return StorageCall(self.storage.name, store.errors if isinstance(store, DeclaredErrors) else None)

    def at(self, key: str) -> Location:
        """The file at a key that `relative_key` has made."""
        return Location(self, key)

    def path(self, key: str) -> str:
        """The path on the filesystem. Raises `PathError` where the storage can't hold such a name."""
        path = f"{self.root}/{key}" if self.root else key
        self.check_name(path)
        return path

    def check_name(self, path: str) -> None:
        """Raise `PathError` where the storage can't hold such a name."""
        if refused := sorted({*path} & {*self.storage.capabilities.refused_characters}):
            raise PathError(
                f"The storage {self.storage.name!r} can't hold names with {', '.join(map(repr, refused))}",
                path=path,
                hint="Take that out of the path, or out of the values in it.",
            )

    def check_size(self, path: str, content: Path | bytes) -> None:
        """Raise `StorageError` where the storage can't hold a file of so many bytes."""
        largest = self.storage.capabilities.largest_object
        if largest is None:
            return
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size > largest:
            raise StorageError(
                f"A file of {size:,} bytes is larger than the storage {self.storage.name!r} can hold, which is "
                f"{largest:,} bytes",
                path=path,
                hint="Write it in several files, or in a format that compresses it.",
            )


@dataclass(frozen=True)
class Location:
    """One file: everything that is done to files goes through here to the storage's plugin."""

    mount: Mount
    key: str

    @property
    def path(self) -> str:
        """The path on the filesystem."""
        return self.mount.path(self.key)

    @property
    def folder(self) -> str:
        """The key of the folder it is in; "" for the base."""
        return self.key.rpartition("/")[0]

    def beside(self, key: str) -> Location:
        """Another key on the same mount."""
        return Location(self.mount, key)

    def duckdb_files(self, session: Session) -> list[str]:
        """What DuckDB on `session` reads it by."""
        with self.mount.call:
            return duckdb_files(self.mount.store, session, [self.path])

    def open(self) -> BinaryIO:
        """Its bytes, for reading in Python."""
        with self.mount.call:
            return cast(BinaryIO, self.mount.fs.open(self.path, "rb"))

    def exists(self) -> bool:
        """Whether there is a file."""
        with self.mount.call:
            return bool(self.mount.fs.isfile(self.path))

    def stat(self) -> FileStat | None:
        """Size and version token; None where there is no file."""
        with suppress(FileNotFoundError), self.mount.call:
            return self.mount.store.stat(self.path)
        return None

    def promises(self) -> StorageCapabilities:
        """What the storage can promise here. Raises `StorageError` where it can't be written."""
        store = self.mount.store
        if not isinstance(store, ProbedStore):
            return self.mount.storage.capabilities
        with self.mount.call:
            return store.promises(self.path)

    def stage(self) -> Path:
        """A local path to write to before `publish`."""
        with self.mount.call:
            return stage(self.mount.store, self.path)

    def publish(self, staged: Path, *, durable: bool = True) -> None:
        """Bring a staged file here, whole or not at all. If not `durable`, a power cut may take it until `sync`."""
        durable = durable or not isinstance(self.mount.store, SyncingStore)
        with self.mount.call:
            self.mount.check_size(self.key, staged)
            self.mount.store.publish(staged, self.path, durable=durable)

    def link_to(self, target: Location) -> str | None:
        """Make `target`, on the same mount, have these bytes, whole or not at all. Returns its token if known."""
        store = self.mount.store
        if not isinstance(store, LinkingStore):
            self._copy_to(target)
            return None
        with self.mount.call:
            return store.link(self.path, target.path)

    def _copy_to(self, target: Location) -> None:
        staged = target.stage()
        try:
            with self.open() as source, staged.open("xb") as copy:
                shutil.copyfileobj(source, copy, _COPIED_AT_ONCE)
            target.publish(staged)
        finally:
            staged.unlink(missing_ok=True)

    def read(self) -> Versioned | None:
        """A small object and its version. Raises `ManifestError` where there is a folder in its place."""
        try:
            with suppress(FileNotFoundError), self.mount.call:
                return self.mount.store.read(self.path)
            return None
        except IsADirectoryError as error:
            raise ManifestError(
                "There is a folder in the place of a file of ours", path=self.key, hint="Move it away, or delete it."
            ) from error

    def replace(self, data: bytes, expected: str | None) -> str:
        """Compare and swap; raises `StorageConflictError`. No two writers may write the same bytes: by them it is known
        that a write came through whose answer was lost."""
        self.mount.check_size(self.key, data)
        try:
            with self.mount.call:
                return self.mount.store.replace(self.path, data, expected)
        except StorageConflictError:
            raise  # the storage knows
        except OSError:
            with suppress(OSError):
                now = self.read()
                if now is not None and now.data == data:
                    return now.token
            raise

    def create_private(self, data: bytes) -> None:
        """Make a small object that is not there yet, for its user alone where the storage can have such. Raises
        `StorageConflictError` if it is there."""
        store = self.mount.store
        if isinstance(store, PrivateFiles):
            store.create_private(self.path, data)
        else:
            self.replace(data, None)

    def write(self, data: bytes) -> None:
        """Write a small file, whole or not at all, whatever was there."""
        staged = self.stage()
        try:
            with staged.open("xb") as file:  # never a file or a link that somebody has put there
                file.write(data)
            self.publish(staged)
        finally:
            staged.unlink(missing_ok=True)  # it is still there only if publishing failed

    def delete(self) -> None:
        """Delete this one file; nothing where there is none."""
        with suppress(FileNotFoundError), self.mount.call:
            self.mount.fs.rm_file(self.path)


def mount(url: str, options: Mapping[str, Any] | None = None) -> Mount:
    """The mount of a base URL. Raises `PathError` for a misspelt one, `UnknownStorageError`, `OptionError`."""
    check_base(url)
    storage, store, path = _open(url, options)
    return Mount(storage, store, path.rstrip("/") or ("/" if path.startswith("/") else ""))


@contextmanager
def on_one_base() -> Iterator[None]:
    """Have relative paths be on the mount that they are on now, and the settings as they are now: both are looked for
    once for all in the block."""
    with use_settings(get_settings()):
        token = _base.set(default_mount())
        try:
            yield
        finally:
            _base.reset(token)


def default_mount() -> Mount:
    """The mount that relative paths are on: a plugin's (a Prefect block), or FILESYSTEM_URL's."""
    if (base := _base.get()) is not None:
        return base
    settings = get_settings()
    url, options = get_host().base(settings) or (settings.filesystem_url, {})
    _refuse_passing(f"The base {url}", url, "Set FILESYSTEM_URL to")
    return mount(url, options)


def _refuse_passing(what: str, url: str, advice: str) -> None:
    if _is_deployed() and _is_relative(url):
        raise PathError(
            f"{what} is relative, in a flow run of a deployment",
            hint=f"{advice} a whole path, such as file:///data/lake, or to a URL such as s3://bucket/lake: "
            "the working directory of such a run may be a temporary one, which is deleted with the data in it.",
        )


def _is_relative(url: str) -> bool:
    protocol, rest = split_url(url)
    return (
        protocol in ("file", "local")
        and not rest.removeprefix("file:").startswith(("/", "\\", "~"))
        and rest[1:2] != ":"
    )


def _is_deployed() -> bool:
    """Whether this is in a flow run of Prefect's that came from a deployment. Where no flow runs, Prefect may not even
    be imported."""
    prefect: Any = sys.modules.get("prefect.context")
    context = prefect.FlowRunContext.get() if prefect is not None else None
    return getattr(getattr(context, "flow_run", None), "deployment_id", None) is not None


def locate(path: str) -> Location:
    """The file that a user's path means: under the base, or where its own URL says.

    Raises `PathError` for a path that climbs, `UnknownStorageError` for a protocol that nothing serves.
    """
    check_url(path)
    protocol, rest = split_url(path)
    if not is_url(path) or protocol == "mad":
        return default_mount().at(relative_key(rest if protocol == "mad" else path))
    relative_key(rest)  # refuses what climbs
    _refuse_passing(f"The path {path}", path, "Change it to")
    storage, store, full = _open(path, None)
    return Location(Mount(storage, store, ""), full)


def _open(url: str, options: Mapping[str, Any] | None) -> tuple[StorageLike[Any], StoreLike, str]:
    protocol, _ = split_url(url)
    storage = get_host().storage_for(protocol)
    try:
        validated = storage.options.model_validate(_of_storage(storage, options or {}))
    except ValidationError as error:
        raise OptionError(
            f"The storage '{storage.name}' can't take these options: {', '.join(map(_problem, error.errors()))}",
            hint=f"It knows: {', '.join(storage.options.model_fields) or 'none'}.",
        ) from None
    if options:
        remember_secrets(secrets_in(validated))  # a server's or a client library's error may show them
    with StorageCall(storage.name):
        store = opened(storage, url, validated)
        return storage, store, store.path(url)


_OF_FSSPEC = frozenset({
    "asynchronous", "batch_size", "block_size", "cache_options", "cache_type", "default_block_size",
    "default_cache_type", "default_fill_cache", "dircache", "fill_cache", "listings_expiry_time", "loop",
    "max_concurrency", "max_paths", "skip_instance_cache", "use_listings_cache",
})  # fmt: skip
"""Options by which fsspec's own filesystems read ahead, keep listings and run, each in another way than ours."""

_told: set[tuple[str, ...]] = set()


def _of_storage(storage: StorageLike[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that mean nothing to the storage, which are told once for the process."""
    if not options:
        return {}
    others = (_OF_FSSPEC | storage.options.without_effect) - storage.options.model_fields.keys()
    ignored = (storage.name, *sorted(options.keys() & others))
    if len(ignored) > 1 and ignored not in _told:
        _told.add(ignored)
        text = f"These options mean nothing to the storage {storage.name!r} and are ignored: {', '.join(ignored[1:])}"
        warnings.warn(OptionWarning(text), stacklevel=2)
    return {name: value for name, value in options.items() if name not in others}


def _problem(details: Any) -> str:
    """What is wrong with an option: its name, since its value may be a secret, or what an `OptionError` says."""
    told = details.get("ctx", {}).get("error")
    return told.message if isinstance(told, OptionError) else ".".join(str(part) for part in details["loc"])


def sync(locations: Iterable[Location]) -> None:
    """Make files that were published without `durable` survive a power cut."""
    found: dict[tuple[int, str], list[Location]] = {}
    for location in locations:
        found.setdefault((id(location.mount.fs), location.mount.storage.name), []).append(location)
    for together in found.values():
        mount = together[0].mount
        if isinstance(mount.store, SyncingStore):
            with mount.call:
                mount.store.sync([location.path for location in together])


def paths_of(locations: Sequence[Location], session: Session) -> list[str]:
    """What DuckDB reads these by; they may be on several mounts."""
    files: list[str] = []
    for location in locations:
        files += location.duckdb_files(session)
    return files


def checked_folder(path: str) -> str:
    """A folder's key: as `relative_key`, but the base itself is allowed and is ""."""
    try:
        return relative_key(path)
    except PathError:
        if not path.strip("/. ") and ".." not in path.split("/"):
            return ""
        raise
