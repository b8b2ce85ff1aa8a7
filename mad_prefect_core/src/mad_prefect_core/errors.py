"""Every error that mad-prefect raises by itself.

::

    MadPrefectError
    ├── ConfigurationError
    │   ├── OptionError              (ValueError)  an option has a value it can't have
    │   ├── OverrideError            (TypeError)   a subclass overrides what nothing calls
    │   ├── PathError                (ValueError)  a path that would leave its base, or can't be a file name
    │   └── TemplateError            (KeyError)    a template names a key that is not there
    ├── PluginError
    │   ├── PluginLoadError                        an entry point failed to import or to answer
    │   ├── PluginApiError                         a plugin was built for another plugin API
    │   ├── PluginConflictError                    two plugins claim one name, suffix or protocol
    │   ├── UnknownFormatError       (ValueError)  no installed plugin brings this format or suffix
    │   └── UnknownStorageError      (ValueError)  no installed plugin brings this protocol
    ├── DataError
    │   ├── UnsupportedDataError     (TypeError)   a kind of value that can't be rows
    │   ├── UnsupportedValueError    (ValueError)  a value that a format can't hold exactly
    │   ├── SchemaError              (ValueError)  batches that can't be unified
    │   └── CorruptFileError         (ValueError)  a file that is not what its format says
    ├── QueryError                                 SQL that does not parse, bind or run
    ├── NoResultError            (LookupError) a query of an asset that has no rows, and no columns from before
    ├── ArgumentError                (TypeError)   an argument that can't be part of an asset's identity
    ├── AssetRunningError                          another run of the asset is under way, and it was asked to fail then
    ├── VersionError                 (LookupError) an earlier run that is not there, or whose data is not kept
    ├── OutOfMemoryError             (MemoryError) DuckDB's memory limit, or the machine's memory, was not enough
    ├── MadPrefectWarning            (UserWarning) what goes on all the same: raised where warnings are errors
    │   ├── OptionWarning                          an option that has no effect
    │   └── SharedPathWarning                      results that replace each other at one path
    └── StorageError                 (OSError)
        ├── StorageConflictError                   a conditional write lost against another writer
        │   └── LeaseLostError                     a run was held up for so long that another took its place
        ├── RefusedError      (PermissionError)    a storage says no to whoever asks
        ├── OutcomeUnknownError                    a publish that failed and could not be undone: nothing was deleted
        ├── ManifestError                          a record that can't be read, or that no run has written so
        ├── MissingFileError  (FileNotFoundError, ValueError)  data was to come from a file that is not there
        └── ResultGoneError                        a result that a newer run has replaced and swept

What DuckDB, pyarrow, the system and the libraries of plugins raise leaves every call as one of these, with the raw
exception as its cause (`mad_prefect_core.translation`). An exception that a user's own function raises is never
wrapped: it keeps its type and gets a note that says which asset, path and phase it came from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from mad_prefect_core.redaction import message_text, shorten_duckdb, shown_text

__all__ = [
    "ArgumentError",
    "AssetRunningError",
    "ConfigurationError",
    "CorruptFileError",
    "DataError",
    "LeaseLostError",
    "MadPrefectError",
    "MadPrefectWarning",
    "ManifestError",
    "MissingFileError",
    "NoResultError",
    "OptionError",
    "OptionWarning",
    "OutOfMemoryError",
    "OutcomeUnknownError",
    "OverrideError",
    "PathError",
    "PluginApiError",
    "PluginConflictError",
    "PluginError",
    "PluginLoadError",
    "QueryError",
    "RefusedError",
    "ResultGoneError",
    "SchemaError",
    "SharedPathWarning",
    "StorageConflictError",
    "StorageError",
    "TemplateError",
    "UnknownFormatError",
    "UnknownStorageError",
    "UnsupportedDataError",
    "UnsupportedValueError",
    "VersionError",
    "column_name",
    "located",
    "places_of",
]

_NOTE = "mad-prefect: "
_KNOWN = "_mad_prefect_places"
_PLACES = ("asset", "path", "phase", "batch", "column", "plugin")


class MadPrefectError(Exception):
    """Base of all errors here. `message` says what failed, `hint` what to do; the rest says where.

    Attributes are None where they do not apply: `asset` and `path` (as the user wrote or would read them),
    `phase` (a verb: "collect", "publish" …), `batch` (counted from 0), `column`, `plugin`.

    Its texts show no secret of a URL or of a storage's options, and no excerpt that DuckDB made of a query or a row.
    """

    def __init__(
        self,
        message: str,
        *,
        asset: str | None = None,
        path: str | None = None,
        phase: str | None = None,
        batch: int | None = None,
        column: str | None = None,
        plugin: str | None = None,
        hint: str | None = None,
    ) -> None:
        message = message_text(message)
        super().__init__(message)
        self.message = message
        self.asset = asset
        self.path = path
        self.phase = phase
        self.batch = batch
        self.column = column
        self.plugin = plugin
        self.hint = hint

    def __str__(self) -> str:
        return shown_text(self._text(self.message, self.hint))

    def _text(self, message: str, hint: str | None) -> str:
        text = message.rstrip()
        if places := _places({name: getattr(self, name) for name in _PLACES}):
            text = f"{text.removesuffix('.')} ({places})."
        return f"{text.removesuffix('.')}. {hint}" if hint else text

    def recorded(self, without_values: Callable[[str], str]) -> str:
        """Its text for a run record: the message as `without_values` leaves it, and where it was."""
        return self._text(without_values(self.message), self.hint)

    def __reduce__(self) -> tuple[Any, ...]:
        # Task runners send exceptions between processes; the default would drop everything but the message.
        return (_rebuild, (type(self), self.message, {n: getattr(self, n) for n in (*_PLACES, "hint")}))


def _rebuild(kind: type[MadPrefectError], message: str, places: dict[str, Any]) -> MadPrefectError:
    return kind(message, **places)


def _places(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in values.items() if value is not None)


class ConfigurationError(MadPrefectError):
    """Something that was configured can't be."""


class OptionError(ConfigurationError, ValueError):
    """An option has a value it can't have."""


class OverrideError(ConfigurationError, TypeError):
    """A subclass overrides a method or attribute that 2.x called and nothing calls any more."""


class PathError(ConfigurationError, ValueError):
    """A path that would leave its base path, or that can't be a file name."""


class TemplateError(ConfigurationError, KeyError):
    """A template names a key that the bound arguments do not have."""

    __str__ = MadPrefectError.__str__  # KeyError's own would print the repr of the message


class PluginError(MadPrefectError):
    """Something about a plugin."""


class PluginLoadError(PluginError):
    """An entry point failed to import, or one of its hooks failed to answer."""


class PluginApiError(PluginError):
    """A plugin was built for a plugin API that this core does not have."""


class PluginConflictError(PluginError):
    """Two installed plugins claim the same name, suffix or protocol."""


class UnknownFormatError(PluginError, ValueError):
    """No installed plugin brings this format or file suffix."""


class UnknownStorageError(PluginError, ValueError):
    """No installed plugin brings this URL protocol."""


class DataError(MadPrefectError):
    """Something about the data itself."""


class UnsupportedDataError(DataError, TypeError):
    """A kind of returned, yielded or nested value that can't be made rows of."""


class UnsupportedValueError(DataError, ValueError):
    """A value that the chosen format can't hold exactly."""


class SchemaError(DataError, ValueError):
    """Batches whose columns can't be unified without losing something."""


class CorruptFileError(DataError, ValueError):
    """A file whose bytes are not what its format says."""


class QueryError(MadPrefectError):
    """SQL that does not parse, bind or run. The hint may be the query."""

    def recorded(self, without_values: Callable[[str], str]) -> str:
        return self._text(without_values(self.message), None)


class NoResultError(MadPrefectError, LookupError):
    """A query of an asset whose run gave no rows and no columns: there is nothing to query."""


class ArgumentError(MadPrefectError, TypeError):
    """An argument that can't be part of an asset's identity."""


class AssetRunningError(MadPrefectError):
    """Another run of the asset is under way, and `on_running="fail"` says not to wait for it."""


class VersionError(MadPrefectError, LookupError):
    """An earlier run of an asset that is not there, or whose data is not kept, or can't be compared."""


class OutOfMemoryError(MadPrefectError, MemoryError):
    """DuckDB's memory limit, or the machine's memory, was not enough."""


class StorageError(MadPrefectError, OSError):
    """A storage refused, or could not do, what was asked.

    `errno`, `strerror` and `filename` are those of the system's error, where that was the reason.
    """

    __str__ = MadPrefectError.__str__  # OSError's own knows only errno and strerror

    @classmethod
    def of(cls, error: OSError, message: str, **places: Any) -> Self:
        """With what the system said in numbers."""
        made = cls(message, **places)
        made.errno, made.strerror, made.filename = error.errno, error.strerror, error.filename
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        system = {name: getattr(self, name) for name in ("errno", "strerror", "filename")}
        return (*super().__reduce__(), system)


class RefusedError(StorageError, PermissionError):
    """A storage says no to whoever asks."""

    __str__ = StorageError.__str__


class StorageConflictError(StorageError):
    """A conditional write lost against another writer. Nothing was written."""


class LeaseLostError(StorageConflictError):
    """A run was held up for so long, on a paused machine for example, that another run may have taken its place.
    Nothing of it was published."""


class OutcomeUnknownError(StorageError):
    """A publish failed and could not be undone: the run may be the current one. Nothing was deleted, and the next call
    of the asset puts it right."""


class ManifestError(StorageError):
    """A manifest, run record, lease or history that can't be read, or that leads where no run of its asset has been.
    Nothing of it was followed."""


class MissingFileError(StorageError, FileNotFoundError, ValueError):
    """Data was to come from a file that is not there."""


class ResultGoneError(StorageError):
    """The result of a run that newer runs have replaced, and whose files are swept."""


class MadPrefectWarning(MadPrefectError, UserWarning):
    """What goes on all the same, and may not be what was meant. `warnings.filterwarnings` switches each kind off."""


class OptionWarning(MadPrefectWarning):
    """An option that has no effect."""


class SharedPathWarning(MadPrefectWarning):
    """Results that replace each other at one path: of several assets, or of one with several arguments."""


def column_name(path: tuple[str, ...]) -> str:
    """A column, or a place in one, as messages name it: `address.lines[]`."""
    name = ""
    for part in path:
        name += part if part == "[]" or not name else f".{part}"
    return name or "the value itself"


class located:
    """Say where an error came from: fills what our errors leave open, and notes it on anybody else's."""

    __slots__ = ("_places",)

    def __init__(
        self,
        *,
        asset: str | None = None,
        path: str | None = None,
        phase: str | None = None,
        batch: int | None = None,
    ) -> None:
        self._places = (("asset", asset), ("path", path), ("phase", phase), ("batch", batch))

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, MadPrefectError):
            shorten_duckdb(error)
            for name, value in self._places:
                if value is not None and getattr(error, name) is None:
                    setattr(error, name, value)
        elif isinstance(error, Exception):
            known = error.__dict__.setdefault(_KNOWN, {})
            new = {name: value for name, value in self._places if value is not None and name not in known}
            known |= new
            if text := _places(new):
                with contextlib.suppress(Exception):  # a class that can't be changed, such as a frozen dataclass
                    error.add_note(f"{_NOTE}{text}")


def places_of(error: Exception, *, forget: bool = False) -> dict[str, Any]:
    """Where an exception of somebody else's came from, as far as `located` was told; to `forget` it allows the same
    object to be raised elsewhere."""
    known: dict[str, Any] = error.__dict__.get(_KNOWN, {})
    if forget:
        error.__dict__.pop(_KNOWN, None)
    return known
