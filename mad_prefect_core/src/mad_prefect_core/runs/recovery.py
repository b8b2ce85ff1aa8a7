"""What dead runs left behind, on the whole base: found by the leases alone, so nothing else is ever touched."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from mad_prefect_core.errors import MadPrefectError, located
from mad_prefect_core.process import Process
from mad_prefect_core.runs.catalogue import names_in
from mad_prefect_core.runs.lease import Holder, Lease
from mad_prefect_core.runs.stored import locate_recorded
from mad_prefect_core.runs.sweep import files_left, sweep_left

__all__ = ["LeftBehind", "left_behind", "sweep"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftBehind:
    """A run that lost its lease, or whose process is gone, and what it wrote."""

    holder: Holder
    dead: bool
    """Whether it is certainly not at work. One of another machine may be, until a newer run is published."""
    files: tuple[str, ...]
    size: int
    """Of the files, in bytes."""
    problem: str | None = None
    """Why nothing is known of its files, and nothing is deleted: such as that they are on a storage that nobody has
    named here."""


def left_behind() -> list[LeftBehind]:
    """All that there is. Runs that are under way are none of it."""
    return [found for _, found in _found()]


def sweep() -> list[LeftBehind]:
    """Delete what dead runs left; a run that died when it was published already is finished instead.

    Returns those that were swept, and those that can't be for a `problem`. A lease that somebody has taken meanwhile is
    his to sweep.
    """
    swept = []
    for lease, found in _found():
        if found.problem is not None:
            swept.append(found)
        elif found.dead and lease.take(_sweeper(found.holder)) is None:
            try:
                with located(asset=found.holder.asset_name):
                    sweep_left(lease)
                if all(holder.run != found.holder.run for holder in lease.left):
                    swept.append(found)
            finally:
                lease.release()
    return swept


def _found() -> Iterator[tuple[Lease, LeftBehind]]:
    for name in names_in(Lease.folder()):
        if not name.endswith(".json"):
            continue
        lease = Lease(name.removesuffix(".json"))
        try:
            holder, left = lease.look()
        except (OSError, MadPrefectError) as problem:
            logger.warning("A lease is left alone: %s", problem)
            continue
        gone = [holder] if holder is not None and holder.is_gone() else []
        for each in (*left, *gone):
            try:
                stats = {path: locate_recorded(path).stat() for path in files_left(each)}
            except (OSError, MadPrefectError) as problem:
                yield lease, LeftBehind(each, each.is_gone(), (), 0, str(problem))
                continue
            sizes = {path: stat.size for path, stat in stats.items() if stat is not None}
            yield lease, LeftBehind(each, each.is_gone(), tuple(sizes), sum(sizes.values()))


def _sweeper(of: Holder) -> Holder:
    return Holder(
        run=f"sweep-{uuid.uuid4().hex}",
        asset_name=of.asset_name,
        asset_id=of.asset_id,
        process=Process.this(),
        since=dt.datetime.now(dt.UTC),
    )
