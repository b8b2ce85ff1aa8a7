"""What is measured: the cases of all workloads, and what each should reach."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from benchmarks import workloads
from benchmarks.bench import Bench

__all__ = ["SUBJECTS", "Case", "Targets", "all_cases"]

SUBJECTS = ("ours", "old", "floor")

Step: TypeAlias = Callable[[Bench], Any]
"""Does the work, and returns an answer that must be the same for all subjects."""


@dataclass(frozen=True)
class Targets:
    """What a case should reach; None where nothing is asked."""

    old: float | None = None
    """At least so many times as fast as mad-prefect 2.3.0."""
    floor: float | None = None
    """At most so many times what the floor takes."""
    requests: int | None = None
    """At most so many HTTP requests."""


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    workload: str
    """`W1` and so on."""
    name: str
    subjects: Mapping[str, Step | str]
    """What each subject does: a function, or the source of a process that is measured whole."""
    size: Mapping[str, int] = field(default_factory=dict)
    quick: Mapping[str, int] | None = None
    """The size in the quick form, of which a case without it is no part."""
    targets: Targets = Targets()
    metric: Literal["seconds", "peak_mb", "requests"] = "seconds"
    """What is compared with the targets."""
    prepare: Mapping[str, Step] = field(default_factory=dict)
    """What a subject does once before all measurements, untimed, in the folder that they then share. Cases with the
    same function and size share it too."""
    repeat: int | None = None
    """At most so many measurements, where each takes long."""

    @property
    def id(self) -> str:
        """Workload and name: `W1 JSON fragments`."""
        return f"{self.workload} {self.name}"


def all_cases() -> list[Case]:
    """The cases of every module in `workloads`, in order."""
    names = sorted(module.name for module in pkgutil.iter_modules(workloads.__path__))
    return [case for name in names for case in importlib.import_module(f"{workloads.__name__}.{name}").CASES]
