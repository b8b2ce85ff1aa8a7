"""What the flow prints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mad_prefect_core import DataAsset
from mad_prefect_core.mounts import default_mount

__all__ = ["Call", "called", "print_delays", "print_files", "print_sums", "print_title"]

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Call:
    """What became of one call of an asset."""

    asset: DataAsset[..., Any]
    hit: bool
    rows: int
    seconds: float
    sizes: tuple[int, ...]
    """Bytes of each result file."""


async def called(asset: DataAsset[..., Any]) -> Call:
    """Call an asset, and print a line about what became of it."""
    start = time.perf_counter()
    artifact = await asset()
    seconds = time.perf_counter() - start
    sizes = tuple(result.size for result in artifact.run.results)
    call = Call(asset, hit=artifact.from_cache, rows=artifact.run.rows, seconds=seconds, sizes=sizes)
    arguments = ", ".join(f"{name}={value}" for name, value in asset.arguments.items())
    label = f"{asset.fn.__name__}({arguments})"
    outcome = "[green]cache hit[/]" if call.hit else "[yellow]ran[/]      "
    console.print(f"  {label:<18}  {outcome}  {call.rows:>7,} rows  {call.seconds:>6.3f} s")
    return call


def print_title(text: str) -> None:
    """A line above a section."""
    console.print(f"\n[bold]{text}[/]")


def print_sums(calls: Sequence[Call]) -> None:
    """How many calls were hits, and how long all of them took."""
    hits = sum(call.hit for call in calls)
    seconds = sum(call.seconds for call in calls)
    console.print(f"{len(calls)} assets: {len(calls) - hits} ran, {hits} cache hits, {seconds:.2f} seconds.")


def print_delays(rows: Iterable[Sequence[Any]]) -> None:
    """The delay table, and the sum of its flights."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("airline", no_wrap=True)
    table.add_column("from")
    for name in ("flights", "not\nflown", "mean\ndelay", "% over\n15 min", "in\nrain", "plane\nage"):
        table.add_column(name, justify="right")
    total = 0
    for carrier, origin, flights, not_flown, *figures in rows:
        total += flights
        delay, late, rain, age = ("–" if figure is None else f"{figure:.1f}" for figure in figures)
        table.add_row(carrier, origin, f"{flights:,}", f"{not_flown:,}", delay, late, rain, age)
    console.print(table)
    console.print(f"\n{total:,} flights.")


def print_files(calls: Sequence[Call]) -> None:
    """Where the results are: a line for each path, as its asset has it."""
    paths: dict[str, list[int]] = {}
    for call in calls:
        paths.setdefault(call.asset.template_path, []).extend(call.sizes)
    base = default_mount()
    console.print(base.root if base.storage.name == "local" else base.fs.unstrip_protocol(base.root))
    for path, sizes in paths.items():
        console.print(f"  {path:<42}  {len(sizes):>2} files  {sum(sizes) / 1e3:>8,.0f} kB", markup=False)
