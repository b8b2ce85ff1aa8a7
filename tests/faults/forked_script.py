"""Scripts that run in processes of their own, forked from one that has imported the package: that takes a second."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

from mad_prefect_core.testing.storages import processes  # noqa: F401  it says what the process that forks imports


class Script:
    """`python path arguments`, started, with what `subprocess.Popen` has of it. What it prints goes to a file."""

    def __init__(self, path: Path, arguments: list[str], environment: dict[str, str], printed: Path) -> None:
        self._printed = printed
        self._process = multiprocessing.get_context("forkserver").Process(
            target=_run, args=(str(path), arguments, environment, str(printed)), daemon=True
        )
        self._process.start()

    def communicate(self, timeout: float) -> tuple[str, None]:
        """All that it has printed, once it has ended."""
        self._process.join(timeout)
        assert self.poll() is not None, "it hangs"
        return self._printed.read_text(), None

    @property
    def returncode(self) -> int | None:
        """Negative for a signal."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As `returncode`."""
        return self._process.exitcode

    def send_signal(self, signal: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, signal)


def _run(path: str, arguments: list[str], environment: dict[str, str], printed: str) -> None:
    with open(printed, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [path, *arguments]
    runpy.run_path(path, run_name="__main__")
