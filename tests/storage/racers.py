"""Processes that race for one object, run as a script: `racers.py create|count|overwrite PATH PROCESSES`."""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_local import LocalOptions, LocalStorage

STORAGE = LocalStorage()


def create(fs: Any, path: str, number: int) -> bool:
    """Whether this process is the one that created the object."""
    try:
        STORAGE.replace(fs, path, str(number).encode(), None)
    except StorageConflictError:
        return False
    return True


def count(fs: Any, path: str, number: int) -> bool:
    """Add one, ten times, each as often as it takes."""
    for _ in range(10):
        while True:
            found = STORAGE.read(fs, path)
            value = int(found.data) if found else 0
            try:
                STORAGE.replace(fs, path, str(value + 1).encode(), found.token if found else None)
                break
            except StorageConflictError:
                continue
    return True


def overwrite(fs: Any, path: str, number: int) -> bool:
    """Publish megabytes of one letter after the other, until killed."""
    print("ready", flush=True)
    while True:
        for letter in b"abc":
            staged = STORAGE.stage(fs, path)
            staged.write_bytes(bytes([letter]) * 2_000_000)
            STORAGE.publish(fs, staged, path)


def run(task: str, path: str, number: int, together: Any, results: Any) -> None:
    fs, path = STORAGE.filesystem(path, LocalOptions())
    together.wait()
    results.put(globals()[task](fs, path, number))


if __name__ == "__main__":
    task, path, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(processes), context.SimpleQueue()
    if processes == 1:
        run(task, path, 0, together, results)
    racers = [context.Process(target=run, args=(task, path, n, together, results)) for n in range(processes)]
    for racer in racers:
        racer.start()
    print(json.dumps([results.get() for _ in racers]))
    for racer in racers:
        racer.join()
