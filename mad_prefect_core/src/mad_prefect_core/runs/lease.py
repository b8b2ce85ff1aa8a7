"""The lease: one run at a time writes to an asset's paths, across threads, processes and machines.

It is a small object on the storage, taken by compare-and-swap. Its holder writes it anew again and again while the run
goes on. One whose process is gone, or that nobody has written for as long as it says, may be taken by another. No clock
is compared with another: who waits measures how long the object has been the same.

Whoever lost the lease can't publish: the switch is refused to who has not renewed it for its time, and where another
run is current than when it was taken.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mad_prefect_core.errors import AssetRunningError, LeaseLostError, StorageConflictError
from mad_prefect_core.mounts import Location, default_mount
from mad_prefect_core.paths import relative_key
from mad_prefect_core.process import Process
from mad_prefect_core.runs.stored import Count, Moment, RecordedPath, Segment, Torn, foreign, parse
from mad_prefect_core.settings import get_settings

__all__ = ["Holder", "Lease", "lease_name"]

logger = logging.getLogger(__name__)

_now = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
"""Seconds; on Linux they go on while the machine is suspended."""
_ATTEMPTS = 20
_PAUSE = 0.2  # s
_at_work: set[str] = set()
"""The runs of this process that hold a lease, or are giving it up."""
_seen: dict[str, tuple[str, float]] = {}
"""Of leases that others hold: the version of each, and since when it has been the same, for all calls here."""
_warned: set[str] = set()
"""The storages that were warned of."""


class Holder(BaseModel):
    """A run that holds a lease, or held it: enough to find what it left behind, should it die."""

    model_config = ConfigDict(frozen=True)

    run: Annotated[str, Field(pattern=r"^([a-z]{1,20}-)?[0-9a-f]{32}$")]
    asset_name: Segment
    asset_id: Segment
    process: Process | None
    """None for a run that is over."""
    since: Moment
    folders: tuple[RecordedPath, ...] = ()
    """Those of the run alone, which it may write to."""

    @model_validator(mode="after")
    def _has_its_own_folders(self) -> Holder:
        for folder in self.folders:
            if not f"/{folder.rstrip('/')}".endswith(f"/{self.run}"):
                raise foreign(f"the folder {folder[:200]!r} is not that of run {self.run!r}")
        return self

    def over(self) -> Holder:
        """It, as one that is certainly not at work any more."""
        return self.model_copy(update={"process": None})

    def is_gone(self) -> bool:
        """Whether the run is certainly not at work any more."""
        if self.process is None or self.process.is_gone():
            return True
        # One of this very process may have ended without its lease having been released: the storage failed then.
        return self.process == Process.this() and self.run not in _at_work


class _Stored(BaseModel):
    lease_version: Literal["1"] = "1"
    holder: Holder | None = None
    seconds: float = Field(gt=0, le=86400)
    """Without being written for so long it may be taken."""
    beat: Count = 0
    """Another number each time it is written, so that its version is another."""
    last_asset: str = ""
    """The name of the asset that took it last."""
    left: tuple[Holder, ...] = ()
    """Runs that lost it: what they wrote is to be swept as soon as they can't be at work any more."""


def lease_name(addresses: Sequence[str]) -> str:
    """The name of the lease on these results, each with its storage."""
    return hashlib.sha256("\0".join(addresses).encode()).hexdigest()[:32]


class Lease:
    """The lease on the paths that an asset's results go to, by the name that `lease_name` gives to them."""

    def __init__(self, name: str) -> None:
        folder = self.folder()
        self.location = folder.beside(f"{folder.key}/{name}.json")
        self.left: tuple[Holder, ...] = ()
        """Runs that are over, or had it before and lost it, with what they may have left behind."""
        self._runs: dict[str, Holder] = {}
        """The runs that began under it and are not over."""
        self.last_asset = ""
        """The name of the asset that took it before; "" where that is not known."""
        self.renewed_by_other = False
        self._seconds = get_settings().lease_seconds
        self._holder: Holder | None = None
        self._taken_by = ""
        self._token: str | None = None
        self._beat = 0
        self._renewed = 0.0
        self._lost = False
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @staticmethod
    def folder() -> Location:
        """Where all leases of the base are."""
        return default_mount().at(relative_key(f"{get_settings().asset_metadata_location}/_leases"))

    @property
    def held(self) -> bool:
        """Whether it was taken, and not released since."""
        return self._holder is not None

    def look(self) -> tuple[Holder | None, tuple[Holder, ...]]:
        """Who holds it as it is stored, if anybody, and whom it was taken from."""
        stored = self.location.read()
        body = self._parse(stored.data) if stored else None
        return (body.holder, body.left) if body else (None, ())

    def take(self, holder: Holder) -> Holder | None:
        """Take it if it can be had. Returns None if so; otherwise who has it. Raises `OSError`."""
        _at_work.add(holder.run)
        try:
            other = self._take(holder)
        except BaseException:
            _at_work.discard(holder.run)
            raise
        if other is not None:
            _at_work.discard(holder.run)
        return other

    def _take(self, holder: Holder) -> Holder | None:
        self._warn_if_weak()
        for _ in range(_ATTEMPTS):
            stored = self.location.read()
            body, others = None, self._seconds
            if stored is not None:
                body = self._parse(stored.data)
                others = body.seconds if body else self._seconds
            if stored is not None and (body is None or body.holder is not None):
                gone = body is not None and body.holder is not None and body.holder.is_gone()
                if not gone and not self._has_stood_still(stored.token, others):
                    return (body and body.holder) or _unknown(holder)
            _seen.pop(self.location.path, None)
            left = (*body.left, *((body.holder,) if body.holder else ())) if body else ()
            self._beat = body.beat if body else 0
            before = body.last_asset if body else ""
            try:
                self._token = self._write(holder, left, stored.token if stored else None)
            except StorageConflictError:
                continue
            self.left, self.last_asset = left, before
            self._holder, self._lost, self._renewed = holder, False, _now()
            self._stop.clear()
            threading.Thread(target=self._keep, name="mad-prefect-lease", daemon=True).start()
            return None
        raise StorageConflictError(f"Others took the lease {_ATTEMPTS} times in a row", path=self.location.key)

    def take_or_refuse(self, holder: Holder) -> None:
        """Take it as soon as it can be had. Raises `AssetRunningError` where a run is certainly under way."""
        while (other := self.take(holder)) is not None:
            if self.is_alive(other):
                raise AssetRunningError(
                    f"A run is under way since {other.since:%Y-%m-%d %H:%M:%S} UTC",
                    asset=holder.asset_name,
                    hint="Try again when it is over.",
                )
            time.sleep(_PAUSE)

    def is_alive(self, other: Holder) -> bool:
        """Whether a holder that `take` has told of is certainly at work: a process of this machine, or one elsewhere
        that has renewed the lease since it was first looked at."""
        here = other.process is not None and other.process.is_here()
        return here or self.renewed_by_other

    def begin(self, run: Holder) -> None:
        """Make a run known to the next run before it writes anything, and until `end`. Raises as `renew`."""
        with self._lock:
            self._runs[run.run] = run
            is_known = self._holder is not None and self._holder.run == run.run
        _at_work.add(run.run)
        if not is_known:
            self.renew()

    def end(self, run: str, *, swept: bool) -> None:
        """Forget a run that is over, if it is `swept`: nothing that it wrote is left, or can still arrive. Otherwise
        leave it to the next run."""
        with self._lock:
            holder = self._runs.pop(run, None)
            if holder is not None and not swept:
                self.left += (holder.over(),)
            if self._holder is None or self._holder.run != run:
                _at_work.discard(run)

    def forget(self, runs: Collection[Holder]) -> None:
        """Forget runs that were swept."""
        with self._lock:
            self.left = tuple(holder for holder in self.left if holder not in runs)

    def renew(self) -> None:
        """Make sure that it is still held. Raises `LeaseLostError` if another run has taken it, `OSError` if that can't
        be told."""
        with self._lock:
            if self._holder is None:
                return
            if self._lost:
                raise self._gone()
            begun = _now()
            try:
                self._swap(self._holder, self._holder)
            except StorageConflictError as conflict:
                self._lost = True
                raise self._gone() from conflict
            self._renewed = begun

    def renew_if_due(self) -> None:
        """As `renew`, unless that was done so recently that nobody can have taken it since."""
        if self._lost or _now() - self._renewed > self._seconds / 2:
            self.renew()

    def check(self) -> None:
        """As `renew`, by the clock alone: raises `LeaseLostError` if it was last renewed so long ago that it may have
        been taken."""
        if self._lost or _now() - self._renewed > self._seconds:
            raise self._gone()

    def release(self) -> None:
        """Give it up, if it is held. What can't be written is logged: the lease then ends by itself."""
        self._stop.set()
        with self._lock:
            holder, self._holder = self._holder, None
            if holder is None:
                return
            if (unfinished := self._runs.pop(holder.run, None)) is not None:
                self.left += (unfinished.over(),)
            try:
                if not self._lost:
                    self._swap(holder, None)
            except Exception as problem:
                logger.warning("The lease %s could not be released: %s", self.location.key, problem)
            finally:
                _at_work.discard(holder.run)

    def _keep(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            try:
                self.renew()
            except LeaseLostError as lost:
                logger.warning("%s", lost)
                return
            except Exception as problem:
                logger.warning("The lease %s could not be renewed; trying again: %s", self.location.key, problem)

    def _swap(self, held: Holder, then: Holder | None) -> None:
        """Write it, unless another run has. An earlier write of ours whose answer was lost is no other's."""
        try:
            self._token = self._write(then, self._known(then), self._token)
        except StorageConflictError:
            stored = self.location.read()
            body = self._parse(stored.data) if stored else None
            if stored is None or body is None or body.holder is None or body.holder.run != held.run:
                raise
            self._token = self._write(then, self._known(then), stored.token)

    def _known(self, holder: Holder | None) -> tuple[Holder, ...]:
        """All runs that the next one must know, beside the holder."""
        return (*self.left, *(run for run in self._runs.values() if holder is None or run.run != holder.run))

    def _write(self, holder: Holder | None, left: tuple[Holder, ...], expected: str | None) -> str:
        self._beat += 1
        if holder is not None:
            self._taken_by = holder.asset_name
        body = _Stored(holder=holder, seconds=self._seconds, beat=self._beat, last_asset=self._taken_by, left=left)
        return self.location.replace(body.model_dump_json(indent=4).encode(), expected)

    def _warn_if_weak(self) -> None:
        storage = self.location.mount.storage
        if not storage.capabilities.conditional_replace and storage.name not in _warned:
            _warned.add(storage.name)
            logger.warning(
                "The storage %r has no compare-and-swap. Of two runs that begin, or are published, at the very same "
                "moment, one may not notice the other: run each asset from one place at a time, or keep the base on "
                "another storage.",
                storage.name,
            )

    def _has_stood_still(self, token: str, seconds: float) -> bool:
        """Whether nobody has written it for its time, as far as was watched from here."""
        now = _now()
        if _seen.get(self.location.path, ("", 0.0))[0] != token:
            self.renewed_by_other = self.location.path in _seen
            _seen[self.location.path] = (token, now)
        return now - _seen[self.location.path][1] > seconds

    def _parse(self, data: bytes) -> _Stored | None:
        """Raises `ManifestError` for a lease that no run writes."""
        found = parse(_Stored, data, self.location, None)
        return None if isinstance(found, Torn) else found  # cut short, or of another version: it may be held

    def _gone(self) -> LeaseLostError:
        return LeaseLostError(
            "The run was held up for so long that another one may have taken its place",
            hint=f"Nothing was published. Runs may pause for {self._seconds:g} seconds at most: "
            "raise MAD_PREFECT_LEASE_SECONDS if yours do longer.",
        )


def _unknown(like: Holder) -> Holder:
    """Who holds a lease that can't be read."""
    return like.model_copy(update={"run": "", "folders": (), "process": Process(host="?", place="?", pid=0, born="")})
