"""A base with the records of real runs, and a folder beside it that nothing may touch."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.runs.record import DataAssetRun, RunStatus

MARK = "never-to-be-shown"
"""What every file in the canary's folder holds."""
SUFFIXES = ("parquet", "csv", "json", "avro")

_LONG_AGO = 946684800 * 10**9
_watched: list[Canary] = []


class Canary:
    """A folder beside the base, and what was seen of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = "a" * 32
        own = folder / "_artifacts/asset=x" / self.run
        own.mkdir(parents=True)
        names = [folder / f"x.{suffix}" for suffix in (*SUFFIXES, "txt")]
        names += [own / "fragment=0.json", *(own / f"x.{suffix}.run" for suffix in SUFFIXES)]
        for path in names:
            path.write_text(f'{{"secret": "{MARK}"}}\n')
        self.touched: list[str] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Fails at the end where anything in the folder was opened, listed, changed, made or deleted: by Python, as its
        audit events tell, or by DuckDB, as times of access tell where the disk keeps them."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        for path in files:
            os.utime(path, ns=(_LONG_AGO, path.stat().st_mtime_ns))
        before = self._state()
        self.touched.clear()
        _watched.append(self)
        try:
            yield
        finally:
            _watched.remove(self)
        assert not self.touched, f"the canary's folder was touched: {self.touched}"
        assert self._state() == before, "the canary's folder has changed, or was read"
        assert all(MARK in path.read_text() for path in files)

    def _state(self) -> dict[str, tuple[int, int, int]]:
        stats = {str(path): path.stat() for path in self.folder.rglob("*")}
        return {
            path: (stat.st_ino, stat.st_mtime_ns, stat.st_atime_ns if Path(path).is_file() else 0)
            for path, stat in stats.items()
        }


def _told(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched or not event.startswith(("open", "os.", "shutil.", "glob.")):
        return
    paths = [os.fsdecode(value) for value in arguments if isinstance(value, str | bytes | os.PathLike)]
    for canary in _watched:
        for path in paths:
            if "\0" not in path and os.path.abspath(path).startswith(str(canary.folder)):
                canary.touched.append(f"{event} {path!r}")


sys.addaudithook(_told)  # one can't be taken away again


@dataclass(frozen=True)
class Stored:
    """An asset with three runs, all kept, and one that died: its records."""

    base: Path
    x: DataAsset[..., Any]
    runs: list[str]
    """Ids, the oldest first."""
    dead: str

    @property
    def folder(self) -> Path:
        return self.base / f"_asset_metadata/asset_name=x/asset_id={self.x.id}"

    def record(self, kind: str, run: str | None = None) -> Path:
        """The file of a "manifest", "history", "lease", or "metadata" (of the oldest run unless one is named)."""
        if kind == "lease":
            [lease] = (self.base / "_asset_metadata/_leases").glob("*.json")
            return lease
        return self.folder / (
            f"asset_run_id={run or self.runs[0]}/metadata.json" if kind == "metadata" else f"{kind}.json"
        )

    def forge(self, kind: str, change: Callable[[Any], Any], run: str | None = None) -> None:
        """Have `change` alter a record as it is stored, as whoever can write to the base can."""
        path = self.record(kind, run)
        data = json.loads(path.read_text())
        inner = data["data"] if kind == "metadata" else data
        changed = change(inner)
        path.write_text(json.dumps(data if changed is None else changed))


def runs_of(base: Path, suffix: str) -> Stored:
    """An asset with a result of this format, and what is stored of it."""

    @asset(f"gold/x.{suffix}", name="x", snapshot_artifacts=True, cache_expiration=dt.timedelta(days=1))
    def x() -> Any:
        return [{"n": 1, "t": "one"}]

    runs = [str(x.with_options(cache_expiration=None).call_sync().run.id) for _ in range(3)]
    dead = DataAssetRun(id=uuid.uuid4().hex, asset_name="x", asset_id=x.id, status=RunStatus.RUNNING)
    dead.write()
    folder = f"gold/_artifacts/asset=x/{dead.id}"
    (base / folder).mkdir(parents=True)
    (base / folder / "fragment=0.json").write_text('{"n":2}\n')
    found = Stored(base, x, runs, str(dead.id))
    left = {
        "run": dead.id,
        "asset_name": "x",
        "asset_id": x.id,
        "process": None,
        "since": "2026-01-01T00:00:00Z",
        "folders": [folder],
    }
    found.forge("lease", lambda lease: lease["left"].append(left))
    return found
