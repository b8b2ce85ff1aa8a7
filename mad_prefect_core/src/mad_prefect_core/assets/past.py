"""What an asset's earlier runs are good for: the methods of `DataAsset` about its history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from mad_prefect_core.errors import OptionError
from mad_prefect_core.runs.diff import AssetDiff, diff
from mad_prefect_core.runs.history import AssetVersion, History, PrunedRun, Which
from mad_prefect_core.runs.record import DataAssetRun
from mad_prefect_core.runs.retention import Retention
from mad_prefect_core.runs.stored import reaching
from mad_prefect_core.threads import in_thread
from mad_prefect_core.translation import translated

__all__ = ["WithHistory"]

T = TypeVar("T")


class WithHistory(ABC):
    """An asset whose runs can be looked at. Its history is that of its arguments.

    A version is named by a run's id or its first digits, by a pin, or by a moment with a time zone: the run that was
    current then. All of these raise `VersionError` for one that is not there, and where its data is needed and not
    kept.
    """

    @abstractmethod
    async def _history(self, *, to_change: bool = False) -> History: ...

    @abstractmethod
    def _folders(self) -> list[str]:
        """Where its own paths are: records of it may lead there."""

    @abstractmethod
    def _during(self, phase: str) -> translated:
        """What a method runs in: it says of errors which asset they are of."""

    @abstractmethod
    def _retention(self) -> Retention | None: ...

    async def _past(self, phase: str, call: Callable[[History], T], *, to_change: bool = False) -> T:
        with self._during(phase):
            history = await self._history(to_change=to_change)
            with reaching(self._folders()):
                return await in_thread(call, history)

    async def history(self) -> list[AssetVersion]:
        """All runs, also failed ones, the newest first."""
        return await self._past("history", History.versions)

    async def at(self, which: Which) -> AssetVersion:
        """One version: its rows, by `query`, and its record, as `run`."""
        return await self._past("history", lambda past: past.at(which))

    async def diff(
        self, before: Which, after: Which | None = None, *, key: str | Sequence[str] | None = None
    ) -> AssetDiff:
        """What is different in `after`, the current version if not given. `key` names the columns that tell rows
        apart; without it, a row that changed is one that was removed and one that was added."""
        return await self._past(
            "diff", lambda past: diff(past.at(before), past.current() if after is None else past.at(after), key)
        )

    async def rollback(self, to: Which) -> DataAssetRun:
        """Make the results of an earlier run the current ones, whole or not at all, by a run of its own: the history
        goes on. Raises `AssetRunningError` while a run is under way."""
        return await self._past("rollback", lambda past: past.rollback(to), to_change=True)

    async def pin(self, name: str, which: Which | None = None) -> AssetVersion:
        """Keep a version, the current one if none is named, whatever the retention, until it is unpinned."""
        return await self._past("pin", lambda past: past.pin(name, which), to_change=True)

    async def unpin(self, name: str) -> None:
        """Let go of a pin."""
        await self._past("unpin", lambda past: past.unpin(name), to_change=True)

    async def prune(self, retention: Retention | None = None, *, dry_run: bool = False) -> list[PrunedRun]:
        """Delete the data of earlier runs that the retention, the asset's own if not given, does not want. Their
        records stay. Returns them with the bytes that they take; with `dry_run`, nothing is deleted."""
        wanted = retention or self._retention()
        if wanted is None:
            raise OptionError("The asset has no retention", hint="Pass one: prune(Retention(keep_last=10)).")
        return await self._past("prune", lambda past: past.prune(wanted, dry_run), to_change=True)
