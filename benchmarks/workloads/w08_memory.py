"""W8: the peak memory of W1 and W3 as the data grows. What a case is compared with is the peak of us at 1×."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.bench import Bench
from benchmarks.cases import Case, Targets
from benchmarks.workloads import w01_rows, w03_relation


def at(times: int, step: Callable[[Bench], Any], grows: str) -> Callable[[Bench], None]:
    """`step`, done by us, with one number of the size so many times as large."""

    def measured(bench: Bench) -> None:
        larger = Bench("ours", bench.folder, {**bench.size, grows: bench.size[grows] * times})
        step(larger)
        bench.seconds, bench.cpu_seconds = larger.seconds, larger.cpu_seconds

    return measured


def cases(name: str, step: Callable[[Bench], Any], size: dict[str, int], grows: str) -> list[Case]:
    """4 and 16 times the data, each against the data once."""
    return [
        Case(
            "W8",
            f"{name}, {times}×",
            {"ours": at(times, step, grows), "floor": at(1, step, grows)},
            size,
            targets=Targets(floor=1.25),
            metric="peak_mb",
            repeat=2,
        )
        for times in (4, 16)
    ]


CASES = [
    *cases("JSON fragments", partial(w01_rows.land, artifact_filetype="json"), w01_rows.SIZE, "batches"),
    *cases("Parquet fragments", partial(w01_rows.land, artifact_filetype="parquet"), w01_rows.SIZE, "batches"),
    *cases(
        "relation",
        partial(w03_relation.land, path="typed.parquet", query=w03_relation.of_nothing),
        w03_relation.SIZE,
        "rows",
    ),
]
