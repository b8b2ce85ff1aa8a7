"""Exceptions of others as errors of ours: what the system, DuckDB, pyarrow and the libraries of plugins raise.

Inner code meets the raw exception, and may catch it by its class. `translated`, at the outside of every public call,
makes one of `mad_prefect_core.errors` of it, with the asset, the path, the phase and what to do, and the raw one as its
cause. What a user's own function raises was marked by `user_code` where it was called, and passes as it is.
"""

from __future__ import annotations

import copy
import errno
import os
import re
import shutil
import struct
import sys
import tempfile
import traceback
import zlib
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from mad_prefect_core.errors import (
    CorruptFileError,
    DataError,
    MadPrefectError,
    OutcomeUnknownError,
    OutOfMemoryError,
    QueryError,
    RefusedError,
    StorageConflictError,
    StorageError,
    UnsupportedDataError,
    UnsupportedValueError,
    located,
    places_of,
)
from mad_prefect_core.redaction import without_traceback

__all__ = [
    "BatchesCall",
    "ReadCall",
    "StorageCall",
    "WriteCall",
    "machine_fault",
    "raised_in_scan",
    "read_error",
    "translated",
    "typed",
    "user_code",
]

_USERS = "_mad_prefect_users"
_WRITING = ("collect", "union", "write")
_ROOM = 1 << 20  # bytes; a disk with less is full

_CALL_AGAIN = "Call it again once the storage can be reached."
_REPORT = "This is a fault of mad-prefect or of a plugin: report it with its traceback."

_HINTS = {
    errno.EFBIG: "Raise the limit on the size of files (`ulimit -f`), or use a file system that takes larger ones.",
    errno.EACCES: "Let this user read and write there, or name another base in FILESYSTEM_URL.",
    errno.EROFS: "It is mounted read-only: mount it for writing, or name another base in FILESYSTEM_URL.",
    errno.EMFILE: "Raise the limit on open files (`ulimit -n`), or run fewer assets at once in one process.",
    errno.EIO: "The disk reports a fault: look at the system's log, and call again when the disk is sound.",
    errno.ESTALE: "The network share has changed under its files: mount it again, and call again.",
    errno.ENOENT: "It was there a moment ago, and was deleted or moved: call again.",
    errno.ENOMEM: "Free memory, or run fewer assets at once.",
}
_HINTS |= {
    errno.EDQUOT: "Free space within this user's quota, or have it raised.",
    errno.EPERM: _HINTS[errno.EACCES],
    errno.ENFILE: _HINTS[errno.EMFILE],
    errno.ETIMEDOUT: _CALL_AGAIN,
    errno.ECONNREFUSED: _CALL_AGAIN,
    errno.ECONNRESET: _CALL_AGAIN,
    errno.EPIPE: _CALL_AGAIN,
}
_MEANINGS: dict[str, tuple[type[StorageError], str, str]] = {
    "ambiguous": (OutcomeUnknownError, "The storage did not say whether it did what it was asked", _CALL_AGAIN),
    "conflict": (StorageConflictError, "Another writer was faster", "Read it again, and decide anew."),
    "refused": (RefusedError, "The storage refuses it", "Check who asks, and what they may do."),
    "transient": (StorageError, "The storage failed for now", _CALL_AGAIN),
}
_MISTAKES = (AttributeError, ImportError, NameError, TypeError)
"""What a mistake in code raises; the first and the last may be due to the data as well."""
_AUTHOR = "Report it to the plugin's author"
_in_scans: deque[MadPrefectError] = deque(maxlen=64)
"""What was raised last by readers in Python that DuckDB called, of which its own errors have the text alone."""
_STANDARD = sys.stdlib_module_names
_MACHINE = {errno.ENOSPC, *_HINTS} - {errno.ENOENT}
"""The faults of a machine, as opposed to those of what is asked of it."""


class user_code:
    """Mark what is raised in this block as the user's own: it stays as it is on its way out."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, MadPrefectError):
            return
        if isinstance(error, StopIteration | StopAsyncIteration):  # which no coroutine can let through
            ended = RuntimeError(f"The asset's function raised {type(error).__name__}")
            ended.__dict__[_USERS] = True
            raise ended from error
        error.__dict__[_USERS] = True  # past any `__setattr__` of the class


class translated(located):
    """As `located`, at the outside of a public call: what is nobody's of ours and not the user's becomes ours."""

    __slots__ = ()

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        super().__exit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, MadPrefectError) and _USERS not in error.__dict__:
            raise typed(error, **places_of(error, forget=True)) from error


def typed(error: Exception, **places: Any) -> MadPrefectError:
    """The error of ours that an exception stands for. One of ours stays as it is."""
    if isinstance(error, MadPrefectError):
        return error
    made = _typed(error, places.get("phase"))
    for name, value in places.items():
        if getattr(made, name) is None:
            setattr(made, name, value)
    return made


class _PluginCall:
    """A call of a plugin. What the libraries that it uses raise is made an error of ours that names it; an `OSError`
    stays as it is for those who catch it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and self._is_librarys(error):
            raise self._made(_named(error)) from error

    def _is_librarys(self, error: Exception) -> bool:
        known = isinstance(error, MadPrefectError | OSError | MemoryError) or _USERS in error.__dict__
        return not known and not _duckdb_classes(error)

    def _made(self, problem: str) -> MadPrefectError:
        raise NotImplementedError  # each kind of call says what it makes


class StorageCall(_PluginCall):
    """A call of a storage's plugin, by name: what its library raises is a `StorageError`, or what the class of it is
    declared to mean: a member of `Fault` by its value."""

    __slots__ = ("_meanings",)

    def __init__(self, name: str, meanings: Mapping[type[Exception], str] | None = None) -> None:
        super().__init__(name)
        self._meanings = meanings or {}

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        meaning = next((self._meanings[each] for each in type(error).__mro__ if each in self._meanings), None)
        if isinstance(error, Exception) and meaning is not None and not isinstance(error, MadPrefectError):
            raise self._meant(meaning, _named(error)) from error
        super().__exit__(kind, error, trace)

    def _is_librarys(self, error: Exception) -> bool:
        return not isinstance(error, MadPrefectError | OSError | MemoryError)

    def _made(self, problem: str) -> MadPrefectError:
        return StorageError(f"The storage failed: {problem}", plugin=self._name, hint=_CALL_AGAIN)

    def _meant(self, meaning: str, problem: str) -> OSError:
        if meaning == "missing":
            return FileNotFoundError(errno.ENOENT, problem)
        kind, text, hint = _MEANINGS[meaning]
        return kind(f"{text}: {problem}", plugin=self._name, hint=hint)


class _FormatCall(_PluginCall):
    """A call of a format."""

    __slots__ = ("_format",)

    def __init__(self, format: Any) -> None:
        super().__init__(format.name)
        self._format = format

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and self._is_librarys(error):
            raise self._error(error) from error

    def _error(self, error: Exception) -> MadPrefectError:
        raise NotImplementedError  # each kind of call says what it makes


class ReadCall(_FormatCall):
    """A call of a format that reads: what its library raises is a `CorruptFileError`."""

    __slots__ = ()

    def _error(self, error: Exception) -> MadPrefectError:
        return read_error(self._format, error)


class WriteCall(_FormatCall):
    """A call of a format that writes: what its library raises is an `UnsupportedValueError`."""

    __slots__ = ()

    def _error(self, error: Exception) -> MadPrefectError:
        if fault := _mistake(self._format, error, "a value that it can't write"):
            problem, hint = fault, f"{_AUTHOR}, or convert the values before yielding."
        else:
            problem = f"The data can't be written as {self._name}: {_named(error)}"
            hint = "Convert the values before yielding, or choose another format."
        return UnsupportedValueError(problem, plugin=self._name, hint=hint)


def read_error(format: Any, error: Exception) -> CorruptFileError:
    """What it means that a format raised this for a file that it reads."""
    anew = "ake the file anew: an asset's own by calling the asset."
    if fault := _mistake(format, error, "a damaged file"):
        return CorruptFileError(fault, plugin=format.name, hint=f"{_AUTHOR}, or m{anew}")
    return CorruptFileError(
        f"A file can't be read as {format.name}: {_named(error)}", plugin=format.name, hint=f"M{anew}"
    )


def _mistake(plugin: Any, error: Exception, otherwise: str) -> str | None:
    """What is to be said of an error that is typical of a mistake in code, and that the plugin's own code raised."""
    if not isinstance(error, _MISTAKES) or type(error).__module__ != "builtins":
        return None
    own = {_package(kind.__module__) for kind in type(plugin).__mro__} - {"mad_prefect_core", *_STANDARD}
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    if _package(frame.f_globals.get("__name__", "")) not in own:
        return None
    place = f"{os.path.basename(frame.f_code.co_filename)}:{line}"
    doubt = "" if isinstance(error, ImportError | NameError) else f", or {otherwise}"
    return f"A fault in the plugin {plugin.name!r} ({place}){doubt}: {_named(error)}"


def _package(module: str) -> str:
    return module.partition(".")[0]


class raised_in_scan:
    """Remember what of ours is raised in this block, which DuckDB calls: it is what DuckDB's error then means."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, MadPrefectError):
            _in_scans.append(copy.copy(error))  # without the traceback, whose frames have data


def _of_scan(error: Exception) -> MadPrefectError | None:
    text = str(error)
    return next((copy.copy(known) for known in list(_in_scans) if str(known) in text), None)


class BatchesCall(_PluginCall):
    """Making batches of a kind of object by a plugin, by the kind's name."""

    __slots__ = ()

    def _made(self, problem: str) -> MadPrefectError:
        return UnsupportedDataError(
            f"The plugin for it can't make rows of a {self._name}: {problem}", hint="Yield the rows themselves."
        )


def machine_fault(error: Exception) -> MadPrefectError | None:
    """What a DuckDB error means that is neither about the query nor about the data, but memory, disk or rights, or that
    is an error of ours which a reader in Python raised."""
    classes = _duckdb_classes(error)
    if classes and (raised := _of_scan(error)):
        return raised
    text = _duckdb_text(error)
    if "OutOfMemoryException" in classes:
        if "max_temp_directory_size" in text:
            return _storage_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), text, temporary=True)
        return _out_of_memory(text)
    if "IOException" in classes or classes[:1] == ["Error"] or "reading the stream" in text:
        number = _number_in(str(error))
        if number in _MACHINE:
            file = re.search(r'"([^"]+)"', text)
            return _storage_error(OSError(number, os.strerror(number), file and file[1]), text)
    return None


# -- by family -------------------------------------------------------------------------------------------------------


def _typed(error: Exception, phase: str | None) -> MadPrefectError:
    if classes := _duckdb_classes(error):
        return machine_fault(error) or _of_duckdb(error, classes, phase)
    if isinstance(error, MemoryError):
        return _out_of_memory(str(error) or "Python could not allocate memory")
    if _is_about_bytes(error) or type(error).__module__.partition(".")[0] == "pyarrow":
        return _about_data(_named(error), phase)
    if isinstance(error, OSError):
        return _storage_error(error)
    if _is_of_a_library(error):
        return StorageError(f"A library that the storage uses failed: {_named(error)}", hint=_CALL_AGAIN)
    return MadPrefectError(f"An unexpected {_named(error)}", hint=_REPORT)


def _of_duckdb(error: Exception, classes: list[str], phase: str | None) -> MadPrefectError:
    text = _duckdb_text(error)
    if "DataError" in classes:
        column = re.search(r"from source column ([^\n.]+)", text)
        return UnsupportedValueError(
            f"A value can't be brought to its column's type: {text}",
            column=column[1].strip() if column else None,
            hint="Convert the values before yielding, or name the column's type in the read options.",
        )
    if phase == "query":
        return QueryError(f"The query failed: {text}", hint="Correct the query, or what it reads.")
    if "IOException" in classes or classes == ["Error"]:  # a bare one is what Python code raised in DuckDB
        return StorageError(f"DuckDB could not read or write: {text}", hint=_CALL_AGAIN)
    if "ProgrammingError" in classes:
        return _about_data(text, phase)
    return MadPrefectError(f"DuckDB failed: {text}", hint=_REPORT)


def _out_of_memory(text: str) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"There was not enough memory: {text}",
        hint="Raise MAD_PREFECT_DUCKDB_MEMORY_LIMIT if the machine has more, yield smaller batches, or run fewer "
        "assets at once.",
    )


def _about_data(text: str, phase: str | None) -> DataError:
    if phase in _WRITING:
        return DataError(f"The data can't be written: {text}", hint="Convert the values before yielding.")
    return CorruptFileError(
        f"What is stored can't be read: {text}", hint="Call the asset: its next run makes its files anew."
    )


def _storage_error(error: OSError, text: str = "", *, temporary: bool = False) -> StorageError:
    """`text` is what is to be said of it, if not its own."""
    text = text or _os_text(error)
    if (lock := getattr(error, "lock_file", None)) is not None:  # as filelock's Timeout has it
        what = f"Another process{_holder_of(lock)} has held the lock {lock} for too long"
        hint = "It may be stopped: continue it or end it, and call again."
    elif error.errno == errno.ENOSPC:
        what, hint = _full(error, text, temporary)
    elif isinstance(error, TimeoutError | ConnectionError) and error.errno not in _HINTS:
        what, hint = f"The storage did not answer: {text}", _CALL_AGAIN
    else:
        what = f"The storage failed: {text}"
        hint = _HINTS.get(error.errno or 0, "See its cause, and call again when that is put right.")
    return StorageError.of(error, what, hint=hint)


def _holder_of(lock: str) -> str:
    """The process that has a lock file locked, in words, where the system tells."""
    try:
        inode = str(os.stat(lock).st_ino)
        with open("/proc/locks", encoding="ascii") as locks:
            held = [line.split() for line in locks if "->" not in line]
    except (OSError, ValueError):
        return ""
    return next((f" ({fields[4]})" for fields in held if fields[5].rpartition(":")[2] == inode), "")


def _full(error: OSError, text: str, temporary: bool) -> tuple[str, str]:
    folder = tempfile.gettempdir()
    below = os.path.relpath(error.filename, folder) if isinstance(error.filename, str) else ""
    if temporary or below.startswith(("mad_prefect", "mad-prefect")) or (not below and _has_no_room(folder)):
        return (
            f"The disk for temporary files is full: {text}",
            f"Free space in {folder}, or have TMPDIR name a folder on a larger disk.",
        )
    return (
        f"The disk of the base is full: {text}",
        "Free space there, for example by pruning the history, or name another base in FILESYSTEM_URL.",
    )


def _has_no_room(folder: str) -> bool:
    try:
        return shutil.disk_usage(folder).free < _ROOM
    except OSError:
        return False


def _os_text(error: OSError) -> str:
    if error.strerror is None:
        return _named(error) if type(error) is not OSError else str(error)
    return f"{error.strerror}: {error.filename!r}" if error.filename else error.strerror


# -- by shape --------------------------------------------------------------------------------------------------------


def _duckdb_classes(error: BaseException | None) -> list[str]:
    """The names of its DuckDB classes, its own first; none for what is no DuckDB error. DuckDB is not imported."""
    return [kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in ("duckdb", "_duckdb")]


def _duckdb_text(error: Exception) -> str:
    """What went wrong, of all that DuckDB says: without its advice, and without the traceback of Python code that it
    called."""
    text = str(error).strip()
    if inner := re.search(r'"exception_message":"((?:[^"\\]|\\.)*)"', text):
        return re.sub(r"\\(.)", r"\1", inner[1])
    return without_traceback(text).partition("\n\n")[0]


def _number_in(text: str) -> int | None:
    """The system's number of an error, in a text of DuckDB's: as such, or by its words."""
    if found := re.search(r'"errno":"(\d+)"|\[Errno (\d+)\]', text):
        return int(found[1] or found[2])
    return next((number for number in _MACHINE if os.strerror(number) in text), None)


def _is_about_bytes(error: Exception) -> bool:
    """Whether it is what decoders raise for bytes that are not what they should be."""
    decoders = (EOFError, RecursionError, UnicodeError, struct.error, zlib.error)
    return isinstance(error, decoders) or type(error).__name__ in ("BadGzipFile", "JSONDecodeError", "LZMAError")


def _is_of_a_library(error: Exception) -> bool:
    """Whether its class is neither Python's, nor ours, nor of what our own records are checked with."""
    module = type(error).__module__.partition(".")[0]
    return module not in _STANDARD and not module.startswith(("mad_prefect", "pydantic"))


def _named(error: BaseException | None) -> str:
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"{name}: {error}" if str(error) else name
