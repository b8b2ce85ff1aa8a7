"""`FsspecFileSystem`: any installed storage as a Prefect block, for results, deployments and a user's own files."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import shutil
import string
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import unquote

from fsspec.implementations.local import LocalFileSystem
from prefect.blocks.fields import SecretDict
from prefect.filesystems import WritableDeploymentStorage, WritableFileSystem
from prefect.utilities.filesystem import filter_files
from pydantic import ConfigDict

from mad_prefect_core.errors import (
    ManifestError,
    MissingFileError,
    OverrideError,
    PathError,
    StorageError,
    TemplateError,
)
from mad_prefect_core.mounts import Location, Mount, checked_folder, mount
from mad_prefect_core.overrides import refuse_uncalled
from mad_prefect_core.paths import escape_glob, format_value, relative_key, safe_segment, split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.prefect_support.data_files import from_bytes, to_bytes
from mad_prefect_core.prefect_support.saved import saved_block
from mad_prefect_core.redaction import without_secrets
from mad_prefect_core.settings import get_settings
from mad_prefect_core.threads import in_thread, run_sync

__all__ = ["FsspecFileSystem", "assign_block", "assigned_block", "base_of", "get_fs", "load_block"]

R = TypeVar("R")


def _also_async(method: Callable[..., R]) -> Callable[..., Any]:
    """Let a blocking method be awaited where an event loop runs, as in 2.x, and just called where none does.

    Prefect's result store calls it in a sync task with `_sync=True`, whatever runs on that thread.
    """

    @functools.wraps(method)
    def either(*args: Any, _sync: bool | None = None, **kwargs: Any) -> R | Awaitable[R]:
        if _sync is None:
            _sync = not _on_event_loop()
        if _sync:
            return method(*args, **kwargs)
        return asyncio.to_thread(method, *args, **kwargs)

    return either


def _also_plain(method: Callable[..., Awaitable[R]]) -> Callable[..., Any]:
    """The same for a method that awaits: others that a subclass may have made async."""

    @functools.wraps(method)
    def either(*args: Any, _sync: bool | None = None, **kwargs: Any) -> R | Awaitable[R]:
        if _sync is None:
            _sync = not _on_event_loop()
        called = functools.partial(method, *args, **kwargs)
        return run_sync(cast("Callable[[], Coroutine[Any, Any, R]]", called)) if _sync else called()

    return either


async def _given(answer: Any) -> Any:
    """What a method of a subclass returns, whether it is async or not."""
    return await answer if inspect.isawaitable(answer) else answer


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class FsspecFileSystem(WritableFileSystem, WritableDeploymentStorage):
    """Files below a base path, on any storage that is installed.

    Every method but `glob`, `mkdirs` and `exists` is awaited on an event loop, and called plainly elsewhere. Paths
    are relative to the base, also with a leading `/`; one that would leave it is refused with `PathError`. What
    `_resolve_path` gave is understood too, since Prefect passes it back. A file is written whole or not at all.

    Raises `UnknownStorageError` or `OptionError` at first use where the base or its options mean nothing to what is
    installed, and `OSError` where the storage fails.

    Args:
        basepath: URL of the base, for example `file:///data/lake`. A password in it becomes the storage option
            `password`, which Prefect keeps encrypted. A parameter that is secret is refused with `PathError`.
        storage_options: Options of the storage, kept secret.
        **kwargs: More storage options.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name: ClassVar[str | None] = "Fsspec Advanced FileSystem"

    basepath: str
    storage_options: SecretDict

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_uncalled(cls, FsspecFileSystem, _UNCALLED)

    def __init__(
        self, *, basepath: str, storage_options: SecretDict | dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        # A block's type travels with its data, and a subclass has fields of its own. Anything else is an option, and
        # may be a secret: as a field, which 2.x made of it, it would be shown.
        fields = {name: kwargs.pop(name) for name in ("block_type_slug", *_own_fields(type(self))) if name in kwargs}
        if isinstance(storage_options, SecretDict):
            storage_options = storage_options.get_secret_value()
        password: dict[str, Any] = {}
        if isinstance(basepath, str):
            basepath, password = _without_password(basepath)
        fields |= {"basepath": basepath, "storage_options": {**password, **kwargs, **(storage_options or {})}}
        super().__init__(**fields)

    def __repr_args__(self) -> Any:
        for name, value in super().__repr_args__():
            yield name, without_secrets(value)

    # -- where things are ----------------------------------------------------------------------------------------

    @property
    def _fs(self) -> Any:
        """The fsspec filesystem."""
        return _mount_of(self).fs

    @property
    def _fs_url(self) -> str:
        """The base path on the filesystem."""
        return _mount_of(self).root

    def _resolve_path(self, path: str) -> str:
        """A path on the filesystem. The base itself is "". All methods go by it, so a subclass may say where files are
        below the base."""
        base = _mount_of(self)
        key = checked_folder(_relative(base, path))
        return base.path(key) if key else base.root

    # -- looking -------------------------------------------------------------------------------------------------

    def glob(self, path: str) -> list[str]:
        """Paths that match a pattern, relative to the base."""
        base = _mount_of(self)
        pattern = f"{escape_glob(base.root)}/{_locate(self, path).key}"
        below = (_relative(base, found).strip("/") for found in base.fs.glob(pattern))
        return [name for name in below if name]  # "**" finds the base too

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return bool(self._fs.exists(self._resolve_path(path)))

    def mkdirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it. Raises `FileExistsError`."""
        self._fs.mkdirs(self._resolve_path(path), exist_ok=exist_ok)

    # -- bytes ---------------------------------------------------------------------------------------------------

    @_also_async
    def read_path(self, path: str) -> bytes:
        """The bytes of a file. Raises `MissingFileError` where there is none, `PathError` where it is a folder."""
        try:
            found = _locate(self, path).read()
        except ManifestError:
            raise PathError(f"{path!r} is a folder, and not a file", phase="read") from None
        if found is None:
            raise MissingFileError(f"{path!r} does not exist", path=path, phase="read")
        return found.data

    @_also_async
    def write_path(self, path: str, content: bytes) -> str:
        """Write a file, its folders made, replacing what was there. Returns `path`."""
        _locate(self, path).write(content)
        return path

    # Prefect's result store prefers these two where it is asynchronous itself.
    async def aread_path(self, path: str) -> bytes:
        """As `read_path`."""
        return cast(bytes, await _given(self.read_path(path)))

    async def awrite_path(self, path: str, content: bytes) -> str:
        """As `write_path`."""
        return cast(str, await _given(self.write_path(path, content)))

    @_also_async
    def open(self, path: str, mode: str = "rb", auto_mkdir: bool = False) -> Any:
        """A file object. One opened with `w` or `x` appears when it is closed, and not if its `with` block raised.

        Args:
            path: Relative to the base.
            mode: As for the built-in `open`.
            auto_mkdir: Without effect: folders are always made.

        Raises `MissingFileError` where there is no file to read, `FileExistsError` for mode `x` where there is one.
        """
        location = _locate(self, path)
        if mode[:1] in ("w", "x"):
            if mode[:1] == "x" and location.mount.fs.exists(location.path):
                raise FileExistsError(f"Path {path!r} exists.")
            return _StagedFile(location, mode)
        if not location.mount.fs.isfile(location.path):
            if location.mount.fs.isdir(location.path):
                raise PathError(f"{path!r} is a folder, and not a file", phase="read")
            raise MissingFileError(f"{path!r} does not exist", path=path, phase="read")
        return location.mount.fs.open(location.path, mode=mode)

    # -- data ----------------------------------------------------------------------------------------------------

    @_also_plain
    async def read_data(self, path: str, encoding: str = "utf-8") -> Any:
        """What `write_data` wrote: a list of dicts from a table, such as Parquet and CSV, anything from JSON.

        What the block itself wrote comes back as the same values, as far as the format can hold them. CSV of others:
        numbers, booleans, dates and times where all of a column are such, None where nothing is between two commas,
        else text; `007` is text. Dates, decimals, bytes, sets, UUIDs, paths and IP addresses in JSON keep their types.
        An object that names any other class is read as the dict that it is: nothing that a file names is imported or
        called. The bytes are those that `read_path` gives.

        Args:
            path: Relative to the base.
            encoding: Of the text in CSV and JSON, by a name that Python knows.

        Raises `MissingFileError`, `CorruptFileError`, which are `ValueError`s, and `UnknownFormatError`.
        """
        content = await _given(self.read_path(path))
        return await in_thread(from_bytes, path, content, encoding=encoding)

    @_also_plain
    async def write_data(self, path: str, data: Any, indent: bool = True, **kwargs: Any) -> str:
        """Write data as its path's suffix says: a table of any installed format, JSON lines, or else JSON.

        A table is made of what an asset may return, or of a dict of columns. In CSV, lists and dicts are JSON. `.gz`
        and `.zst` compress. The bytes are given to `write_path`. Returns the path written.

        Fields in the path, such as `orders/{id}.json`, are filled from `kwargs` and from `data` if it is a dict; a
        list is there as `data`. A value is one segment of the path, whatever characters it has. In JSON, models and
        dataclasses are written as their fields, enums as their values.

        Raises `TemplateError` for a field that is not there, `PathError` for a value that would climb,
        `UnsupportedDataError` for what can't be a table, and for a value that can't be written, such as a secret;
        `UnknownFormatError` for a format that is not installed.
        """
        if isinstance(data, Mapping):
            path = _PathTemplate().vformat(path, (), {**kwargs, **data})
        elif isinstance(data, list):
            path = _PathTemplate().vformat(path, (), {**kwargs, "data": data})
        _locate(self, path)  # refuses what climbs
        content = await in_thread(run_sync, functools.partial(to_bytes, path, data, indent=indent))
        await _given(self.write_path(path, content))
        return path

    # -- files and folders ---------------------------------------------------------------------------------------

    @_also_async
    def move_path(self, path: str, dest: str) -> str:
        """Move a file or folder; a file replaces what was there. Returns the new path on the filesystem.

        Raises `MissingFileError` where there is nothing to move.
        """
        source, target = _locate(self, path), _locate(self, dest)
        fs = source.mount.fs
        if fs.isfile(source.path):
            if source.key != target.key:
                source.link_to(target)
                source.delete()
        elif fs.isdir(source.path):
            fs.makedirs(fs._parent(target.path), exist_ok=True)
            fs.mv(_literal(fs, source.path), target.path, recursive=True)
        else:
            raise MissingFileError(f"{path!r} does not exist, so it can't be moved")
        return target.path

    @_also_async
    def delete_path(self, path: str, recursive: bool = False) -> None:
        """Delete a file, or with `recursive` a folder and all in it. Nothing where there is nothing.

        The path is no pattern. Raises `PathError` for the base itself, and for a folder without `recursive`.
        """
        location = _locate(self, path)
        fs = location.mount.fs
        if fs.isfile(location.path):
            location.delete()
        elif fs.isdir(location.path):
            if not recursive:
                raise PathError(f"{path!r} is a folder", hint="Pass recursive=True to delete all that is in it.")
            fs.rm(_literal(fs, location.path), recursive=True)

    @_also_async
    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> None:
        """Copy a folder (the base if None) to a local folder (the working folder if None).

        Raises `MissingFileError` where there is no such folder.
        """
        source, target = self._resolve_path(from_path or ""), Path(local_path or ".").resolve()
        fs = self._fs
        if isinstance(fs, LocalFileSystem) and Path(source).resolve() == target:
            return
        if not fs.isdir(source):
            raise MissingFileError(f"{from_path or ''!r} does not exist, or is not a folder")
        for found in fs.find(source):
            # A key of an object store may have any segments, `..` too.
            copy = target / relative_key(found.removeprefix(source))
            copy.parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(found, str(copy))

    @_also_async
    def put_directory(
        self, local_path: str | None = None, to_path: str | None = None, ignore_file: str | None = None
    ) -> None:
        """Copy a local folder (the working folder if None) to a folder (the base if None).

        Args:
            local_path: The local folder.
            to_path: Relative to the base.
            ignore_file: A local file of patterns, as in `.gitignore`, of what is left out.
        """
        source, base = Path(local_path or ".").resolve(), _mount_of(self)
        folder = checked_folder(_relative(base, to_path or ""))
        patterns = Path(ignore_file).read_text("utf-8").splitlines() if ignore_file else []
        # A base within the folder that is copied, as the default one is, would be copied into itself.
        own = Path(base.path(folder)).resolve() if isinstance(base.fs, LocalFileSystem) else None
        for name in sorted(filter_files(str(source), patterns, include_dirs=False, as_posix=True)):
            file = source / name
            if not file.is_file():
                raise StorageError("Only files can be copied, and this is a pipe, a device or a broken link", path=name)
            if own is None or not file.resolve().is_relative_to(own):
                location = base.at(relative_key(f"{folder}/{name}"))
                staged = location.stage()
                shutil.copyfile(file, staged)
                location.publish(staged)


_UNCALLED = {
    "_fs": "Write a storage plugin with a filesystem of its own, or override read_path and write_path.",
    "_fs_url": "Override _resolve_path, or set basepath.",
}
"""Attributes that 2.x's instances had and its methods used."""


def _own_fields(block: type[FsspecFileSystem]) -> set[str]:
    """The names by which a subclass takes fields that the block itself does not have."""
    own = {name: field for name, field in block.model_fields.items() if name not in FsspecFileSystem.model_fields}
    return own.keys() | {field.alias for field in own.values() if field.alias}


def _mount_of(block: FsspecFileSystem) -> Mount:
    return mount(block.basepath, block.storage_options.get_secret_value())


def _locate(block: FsspecFileSystem, path: str) -> Location:
    base = _mount_of(block)
    return base.at(relative_key(_relative(base, block._resolve_path(path))))


def _without_password(url: str) -> tuple[str, dict[str, Any]]:
    """A base without the password that one of 2.x may have in it, and that as a storage option."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#@:]*):([^/?#]*)@", url)
    if not found:
        split_url(url)
        return url, {}
    without = f"{found[1]}@{url[found.end() :]}"
    split_url(without)
    return without, {"password": unquote(found[2])}


def _relative(base: Mount, path: str) -> str:
    """A path below the base, of one relative to it or one that `_resolve_path` made."""
    if base.root and (path == base.root or path.startswith(f"{base.root}/")):
        return path[len(base.root) :]
    return path


def _literal(fs: Any, path: str) -> str:
    """A path that `rm` and `mv` take as it is: of all filesystems only the local one does not expand patterns."""
    return path if isinstance(fs, LocalFileSystem) else escape_glob(path)


class _StagedFile:
    """A file object for writing that puts the file in its place when it is closed."""

    def __init__(self, location: Location, mode: str) -> None:
        self._location = location
        self._staged = location.stage()
        self._file = open(self._staged, mode)  # noqa: SIM115  closed by close() or __exit__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _StagedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
            self._staged.unlink(missing_ok=True)

    def close(self) -> None:
        """Publish the file. Raises `OSError`."""
        if not self._file.closed:
            self._file.close()
            self._location.publish(self._staged)


class _PathTemplate(string.Formatter):
    """`str.format` for paths: a value stays one path segment, and gives nothing away but itself."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if "._" in field_name:
            raise TemplateError(f"The path names {field_name!r}; private attributes can't be part of a path")
        return super().get_field(field_name, args, kwargs)

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key not in kwargs:
            known = ", ".join(sorted(map(str, kwargs)))
            raise TemplateError(
                f"The path names {key!r}, which is not in the data", hint=f"It has: {known or 'nothing'}."
            )
        return kwargs[cast(str, key)]

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return format_value(value, None, conversion, key="data") if conversion else value

    def format_field(self, value: Any, format_spec: str) -> str:
        return safe_segment(format_value(value, format_spec, None, key="data"))


_assigned: FsspecFileSystem | None = None


def assign_block(block: FsspecFileSystem | None) -> None:
    """Have a block be the base of relative paths for the whole process; None for what the settings say."""
    global _assigned
    _assigned = block


def assigned_block() -> FsspecFileSystem | None:
    """The block that `assign_block` was given."""
    return _assigned


def base_of(block: FsspecFileSystem) -> tuple[str, dict[str, Any]]:
    """A block as the base of assets, which read and write through the storage plugin.

    Raises `OverrideError` where the block is of a subclass that reads or writes in its own way.
    """
    own = [name for name in _READS_AND_WRITES if getattr(type(block), name) is not getattr(FsspecFileSystem, name)]
    if own:
        raise OverrideError(
            f"{type(block).__name__} overrides {', '.join(own)}, which assets do not call",
            hint="Assets read and write through storage plugins: write one, or use the block by itself.",
        )
    return block.basepath, block.storage_options.get_secret_value()


_READS_AND_WRITES = (
    "_resolve_path", "delete_path", "exists", "glob", "mkdirs", "move_path", "open", "read_path", "write_path",
)  # fmt: skip


def load_block(name: str) -> FsspecFileSystem:
    """A saved block, as it was a minute ago at most. Blocks the calling thread, also that of an event loop.

    Raises `ValueError` if there is no block of that name.
    """
    return saved_block(FsspecFileSystem, name)


async def get_fs() -> FsspecFileSystem:
    """The base of relative asset paths as a block: that of `FILESYSTEM_BLOCK_NAME`, or `FILESYSTEM_URL`'s.

    Raises `ValueError` if there is no block of that name.
    """
    if (block := assigned_block()) is not None:
        return block
    settings = get_settings()
    if settings.filesystem_block_name:
        return await asyncio.to_thread(load_block, settings.filesystem_block_name)
    url, options = get_host().base(settings) or (settings.filesystem_url, {})
    return FsspecFileSystem(basepath=url, storage_options=options)
