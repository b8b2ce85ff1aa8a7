"""One asset with two results on some storage, and what must be true of it whatever failed."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.errors import OutcomeUnknownError, VersionError
from mad_prefect_core.runs.kept import read_kept, records_of
from mad_prefect_core.runs.manifest import AssetManifest, read_manifest
from mad_prefect_core.runs.record import DataAssetRun, RunStatus

CALLS = ("duckdb_files", "link", "publish", "read", "replace", "stage", "stat")
"""What the core asks of a storage."""

FOREIGN = b"somebody else's"
READERS = -1
"""What the function gives where a reader makes it run, though there is a result to read."""
_KEPT = re.compile(r"manifest\.json|history\.json|metadata\.json|_secret_key|[0-9a-f]{32}\.json|\..*\.lock")


@dataclass(frozen=True)
class Effort:
    """How much is tried."""

    long: bool

    def of(self, bounded: int, long: int) -> int:
        """So many, or so many."""
        return long if self.long else bounded


@dataclass
class Trials:
    """How often something was tried, and what went wrong."""

    count: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, what: str, violations: Iterable[str]) -> bool:
        """Count one trial. Whether nothing went wrong."""
        self.count += 1
        found = [f"{what}: {violation}" for violation in violations]
        self.violations += found
        return not found

    def hold(self) -> None:
        """To be called at the end."""
        assert self.count
        assert not self.violations, "\n".join(self.violations)


class Crashing:
    """Runs in processes of their own. Started once: to fork a process takes milliseconds, to import seconds."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("crashing.py")
        path = os.pathsep.join([str(script.parent), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            bufsize=0,
        )
        self._ended: dict[int, int] = {}

    def start(self, value: int, **job: Any) -> int:
        """Start a run; see `crashing.run` for what can befall it. Returns its process."""
        assert self._process.stdin
        job = {"value": value, "url": os.environ["FILESYSTEM_URL"], **job}
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        while "started" not in (answer := self._answer()):
            self._ended[answer["ended"]] = answer["status"]
        return answer["started"]

    def wait(self, process: int) -> int:
        """Its exit code, negative for a signal: 0 for a good run, 99 where there was no such operation."""
        while process not in self._ended:
            answer = self._answer()
            self._ended[answer["ended"]] = answer["status"]
        return self._ended.pop(process)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the process that forks has died"
        answer: dict[str, int] = json.loads(line)
        return answer


class Files(Protocol):
    """The files below the base, seen by another way than the product's."""

    def all(self) -> dict[str, bytes]: ...

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, data: bytes) -> None: ...


@dataclass(frozen=True)
class LocalFiles:
    """A folder."""

    base: Path

    def all(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.base)): p.read_bytes() for p in self.base.rglob("*") if p.is_file()}

    def get(self, key: str) -> bytes | None:
        try:
            return (self.base / key).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        path = self.base / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def make(value: Callable[[], int], **options: Any) -> DataAsset[..., Any]:
    """The asset: both rows of a result have the same value, so a mix shows."""

    @asset("sales/x.parquet|csv", name="x", **options)
    def x() -> Iterator[Any]:
        for page in range(2):
            yield [{"n": value(), "page": page}]

    return x


def value_of(path: str, data: bytes) -> int:
    """The value that a whole result has. Raises `ValueError` for one that is not whole."""
    if path.endswith(".csv"):
        found = re.fullmatch(r"n,page\n(-?\d+),0\n\1,1\n", data.decode())
        if not found:
            raise ValueError(f"{path} is not whole: {data[:80]!r}")
        return int(found[1])
    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    values = {row["n"] for row in rows}
    if [row["page"] for row in rows] != [0, 1] or len(values) != 1:
        raise ValueError(f"{path} is not whole: {rows}")
    return int(values.pop())


class Lake:
    """The asset on a storage, its files, and all that is to be known of what was published."""

    paths = ("sales/x.parquet", "sales/x.csv")

    def __init__(self, files: Files, **options: Any) -> None:
        self.files = files
        self.value = 0
        self.asset = make(lambda: self.value, **options)
        self.published: list[str] = []
        """Ids of the runs that became current, as far as they were seen."""
        self.foreign: dict[str, bytes] = {}
        """What somebody else has put there."""

    def run(self) -> None:
        """A run with the next value."""
        self.value += 1
        self.asset.call_sync()
        self.note()

    def note(self) -> None:
        """Note which run is current."""
        manifest = self.manifest()
        if manifest and manifest.last_run and manifest.last_run.id not in self.published:
            self.published.append(manifest.last_run.id)

    def plant(self) -> None:
        """Put files of somebody else into every folder that there is."""
        folders = {key.rpartition("/")[0] for key in self.files.all()}
        folders |= {folder.rpartition("/")[0] for folder in folders}
        for folder in sorted(folders):
            for name in ("notes.txt", "other.parquet"):
                key = f"{folder}/{name}".lstrip("/")
                self.files.put(key, FOREIGN)
                self.foreign[key] = FOREIGN

    def manifest(self) -> AssetManifest | None:
        return read_manifest("x", self.asset.id)[0]

    def shown(self) -> tuple[int | None, ...]:
        """The values at the paths that the user named. Raises `ValueError` for one that is not whole."""
        found = [(path, self.files.get(path)) for path in self.paths]
        return tuple(None if data is None else value_of(path, data) for path, data in found)

    def read(self) -> int | None:
        """The value that a reader gets by way of the asset; None where there was nothing to be read."""
        before, self.value = self.value, READERS
        try:
            relation = self.asset.cache_first().query_sync("SELECT DISTINCT n FROM data")
            values = relation.fetchall()
        finally:
            self.value = before
        if len(values) != 1:
            raise ValueError(f"a mix: {values}")
        return None if values[0][0] == READERS else int(values[0][0])

    def after(
        self, old: int | None, new: int, error: BaseException | None, *, known: bool = True, torn: bool = False
    ) -> Iterator[str]:
        """What is wrong right after a run of `new` over `old` that something befell, and that gave this error.

        With `known` unset, it may have been published whatever it said. With `torn` set, or where the error says that
        the outcome is unknown, the several paths may be of two runs, until the next call.
        """
        unknown = says_unknown(error)
        try:
            shown = self.shown()
        except ValueError as problem:
            yield str(problem)
            return
        if not set(shown) <= {old, new}:
            yield f"the paths have {shown}, of {old} and {new}"
        if len(set(shown)) > 1 and not torn and not unknown:
            yield f"the paths are of two runs: {shown}"
        if old is None and shown == (None, None) and (known or self.manifest() is None):
            read = None
        else:
            try:
                read = self.read()
            except Exception as problem:
                yield f"a reader gets {type(problem).__name__}: {problem}"
                return
        if read not in (old, new) or (read is None and old is not None):
            yield f"a reader gets {read}, not {old} or {new}"
        if known and not unknown and read != (old if error else new):
            yield f"a reader gets {read} of {old} and {new}, and the error was {error!r}"
        if (again := self.shown()) != (read, read):
            yield f"the paths have {again} after a reader got {read}"
        yield from self._agrees()

    def _agrees(self) -> Iterator[str]:
        """What is wrong with the manifest, the record and the paths that belong to each other."""
        manifest, files = self.manifest(), self.files.all()
        if manifest is None or manifest.last_run is None:
            if any(path in files for path in self.paths) and self.published:
                yield "there is a result and no manifest"
            return
        self.note()
        for result in manifest.results:
            for path in (result.path, result.file):
                if path not in files:
                    yield f"the manifest names {path}, which is not there"
                elif hashlib.sha256(files[path]).hexdigest() != result.sha256:
                    yield f"{path} has other bytes than the manifest says"
        record = DataAssetRun.read("x", self.asset.id, manifest.last_run.id)
        if record is None or [result.sha256 for result in record.results] != [r.sha256 for r in manifest.results]:
            yield f"the record of the current run {manifest.last_run.id} has other results than the manifest"

    def settled(self) -> Iterator[str]:
        """What is wrong after a good run that was the last."""
        if self.shown() != (self.value, self.value):
            yield f"the paths have {self.shown()} after a good run of {self.value}"
        yield from self._agrees()
        yield from self._statuses()
        manifest, files = self.manifest(), self.files.all()
        assert manifest is not None
        assert manifest.last_run is not None
        if len(manifest.superseded) > 1:
            yield f"more than one run is kept for those who read: {manifest.superseded}"
        current = DataAssetRun.read("x", self.asset.id, manifest.last_run.id)
        assert current is not None
        wanted = {*self.paths, *(r.file for r in current.results), *(f.path for f in current.fragments)}
        for run_id in (*manifest.superseded, *(kept.id for kept in read_kept(manifest))):
            before = DataAssetRun.read("x", self.asset.id, run_id)
            wanted |= {result.file for result in before.results} if before else set()
            wanted |= {f.path for f in before.fragments} if before and before.keeps_fragments else set()
        if missing := wanted - set(files):
            yield f"missing: {sorted(missing)}"
        left = {key for key in files if key not in wanted and not _KEPT.fullmatch(key.rpartition("/")[2])}
        if more := left - set(self.foreign):
            yield f"left behind: {sorted(more)}"
        if spoilt := {key for key, data in self.foreign.items() if files.get(key) != data}:
            yield f"of somebody else, and touched: {sorted(spoilt)}"
        for key, data in files.items():
            if "/_leases/" in f"/{key}" and key.endswith(".json") and not re.search(rb'"left": \[\]', data):
                yield f"the lease still has something to sweep: {data.decode()}"

    def past(self) -> Iterator[str]:
        """What is wrong with the versions that are said to be kept: each reads as its run wrote it, or says that it is
        gone."""
        for version in asyncio.run(self.asset.history()):
            if not version.kept:
                continue
            try:
                relation = asyncio.run(version.query("SELECT DISTINCT n FROM data"))
                values = relation.fetchall() if relation is not None else []
            except VersionError:
                continue
            if len(values) != 1:
                yield f"the version of run {version.run.id} has {values}"

    def successes(self) -> list[DataAssetRun]:
        """The records that say of a run that it was published."""
        return [record for record in records_of("x", self.asset.id) if record.status is RunStatus.SUCCESS]

    def _statuses(self) -> Iterator[str]:
        for record in records_of("x", self.asset.id):
            wanted = RunStatus.SUCCESS if record.id in self.published else RunStatus.FAILED
            if record.status is not wanted:
                yield f"the record of run {record.id} says {record.status}, and it is {wanted}"

    def next(self) -> Iterator[str]:
        """What is wrong with the next run, and after it."""
        gc.collect()  # nobody holds an earlier result any more
        try:
            self.run()
        except Exception as problem:
            yield f"the next run fails with {type(problem).__name__}: {problem}"
            return
        yield from self.settled()


def says_unknown(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that the outcome is not known."""
    while error is not None:
        if isinstance(error, OutcomeUnknownError):
            return True
        error = error.__cause__
    return False


@contextmanager
def looks(lake: Lake, values: set[int | None]) -> Iterator[list[str]]:
    """Have a reader look at the users' paths all the time in the block. Gives what it saw that it may not see."""
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            try:
                shown = lake.shown()
            except ValueError as problem:
                seen.append(str(problem))
            else:
                seen.extend([f"a reader of the paths saw {shown}"] if not set(shown) <= values else [])

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield seen
    finally:
        over.set()
        reader.join()
