"""What a storage declares its client library's exceptions to mean is what the core makes of them, in every call."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mad_prefect_core.errors import OutcomeUnknownError, RefusedError, StorageConflictError, StorageError
from mad_prefect_core.mounts import Location, Mount
from mad_prefect_core.sdk import DeclaredErrors, Fault
from mad_prefect_local import LocalStorage


class LibraryError(Exception):
    """Of a client library, and no `OSError`."""


class GoneError(LibraryError): ...


class TakenError(LibraryError): ...


class DeniedError(LibraryError): ...


class SilentError(LibraryError, OSError): ...


class Raising:
    """A store that raises what it is told to, in every call."""

    errors: ClassVar = {
        LibraryError: Fault.TRANSIENT,
        GoneError: Fault.MISSING,
        TakenError: Fault.CONFLICT,
        DeniedError: Fault.REFUSED,
        SilentError: Fault.AMBIGUOUS,
    }

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.fs = self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("link", "sync", "stage", "duckdb_files", "create_private"):
            raise AttributeError(name)
        return self._raise

    def _raise(self, *_: Any, **__: Any) -> Any:
        raise self._error


CALLS: dict[str, Callable[[Location], Any]] = {
    "publish": lambda at: at.publish(Path(tempfile.gettempdir()) / "nothing"),
    "replace": lambda at: at.replace(b"", None),
    "open": lambda at: at.open(),
    "exists": lambda at: at.exists(),
}


def at(error: Exception) -> Location:
    store: Any = Raising(error)
    assert isinstance(store, DeclaredErrors)
    return Location(Mount(LocalStorage(), store, ""), "x")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LibraryError("busy"), StorageError),
        (type("Sub", (LibraryError,), {})("busy"), StorageError),
        (GoneError("gone"), FileNotFoundError),
        (TakenError("taken"), StorageConflictError),
        (DeniedError("denied"), RefusedError),
        (SilentError("silent"), OutcomeUnknownError),
        (KeyError("of another library"), StorageError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_exception_is_raised_as_what_it_is_declared_to_mean(call: str, error: Exception, kind: type) -> None:
    with pytest.raises(kind) as raised:
        CALLS[call](at(error))

    assert type(raised.value) is kind
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("call", [Location.stat, Location.read], ids=["stat", "read"])
def test_what_is_declared_to_be_missing_is_not_there(call: Callable[[Location], Any]) -> None:
    assert call(at(GoneError("gone"))) is None
    with pytest.raises(RefusedError, match="refuses it"):
        call(at(DeniedError("denied")))
