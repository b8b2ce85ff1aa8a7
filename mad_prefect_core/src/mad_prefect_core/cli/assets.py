"""`mad-prefect history | diff | rollback | pin | unpin | prune | sweep | adopt`: what is stored, from outside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import App, Parameter
from pydantic import ValidationError
from rich.console import RenderableType

from mad_prefect_core.cli.output import Result, escape, styled, table, words
from mad_prefect_core.errors import OptionError
from mad_prefect_core.runs.adopt import Adopted
from mad_prefect_core.runs.adopt import adopt as adopt_all
from mad_prefect_core.runs.catalogue import by_path, find_asset, stored_assets
from mad_prefect_core.runs.diff import AssetDiff
from mad_prefect_core.runs.diff import diff as compare
from mad_prefect_core.runs.history import AssetVersion, History, PrunedRun, Which
from mad_prefect_core.runs.recovery import LeftBehind, left_behind
from mad_prefect_core.runs.recovery import sweep as sweep_all
from mad_prefect_core.runs.retention import Retention
from mad_prefect_core.runs.stored import reaching
from mad_prefect_core.session import quote
from mad_prefect_core.translation import translated

__all__ = ["add_to"]

Name = Annotated[str, Parameter(help="Name of the asset, or the last part of it.")]
Id = Annotated[
    str | None,
    Parameter(name="--id", show_default=False, help="First digits of its id, where it has several sets of arguments."),
]
Version = Annotated[str, Parameter(help="A run's id or its first digits, a pin, or a moment with a time zone.")]
DryRun = Annotated[bool, Parameter(negative="", show_default=False, help="Only say what would be deleted.")]
Storage = Annotated[
    tuple[str, ...],
    Parameter(negative="", show_default=False, help="A folder elsewhere that records may lead to. May be repeated."),
]

_SAMPLE = 10  # rows of each side of a difference that are shown


def add_to(app: App) -> None:
    """Add the commands to an app."""
    for command in (assets, history, diff, rollback, pin, unpin, prune, sweep, adopt):
        app.command(command)


def assets() -> Result:
    """Every asset on the base, with its arguments and its current result."""
    found = sorted(stored_assets(), key=by_path)
    data: list[dict[str, Any]] = [
        {
            "name": manifest.asset_name,
            "id": manifest.asset_id,
            "materialized": _iso(manifest.last_materialized),
            "rows": manifest.last_run.rows if manifest.last_run else None,
            "paths": list(manifest.last_artifacts),
        }
        for manifest in found
    ]
    heads = ("asset", "id", "time (UTC)", "rows", "paths")
    names = _short_names({a["name"] for a in data})
    rows = (
        (names[a["name"]], a["id"][:8], _second(a["materialized"]), _number(a["rows"]), _short(a["paths"]))
        for a in data
    )
    return Result({"assets": data}, [_table(heads, rows)] if data else ["There is no asset on this base."])


def history(name: Name, *, asset_id: Id = None) -> Result:
    """All runs of an asset, the newest first."""
    with _history(name, asset_id) as past:
        runs = [_version(version) for version in past.versions()]
    heads = ("run", "time (UTC)", "status", "rows", "bytes", "data", "pins")
    rows = (
        (
            run["id"][:8],
            _second(run["materialized"] or run["runtime"]),
            _status(run),
            _number(run["rows"]),
            _number(run["bytes"]),
            "current" if run["current"] else "kept" if run["kept"] else "-",
            words(run["pins"]),
        )
        for run in runs
    )
    failed = [f"\n{run['id'][:8]}: {escape(run['error'])}" for run in runs if run["error"]]
    return Result({"runs": runs}, [_table(heads, rows), *failed[:_SAMPLE]])


def diff(
    name: Name,
    before: Version,
    after: Annotated[str | None, Parameter(help="The other version; the current one if not given.")] = None,
    *,
    key: Annotated[
        tuple[str, ...], Parameter(negative="", show_default=False, help="A column of the key. May be repeated.")
    ] = (),
    asset_id: Id = None,
    storage: Storage = (),
) -> Result:
    """What is different between two versions of an asset: columns, and rows added, removed and, by key, changed."""
    with reaching(storage), _history(name, asset_id) as past:
        newer = past.at(_which(after)) if after is not None else past.current()
        found = compare(past.at(_which(before)), newer, key)
        sides = {side: getattr(found, side) for side in ("added", "removed", "changed")}
        data: dict[str, Any] = {
            "before": _version(found.before),
            "after": _version(found.after),
            "columns_added": found.columns_added,
            "columns_removed": found.columns_removed,
            "columns_changed": {name: list(kinds) for name, kinds in found.columns_changed.items()},
            "counts": found.counts(),
            "samples": {side: _sample(relation) for side, relation in sides.items() if relation is not None},
        }
    return Result(data, _diff_view(found, data))


def rollback(name: Name, to: Version, *, asset_id: Id = None, storage: Storage = ()) -> Result:
    """Make an earlier result the current one at all its paths, by a run of its own."""
    with reaching(storage), _history(name, asset_id) as past:
        run = past.rollback(_which(to))
    paths = [result.path for result in run.results]
    data = {"run": run.id, "rolled_back_to": run.rolled_back_to, "paths": paths}
    by = f", by the new run {str(run.id)[:8]}" if run.rolled_back_to else ""
    return Result(data, [escape(f"{_short(paths)} is as run {str(run.rolled_back_to or run.id)[:8]} made it{by}.")])


def pin(
    name: Name,
    under: Annotated[str, Parameter(help="Name of the pin.")],
    version: Annotated[str | None, Parameter(help="What to pin; the current version if not given.")] = None,
    *,
    asset_id: Id = None,
    storage: Storage = (),
) -> Result:
    """Keep a version of an asset, whatever its retention, until it is unpinned."""
    with reaching(storage), _history(name, asset_id) as past:
        pinned = past.pin(under, None if version is None else _which(version))
    return Result(_version(pinned), [f"Run {escape(str(pinned.run.id)[:8])} is pinned as {escape(under)}."])


def unpin(
    name: Name,
    under: Annotated[str, Parameter(help="Name of the pin.")],
    *,
    asset_id: Id = None,
    storage: Storage = (),
) -> Result:
    """Let go of a pin. What was kept for it alone is deleted."""
    with reaching(storage), _history(name, asset_id) as past:
        past.unpin(under)
    return Result({"unpinned": under}, [f"{escape(under)} is no pin any more."])


def prune(
    name: Name,
    *,
    keep_last: Annotated[int | None, Parameter(help="Keep the newest runs, so many.")] = None,
    keep_daily: Annotated[int | None, Parameter(help="Keep the last run of each of so many days.")] = None,
    keep_weekly: Annotated[int | None, Parameter(help="Keep the last run of each of so many weeks.")] = None,
    keep_monthly: Annotated[int | None, Parameter(help="Keep the last run of each of so many months.")] = None,
    max_age_days: Annotated[float | None, Parameter(help="Keep nothing that is older, in days.")] = None,
    dry_run: DryRun = False,
    asset_id: Id = None,
    storage: Storage = (),
) -> Result:
    """Delete the data of earlier runs that no rule keeps. The current run and what is pinned stay, and all records."""
    retention = _retention(
        keep_last=keep_last,
        keep_daily=keep_daily,
        keep_weekly=keep_weekly,
        keep_monthly=keep_monthly,
        max_age=None if max_age_days is None else _days(max_age_days),
    )
    with reaching(storage), _history(name, asset_id) as past:
        pruned = past.prune(retention, dry_run)
    data = [_pruned(entry) for entry in pruned]
    freed = sum(entry.size for entry in pruned)
    rows = ((p["run"][:8], _second(p["materialized"]), _number(p["rows"]), _number(p["bytes"])) for p in data)
    said = f"{'Would free' if dry_run else 'Freed'} {freed:,} bytes of {len(data)} run{'s' if len(data) > 1 else ''}."
    view = [_table(("run", "time (UTC)", "rows", "bytes"), rows), f"\n{said}"] if data else ["Nothing is to be pruned."]
    return Result({"dry_run": dry_run, "freed": freed, "runs": data}, view)


def sweep(*, dry_run: DryRun = False, storage: Storage = ()) -> Result:
    """Delete what runs left behind whose process is gone, on the whole base; a run that died when it was published
    already is finished instead."""
    with reaching(storage):
        found = left_behind() if dry_run else sweep_all()
    data = [_left(entry) for entry in found]
    heads = ("asset", "run", "began (UTC)", "process", "files", "bytes")
    rows = (
        (
            entry["asset"],
            entry["run"][:8],
            _second(entry["since"]),
            "not swept" if entry["problem"] else "gone" if entry["dead"] else "maybe at work",
            _number(len(entry["files"])),
            _number(entry["bytes"]),
        )
        for entry in data
    )
    freed = sum(entry["bytes"] for entry in data if entry["dead"])
    said = f"{'Would free' if dry_run else 'Freed'} {freed:,} bytes."
    problems = [f"\n{entry['run'][:8]}: {escape(entry['problem'])}" for entry in data if entry["problem"]]
    view = [_table(heads, rows), *problems, f"\n{said}"] if data else ["No dead run has left anything behind."]
    return Result({"dry_run": dry_run, "freed": freed, "runs": data}, view)


def adopt(
    *,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Only say what would be adopted, and what deleted.")
    ] = False,
    sweep: Annotated[
        bool, Parameter(negative="", show_default=False, help="Delete the fragments that 2.x left, which are listed.")
    ] = False,
    artifacts: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="A folder that was an artifacts_dir in 2.x. May be repeated."),
    ] = (),
) -> Result:
    """Take over what mad-prefect 2.x stored: its results, with their caches, become ours. Lists the fragments that it
    left, which no run of ours reads."""
    found, named = adopt_all(dry_run=dry_run, sweep=sweep, folders=artifacts)
    data = [_adopted(entry) for entry in found]
    if not data and not any(named.values()):
        return Result({"dry_run": dry_run, "assets": [], "folders": named}, ["2.x has left nothing on this base."])
    heads = ("asset", "id", "rows", "fragments", "paths")
    rows = (
        (a["name"], a["id"][:8], _number(a["rows"]), _number(len(a["fragments"])), _short(a["paths"])) for a in data
    )
    problems = [f"\n{escape(a['name'])} {a['id'][:8]}: {escape(a['problem'])}." for a in data if a["problem"]]
    others = [f"\n{escape(folder)}: {len(files)} fragments" for folder, files in named.items()]
    count = sum(len(a["fragments"]) for a in data) + sum(map(len, named.values()))
    done = sweep and not dry_run
    hint = "" if done or not count else "; --sweep deletes them"
    said = f"\n{'Deleted' if done else 'There are'} {count} fragments of 2.x{hint}."
    return Result(
        {"dry_run": dry_run, "swept": done, "assets": data, "folders": named},
        [_table(heads, rows), *problems, *others, said],
    )


# -- as data ---------------------------------------------------------------------------------------------------------


@contextmanager
def _history(name: str, asset_id: str | None) -> Iterator[History]:
    manifest = find_asset(name, asset_id)
    with translated(asset=manifest.asset_name, path=next(iter(manifest.last_artifacts), None)):
        yield History(manifest.asset_name, manifest.asset_id)


def _which(text: str) -> Which:
    """A moment where it reads as one with a time zone; else a run or pin."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo is not None else text


def _days(days: float) -> dt.timedelta:
    try:
        return dt.timedelta(days=days)
    except (OverflowError, ValueError):
        raise OptionError(f"--max-age-days can't be {days}") from None


def _retention(**rules: Any) -> Retention:
    try:
        return Retention.model_validate(rules)
    except ValidationError as error:
        problem = error.errors()[0]
        where = "".join(f"--{str(part).replace('_', '-')} " for part in problem["loc"])
        raise OptionError(
            f"{where}{problem['msg'].removeprefix('Value error, ')}",
            hint="Give at least one of --keep-last, --keep-daily, … and --max-age-days.",
        ) from None


def _version(version: AssetVersion) -> dict[str, Any]:
    run = version.run
    return {
        "id": run.id,
        "runtime": _iso(run.runtime),
        "materialized": _iso(run.materialized),
        "status": run.status and str(run.status),
        "phase": run.phase,
        "error": run.error,
        "rows": run.rows,
        "bytes": sum(result.size for result in run.results) if run.results else None,
        "parameters": run.parameters,
        "rolled_back_to": run.rolled_back_to,
        "current": version.current,
        "kept": version.kept,
        "pins": list(version.pins),
    }


def _pruned(entry: PrunedRun) -> dict[str, Any]:
    made = _iso(entry.run.materialized)
    files = list(entry.files)
    return {"run": entry.run.id, "materialized": made, "rows": entry.run.rows, "bytes": entry.size, "files": files}


def _adopted(entry: Adopted) -> dict[str, Any]:
    return {
        "name": entry.asset_name,
        "id": entry.asset_id,
        "run": entry.run,
        "paths": list(entry.paths),
        "rows": entry.rows,
        "adopted": not entry.problem,
        "problem": entry.problem or None,
        "fragments": list(entry.fragments),
    }


def _left(entry: LeftBehind) -> dict[str, Any]:
    return {
        "asset": entry.holder.asset_name,
        "asset_id": entry.holder.asset_id,
        "run": entry.holder.run,
        "since": _iso(entry.holder.since),
        "dead": entry.dead,
        "files": list(entry.files),
        "bytes": entry.size,
        "problem": entry.problem,
    }


def _sample(relation: Any) -> list[dict[str, str | None]]:
    """The first rows, each value as text: JSON has no other form that all of them fit into."""
    texts = ", ".join(f"CAST({quote(name)} AS VARCHAR)" for name in relation.columns)
    rows = relation.limit(_SAMPLE).project(texts).fetchall()
    return [dict(zip(relation.columns, row, strict=True)) for row in rows]


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat()


# -- for people ------------------------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    made = table(heads, ([escape(cell) for cell in row] for row in rows))
    for column in made.columns:
        column.no_wrap = str(column.header).endswith("(UTC)")
    return made


def _short_names(names: set[str]) -> dict[str, str]:
    """The last part of each name, which commands take too, where no other has the same."""
    last = [name.rpartition(".")[2] for name in names]
    return {name: short if last.count(short := name.rpartition(".")[2]) == 1 else name for name in names}


def _status(run: dict[str, Any]) -> str:
    if run["rolled_back_to"]:
        return f"back to {run['rolled_back_to'][:8]}"
    return words(run["status"]) + (f" in {run['phase']}" if run["phase"] else "")


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _second(moment: str | None) -> str:
    return "-" if moment is None else f"{dt.datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S}"


def _short(paths: Sequence[str]) -> str:
    """Paths that differ in their suffix alone as the asset's decorator has them."""
    stems = {path.rpartition(".")[0] for path in paths}
    return "|".join([*paths[:1], *(path.rpartition(".")[2] for path in paths[1:])]) if len(stems) == 1 else words(paths)


def _diff_view(found: AssetDiff, data: dict[str, Any]) -> Iterator[RenderableType]:
    old, new = (f"{side['id'][:8]} of {_second(side['materialized'])}" for side in (data["before"], data["after"]))
    yield f"{old} -> {new} UTC"
    for sign, columns in (("+", found.columns_added), ("-", found.columns_removed)):
        for name, kind in columns.items():
            yield f"column {sign} {escape(name)} {escape(kind)}"
    for name, (old, new) in found.columns_changed.items():
        yield f"column ~ {escape(name)} {escape(old)} -> {escape(new)}"
    for side, count in data["counts"].items():
        yield styled(f"{side}: {count:,}", "bold")
        if rows := data["samples"][side]:
            yield _table(list(rows[0]), ([words(value) for value in row.values()] for row in rows))
        if count > len(rows):
            yield f"… and {count - len(rows):,} more"
