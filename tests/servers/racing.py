"""Processes that begin together, forked from one that has imported everything: `python racing.py MODULE ...`.

Reads a JSON object a line, `{"how": ..., "values": [...], "log": ..., "environment": {...}}`, does `how` once for each
value, each in a process of its own, and answers with a line: what each of them says.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.plugins import get_host
from mad_prefect_core.testing.storages.processes import forks

PAGES = 4
WRITERS = 16


class Log:
    """What the functions of racing runs were doing, told by all of them."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def say(self, value: int, word: str) -> None:
        with self._file.open("a") as file:
            file.write(f"{value} {word}\n")

    def lines(self) -> list[tuple[int, str]]:
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [(int(value), word) for value, word in (line.split() for line in lines)]

    def clear(self) -> None:
        self._file.unlink(missing_ok=True)

    def wait_for(self, word: str, count: int) -> None:
        end = time.monotonic() + 60
        while [said for _, said in self.lines()].count(word) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"not all of {count} have said {word}")
            threading.Event().wait(0.01)


def rival(value: int, log: Log, others: int = 0, **options: Any) -> DataAsset[..., Any]:
    """The asset `x`. All rows of a run have one value, so a mix shows. A run ends when so many others have failed."""

    @asset("x.parquet|csv", name="x", **options)
    def x(tenant: int = 0) -> Iterator[Any]:
        log.say(value, "begins")
        for page in range(PAGES):
            yield [{"n": value, "page": page}]
        log.wait_for("failed", others)
        log.say(value, "ends")

    return x


def distinct(x: DataAsset[..., Any]) -> list[Any]:
    """The values of a run."""
    return [row[0] for row in x.query_sync("SELECT DISTINCT n").fetchall()]


def run(value: int, log: Log) -> list[Any]:
    """Runs, after the others."""
    return distinct(rival(value, log))


def run_with_arguments(value: int, log: Log) -> list[Any]:
    """The same, each with arguments of its own."""
    return distinct(rival(value, log).with_arguments(value))


def run_or_fail(value: int, log: Log) -> list[Any]:
    """Runs, or says at once that another one does, which goes on until all have said so."""
    return distinct(rival(value, log, others=WRITERS - 1, on_running="fail"))


def relate(value: int, log: Log) -> list[Any]:
    """Uses the relation of what is there by its own methods."""
    relation = rival(value, log).cache_first().query_sync()
    pages = relation.filter(f"page < {PAGES}").project("page, n").order("page")
    joined = pages.set_alias("a").join(pages.set_alias("b"), "page")
    return [
        [row[0] for row in pages.fetchall()],
        relation.aggregate("count(*)").fetchall()[0][0],
        joined.count("*").fetchall()[0][0],
        relation.to_arrow_table().num_rows,
        pages.limit(1).fetchall()[0][0],
    ]


def said(task: Callable[[int, Log], list[Any]], value: int, log: Log, environment: dict[str, str]) -> dict[str, Any]:
    """What it returns or raises."""
    os.environ.clear()
    os.environ.update(environment)
    try:
        return {"value": value, "result": task(value, log)}
    except Exception as error:
        log.say(value, "failed")
        return {"value": value, "error": type(error).__name__, "text": str(error)}


def main() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)  # so that the forked need not
    tasks = {task.__name__: task for task in (run, run_with_arguments, run_or_fail, relate)}
    get_host().plugins()
    for line in sys.stdin:
        job = json.loads(line)
        task, log, environment = tasks[job["how"]], Log(Path(job["log"])), job["environment"]
        answers = forks([partial(said, task, value, log, environment) for value in job["values"]])
        print(json.dumps(answers), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
