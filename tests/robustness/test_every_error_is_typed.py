"""Whatever class of exception a library raises in whatever phase: its user gets one of ours, which says where that was
and what to do, and has lost nothing."""

from __future__ import annotations

import asyncio
import errno
import json
import lzma
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import botocore.exceptions
import duckdb
import filelock
import gcsfs.retry
import google.auth.exceptions
import pyarrow as pa
import pytest

from mad_prefect_core import DataArtifact, DataAsset, Retention, asset
from mad_prefect_core.cli.main import run
from mad_prefect_core.errors import (
    CorruptFileError,
    DataError,
    MadPrefectError,
    OutOfMemoryError,
    QueryError,
    ResultGoneError,
    StorageError,
    UnsupportedValueError,
)
from mad_prefect_json.format import JsonFormat
from mad_prefect_local.storage import LocalStore
from mad_prefect_parquet.format import ParquetFormat

Injected = Callable[[], Exception]
Stored = Callable[[], dict[str, bytes]]

_NUMBERS = ["ENOSPC", "EDQUOT", "EFBIG", "EACCES", "EPERM", "EROFS", "EMFILE", "ENFILE", "EIO", "ESTALE", "ETIMEDOUT"]


def _of_the_system() -> Iterator[Exception]:
    for name in _NUMBERS:
        number = getattr(errno, name)
        yield OSError(number, os.strerror(number), "/data/x")
    yield OSError("no more")
    yield TimeoutError()
    yield TimeoutError("took too long")
    yield ConnectionResetError("gone")
    yield filelock.Timeout("/data/.x.lock")


def _of_duckdb() -> Iterator[Exception]:
    for kind in vars(duckdb).values():
        if isinstance(kind, type) and issubclass(kind, duckdb.Error):
            yield kind("something is wrong")


def _of_pyarrow() -> Iterator[Exception]:
    for kind in vars(pa.lib).values():
        if isinstance(kind, type) and issubclass(kind, pa.ArrowException):
            yield kind("something is wrong")


def _of_libraries() -> Iterator[Exception]:
    yield botocore.exceptions.ClientError({"Error": {"Code": "SlowDown", "Message": "Later."}}, "PutObject")
    yield botocore.exceptions.EndpointConnectionError(endpoint_url="http://store")
    yield botocore.exceptions.NoCredentialsError()
    yield botocore.exceptions.ReadTimeoutError(endpoint_url="http://store")
    yield gcsfs.retry.HttpError({"code": 503, "message": "later"})
    yield google.auth.exceptions.RefreshError("no token")
    yield aiohttp.ClientError("closed")
    yield aiohttp.ServerDisconnectedError()
    yield aiohttp.ClientPayloadError("cut short")


def _of_decoders() -> Iterator[Exception]:
    yield zlib.error("incorrect header check")
    yield lzma.LZMAError("corrupt")
    yield EOFError("ended")
    yield struct.error("too short")
    yield UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    yield UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
    yield json.JSONDecodeError("no value", "", 0)
    yield RecursionError("too deep")
    yield MemoryError()
    for kind in (ValueError, TypeError, KeyError, IndexError, RuntimeError, AttributeError, NotImplementedError):
        yield kind("something is wrong")


def _some() -> list[Exception]:
    """One or two of each family."""
    return [error for family in _FAMILIES for error in [*family()][::7]]


def _injected() -> list[Exception]:
    return [error for family in _FAMILIES for error in family()]


def _share(part: int, parts: int) -> list[Exception]:
    """A part of all, with some of each family: together, `parts` of them are all. In the long form each is all."""
    return _injected() if os.environ.get("MAD_PREFECT_FAULTS") == "long" else _injected()[part % parts :: parts]


_FAMILIES = (_of_the_system, _of_duckdb, _of_pyarrow, _of_libraries, _of_decoders)


class _Fault:
    """Raises in calls of one method of a plugin whose path has a text in it."""

    def __init__(self, kind: type, method: str, where: str, *, once: bool = False) -> None:
        self.kind, self.method, self.where, self.once = kind, method, where, once

    def __call__(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        real = getattr(self.kind, self.method)

        def failing(plugin: Any, *args: Any, **kwargs: Any) -> Any:
            if self.where in " ".join(map(str, args)):
                if self.once:
                    monkeypatch.setattr(self.kind, self.method, real)
                raise error
            return real(plugin, *args, **kwargs)

        monkeypatch.setattr(self.kind, self.method, failing)


async def _call(x: DataAsset[..., Any]) -> None:
    await x()


async def _query(x: DataAsset[..., Any]) -> None:
    await x.cache_first().query("WHERE n > 0")


async def _cached(x: DataAsset[..., Any]) -> None:
    await x.cache_first()()


async def _explain(x: DataAsset[..., Any]) -> None:
    await x.cache_first().explain()


async def _history(x: DataAsset[..., Any]) -> None:
    await x.history()


async def _rollback(x: DataAsset[..., Any]) -> None:
    runs = [version for version in await x.history() if version.kept and not version.current]
    await x.rollback(runs[0])


async def _pin(x: DataAsset[..., Any]) -> None:
    await x.pin("good")


async def _prune(x: DataAsset[..., Any]) -> None:
    await x.prune(Retention(keep_last=1))


_PHASES = {
    "cache": (_cached, _Fault(LocalStore, "read", "manifest.json"), "cache"),
    "explain": (_explain, _Fault(LocalStore, "read", "manifest.json"), "explain"),
    "lease": (_call, _Fault(LocalStore, "replace", "_leases"), "lease"),
    "begin": (_call, _Fault(LocalStore, "publish", "metadata.json"), "begin"),
    "collect, storage": (_call, _Fault(LocalStore, "publish", "fragment="), "collect"),
    "collect, format": (_call, _Fault(JsonFormat, "writer", ""), "collect"),
    "union, storage": (_call, _Fault(LocalStore, "publish", ".run"), "union"),
    "union, format": (_call, _Fault(ParquetFormat, "write", ""), "union"),
    "union, reading": (_call, _Fault(JsonFormat, "read_many", ""), "union"),
    "publish": (_call, _Fault(LocalStore, "replace", "manifest.json", once=True), "publish"),
    "query": (_query, _Fault(LocalStore, "duckdb_files", "x.parquet"), "query"),
    "history": (_history, _Fault(LocalStore, "read", "metadata.json"), "history"),
    "rollback": (_rollback, _Fault(LocalStore, "link", ".run"), "rollback"),
    "pin": (_pin, _Fault(LocalStore, "replace", "_leases"), "pin"),
    "prune": (_prune, _Fault(LocalStore, "read", "metadata.json"), "prune"),
}


def _causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found


@pytest.mark.parametrize("name", _PHASES)
async def test_every_class_of_exception_is_typed_in_every_phase_and_costs_nothing(
    name: str, base: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, fault, phase = _PHASES[name]

    @asset("x.parquet", name="lake.x", snapshot_artifacts=True, artifact_filetype="json")
    def x() -> Any:
        return [{"n": 1}]

    await x()
    await x()
    before = stored()
    for error in _share([*_PHASES].index(name), 5):
        with monkeypatch.context() as patched:
            fault(patched, error)
            with pytest.raises(MadPrefectError) as caught:
                await act(x)
        told = caught.value
        assert (told.asset, told.phase) == ("lake.x", phase), repr(error)
        assert told.path == "x.parquet" or (isinstance(told, CorruptFileError) and told.path), repr(error)
        assert told.message
        assert told.hint, repr(error)
        assert error in _causes(told)[1:], repr(error)
        if isinstance(error, OSError) and not isinstance(told, CorruptFileError):
            assert isinstance(told, StorageError)
            assert told.errno == error.errno
        back = pickle.loads(pickle.dumps(told))
        assert (type(back), str(back)) == (type(told), str(told))
        assert stored() == before, repr(error)
    await x()
    assert (await x.cache_first().query()).fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("method", "where", "phase"),
    [("publish", "fragment=", "collect"), ("publish", ".run", "union"), ("replace", "manifest.json", "publish")],
)
async def test_the_record_of_a_failed_run_has_the_phase_and_the_typed_error(
    method: str, where: str, phase: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.parquet", name="lake.x", artifact_filetype="json")
    def x() -> Any:
        return [{"n": 1}]

    with monkeypatch.context() as patched:
        _Fault(LocalStore, method, where, once=True)(patched, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(StorageError, match="No space left"):
            await x()
    failed = (await x.history())[0].run
    assert failed.phase == phase
    assert str(failed.error).startswith("StorageError: ")
    assert "No space left" in str(failed.error)


async def test_a_failed_end_does_not_cost_the_result_that_is_published(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 0

    @asset("x.parquet", name="lake.x")
    def x() -> Any:
        return [{"n": n}]

    await x()
    for error in _some():
        n += 1
        with monkeypatch.context() as patched:
            _Fault(LocalStore, "stat", "x.parquet")(patched, error)  # asked for when it is wound up
            await x()
        assert duckdb.sql(f"FROM '{base}/x.parquet'").fetchall() == [(n,)]


async def test_an_error_while_a_failure_is_recorded_does_not_hide_the_failure(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.parquet", name="lake.x")
    def x() -> Any:
        _Fault(LocalStore, "publish", "metadata.json")(monkeypatch, KeyError("in the storage"))
        yield [{"n": 1}]
        raise RuntimeError("no data today")

    with pytest.raises(RuntimeError, match="no data today"):
        await x()


@pytest.mark.parametrize("method", ["read", "duckdb_files", "stage", "publish"])
async def test_artifacts_alone_tell_their_path_and_phase(
    method: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = DataArtifact("a.json", [{"n": 1}])
    await artifact.persist()
    writes = method in ("stage", "publish")
    if method == "read":
        monkeypatch.setattr(type(artifact.stored.location.mount.fs), "isfile", _raiser(KeyError("x")))
    else:
        _Fault(LocalStore, method, "a.json")(monkeypatch, KeyError("x"))
    with pytest.raises(StorageError) as caught:
        await (DataArtifact("a.json", [{"n": 2}]).persist() if writes else DataArtifact("a.json").query())
    assert (caught.value.path, caught.value.phase) == ("a.json", "write" if writes else "query")
    assert caught.value.plugin == "local"


def _raiser(error: Exception) -> Callable[..., Any]:
    def raising(*args: Any, **kwargs: Any) -> Any:
        raise error

    return raising


@pytest.mark.parametrize("command", [["assets"], ["history", "x"], ["rollback", "x", "0000"]])
def test_the_command_line_tells_any_error_in_one_line(
    command: list[str], base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @asset("x.parquet", name="lake.x", snapshot_artifacts=True)
    def x() -> Any:
        return [{"n": 1}]

    x.call_sync()
    for error in _share(len(command), 3):
        with monkeypatch.context() as patched:
            _Fault(LocalStore, "read", str(base))(patched, error)
            assert run(command) == 1
        out, told = capsys.readouterr()
        assert out == ""
        assert told.count("\n") == 1, told
        assert "Traceback" not in told


_READ: list[Callable[[Any], Any]] = [
    lambda rows: rows.fetchall(),
    lambda rows: rows.filter("n >= 0").fetchall(),
    lambda rows: list(rows.to_arrow_reader(100)),
    lambda rows: rows.to_arrow_reader(100).read_all(),
]


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet", "avro"])
def test_what_a_relation_finds_only_when_it_is_read_is_typed_by_whatever_method(suffix: str, base: Path) -> None:
    @asset(f"x.{suffix}", name="lake.x")
    def x() -> Any:
        return [{"n": n, "text": f"t{n}"} for n in range(20_000)]

    for read in _READ:
        x.call_sync()
        gone, damaged = (x.cache_first().query_sync("WHERE n >= 0") for _ in range(2))
        for file in base.rglob(f"x.{suffix}*"):
            size = file.stat().st_size
            with file.open("r+b") as opened:
                opened.seek(size // 2)
                opened.write(b"\xff" * (size // 4))
        with pytest.raises(MadPrefectError) as caught:
            read(damaged)
        assert isinstance(caught.value, QueryError | CorruptFileError)
        for file in base.rglob(f"x.{suffix}*"):
            file.unlink()
        with pytest.raises(ResultGoneError):
            read(gone)


# -- what is the user's own ------------------------------------------------------------------------------------------


class _Frozen(Exception):
    """It takes no notes."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "__notes__":
            raise AttributeError("frozen")
        super().__setattr__(name, value)


async def _returns(error: Exception) -> Any:
    raise error


def _raises(error: Exception) -> Any:
    raise error


def _yields(error: Exception) -> Any:
    yield [{"n": 1}]
    raise error


async def _yields_async(error: Exception) -> Any:
    yield [{"n": 1}]
    raise error


def _stream(error: Exception) -> Any:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": [1]})
        raise error

    return pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())


def _nested(error: Exception) -> Any:
    yield [{"n": 1}]
    yield _yields(error)


def _later(error: Exception) -> Any:
    yield [{"n": 1}]
    yield _returns(error)


def _failing(function: Callable[[Exception], Any], error: Exception, rows: int | None) -> DataAsset[..., Any]:
    @asset("x.parquet", name="lake.x", fragment_rows=rows)
    def x() -> Any:
        return function(error)

    return x


_FUNCTIONS = [_returns, _yields, _yields_async, _nested, _later, _stream]


@pytest.mark.parametrize("function", _FUNCTIONS)
@pytest.mark.parametrize("fragment_rows", [None, 2])
async def test_what_a_users_function_raises_stays_the_very_object_whatever_its_class(
    function: Callable[[Exception], Any], fragment_rows: int | None, base: Path
) -> None:
    for error in [*_some(), _Frozen("x")]:
        x = _failing(function, error, fragment_rows)
        with pytest.raises(type(error)) as caught:
            await x()
        assert caught.value is error
        if not isinstance(error, _Frozen):
            assert "lake.x" in "".join(error.__notes__)


async def test_a_plain_function_that_raises_at_once_is_not_wrapped(base: Path) -> None:
    @asset("x.parquet")
    def x() -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        await x()
    assert type(caught.value) is OSError


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("function", [*_FUNCTIONS, _raises])
async def test_a_next_without_a_next_one_is_told_as_the_functions_own_fault(
    function: Callable[[Exception], Any], kind: type[Exception], base: Path
) -> None:
    with pytest.raises(RuntimeError, match=f"raised {kind.__name__}"):  # what Python itself makes of it in a generator
        await _failing(function, kind(), None)()


async def test_an_error_of_ours_that_a_function_passes_on_stays_that_of_the_asset_it_called(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("inner.parquet", name="inner")
    def inner() -> Any:
        return [{"n": 1}]

    @asset("outer.parquet", name="outer")
    async def outer() -> Any:
        return await inner()

    _Fault(LocalStore, "publish", "inner.parquet.run")(monkeypatch, KeyError("x"))
    with pytest.raises(StorageError) as caught:
        await outer()
    assert (caught.value.asset, caught.value.path, caught.value.phase) == ("inner", "inner.parquet", "union")


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
async def test_interruptions_are_never_translated(
    kind: type[BaseException], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.parquet")
    async def x() -> Any:
        raise kind

    if kind is asyncio.CancelledError:
        with pytest.raises(kind):
            await x()
        return
    from mad_prefect_core.translation import translated

    with pytest.raises(kind), translated(phase="x"):
        raise kind


# -- what becomes of what --------------------------------------------------------------------------------------------


def _of(error: Exception, phase: str) -> MadPrefectError:
    from mad_prefect_core.translation import typed

    return typed(error, phase=phase)


_ASYNC_WRITE = (
    'IO Error: Async write failed for range [offset=2, size=9]: {"exception_type":"IO","exception_message":'
    '"Could not write file \\"/lake/x.parquet\\": No space left on device","errno":"28"}'
)
_IN_PYTHON = "Traceback (most recent call last):\n  File x\nOSError: [Errno 5] Input/output error"
_SPILL = (
    "Out of Memory Error: failed to offload data block of size 96.0 KiB (1.7 MiB/1.7 MiB used).\n"
    "This limit was set by the 'max_temp_directory_size' setting.\n\nPossible solutions:\n* SET threads"
)


@pytest.mark.parametrize(
    ("error", "phase", "kind", "text"),
    [
        (duckdb.IOException(_ASYNC_WRITE), "union", StorageError, "disk of the base is full"),
        (duckdb.IOException('IO Error: Cannot open "/x": Permission denied'), "query", StorageError, "this user"),
        (
            duckdb.IOException('IO Error: Cannot open file "/x": Too many open files'),
            "query",
            StorageError,
            "ulimit -n",
        ),
        (duckdb.OutOfMemoryException(_SPILL), "union", StorageError, "temporary files is full"),
        (duckdb.OutOfMemoryException("Out of Memory Error: x"), "query", OutOfMemoryError, "DUCKDB_MEMORY_LIMIT"),
        (MemoryError(), "collect", OutOfMemoryError, "DUCKDB_MEMORY_LIMIT"),
        (duckdb.BinderException("Binder Error: no column x"), "query", QueryError, "no column x"),
        (duckdb.InvalidInputException("Invalid Input Error: Malformed JSON"), "union", DataError, "Malformed JSON"),
        (
            duckdb.ConversionException("Conversion Error: no INT32 when casting from source column size"),
            "union",
            UnsupportedValueError,
            "column 'size'",
        ),
        (
            duckdb.Error("Traceback (most recent call last):\n  File x\nOSError: [Errno 5] EIO"),
            "query",
            StorageError,
            "log",
        ),
        (zlib.error("bad"), "query", CorruptFileError, "can't be read"),
        (zlib.error("bad"), "collect", DataError, "can't be written"),
        (filelock.Timeout("/data/.x.lock"), "lease", StorageError, "stopped"),
        (OSError(errno.EFBIG, "File too large"), "collect", StorageError, "ulimit -f"),
        (OSError(errno.ESTALE, "Stale file handle"), "collect", StorageError, "mount it again"),
        (OSError(errno.EROFS, "Read-only file system"), "collect", StorageError, "read-only"),
    ],
)
def test_each_family_becomes_the_error_that_says_what_to_do(
    error: Exception, phase: str, kind: type[MadPrefectError], text: str
) -> None:
    told = _of(error, phase)
    assert isinstance(told, kind)
    assert text in str(told)
    assert "Traceback" not in str(told)


def test_an_error_of_the_system_keeps_its_numbers_also_between_processes() -> None:
    told = _of(OSError(errno.EIO, "Input/output error", "/data/x"), "collect")
    for one in (told, pickle.loads(pickle.dumps(told))):
        assert isinstance(one, StorageError)
        assert (one.errno, one.strerror, one.filename) == (errno.EIO, "Input/output error", "/data/x")
