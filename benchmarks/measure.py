"""Measurements: each in a process of its own, the subjects by turns."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.subjects import ROOT, environment, python

__all__ = ["Measured", "Measurement", "measure_all", "profile_all"]

_TIMEOUT = 900.0  # s, for one process


@dataclass(frozen=True)
class Measurement:
    """What one process took, or why it did not get there."""

    seconds: float = 0.0
    """Without the user's own work."""
    cpu_seconds: float = 0.0
    """Of all its threads: on a busy machine the steadier figure."""
    peak_mb: float = 0.0
    """Of the whole process."""
    requests: int | None = None
    error: str | None = None
    answer: Any = None


Measured = dict[str, list[Measurement]]
"""The measurements of one case, by subject."""


def measure_all(
    cases: Iterable[Case], subjects: Sequence[str], *, repeat: int, quick: bool = False
) -> Iterator[tuple[Case, Measured]]:
    """Measure cases one after the other; the subjects of a case by turns, `repeat` times. Says on stderr how it goes.

    Raises `AssertionError` where two subjects gave different answers: they did not do the same work.
    """
    with _runner() as runner:
        for case in cases:
            size = case.quick if quick and case.quick is not None else case.size
            measured: Measured = {subject: [] for subject in subjects if subject in case.subjects}
            for _ in range(min(repeat, case.repeat or repeat)):
                for subject, measurements in measured.items():
                    if measurements and measurements[-1].error:
                        continue  # what failed once is not waited for again
                    measurement = runner.measure(case, subject, size)
                    measurements.append(measurement)
                    print(f"{case.id:40} {subject:6} {_shown(measurement)}", file=sys.stderr, flush=True)
            _check_answers(case, measured)
            yield case, measured


def profile_all(cases: Iterable[Case]) -> Iterator[tuple[Case, str]]:
    """Of each case that is not a whole process: which functions of ours its CPU time went to, as text."""
    with _runner() as runner:
        for case in cases:
            if not isinstance(case.subjects["ours"], str):
                found = runner.measure(case, "ours", case.size, step="profile")
                yield case, found.error or str(found.answer)


@contextmanager
def _runner() -> Iterator[_Runner]:
    store = ROOT / ".tmp" / "bench"
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix="data-") as folder:
        yield _Runner(Path(folder))


class _Runner:
    """Runs processes on folders below one that is thrown away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prepared: dict[tuple[object, ...], Path] = {}

    def measure(self, case: Case, subject: str, size: Mapping[str, int], step: str = "measure") -> Measurement:
        if subject in case.prepare:
            try:
                return self._step(case, subject, size, step, self._prepare(case, subject, size))
            except _PrepareError as error:
                return Measurement(error=str(error))
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            return self._step(case, subject, size, step, folder)
        finally:
            shutil.rmtree(folder)

    def _prepare(self, case: Case, subject: str, size: Mapping[str, int]) -> Path:
        key = (case.prepare[subject], subject, tuple(size.items()))
        if key not in self._prepared:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            done = self._step(case, subject, size, "prepare", folder)
            if done.error:
                raise _PrepareError(done.error)
            self._prepared[key] = folder
        return self._prepared[key]

    def _step(self, case: Case, subject: str, size: Mapping[str, int], step: str, folder: Path) -> Measurement:
        whole = case.subjects[subject]
        variables = environment(folder)
        if isinstance(whole, str):
            return _process([python(subject), "-c", whole], variables, folder)
        task = {"case": case.id, "subject": subject, "step": step, "folder": str(folder), "size": dict(size)}
        variables["PYTHONPATH"] = str(ROOT)
        command = [python(subject), "-m", "benchmarks.child", json.dumps(task)]
        done = _process(command, variables, folder)
        if done.error:
            return done
        return Measurement(**{**json.loads(done.answer), "peak_mb": done.peak_mb})


class _PrepareError(Exception):
    """What should be measured could not be prepared."""


def _process(command: list[str], variables: dict[str, str], folder: Path) -> Measurement:
    """One process, start to end. Its answer is the last line that it printed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=variables, cwd=folder, stdout=out, stderr=err)
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(_TIMEOUT, stop)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu_seconds = usage.ru_utime + usage.ru_stime
        peak_mb = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        if expired.is_set():
            return Measurement(seconds, cpu_seconds, peak_mb, error=f"no end after {_TIMEOUT:.0f} s")
        out.seek(0)
        err.seek(0)
        printed, problems = out.read().strip().splitlines(), err.read().strip().splitlines()
    if process.returncode:
        raised = [line for line in problems if re.match(r"[\w.]+: ", line)]
        return Measurement(seconds, cpu_seconds, peak_mb, error=raised[-1] if raised else f"exit {process.returncode}")
    return Measurement(seconds, cpu_seconds, peak_mb, answer=printed[-1] if printed else None)


def _check_answers(case: Case, measured: Measured) -> None:
    answers = {
        subject: json.dumps(measurement.answer)
        for subject, measurements in measured.items()
        for measurement in measurements
        if not measurement.error
    }
    if len(set(answers.values())) > 1:
        raise AssertionError(f"{case.id}: the subjects did not do the same: {answers}")


def _shown(measurement: Measurement) -> str:
    if measurement.error:
        return measurement.error
    requests = "" if measurement.requests is None else f"   {measurement.requests} requests"
    return (
        f"{measurement.seconds:9.3f} s {measurement.cpu_seconds:9.3f} s of CPU {measurement.peak_mb:7.0f} MB{requests}"
    )
