"""What became of each entry point, and how messages name it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
from dataclasses import dataclass, field
from typing import Literal

from mad_prefect_core.errors import PluginError, PluginLoadError

__all__ = ["PluginRecord", "canonical", "failed", "new_record", "state", "summary"]


@dataclass
class PluginRecord:
    """One entry point: where it comes from, and what became of it.

    Of a plugin that failed, nothing is used: it brings no format and no storage, and none of its hooks is called.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Literal["loaded", "blocked", "failed"] = "loaded"
    error: PluginError | None = None
    formats: list[str] = field(default_factory=list)
    storages: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)

    @property
    def package(self) -> str:
        """The top-level package of its module."""
        return re.split(r"[.:]", self.module.strip())[0]

    @property
    def source(self) -> str:
        """The distribution and its version, as error messages name them."""
        return f"{self.distribution} {self.version}"

    @property
    def label(self) -> str:
        """The entry point and its source, as error messages name them."""
        return f"{self.name} ({self.source})"


def new_record(entry_point: importlib.metadata.EntryPoint) -> PluginRecord:
    distribution = entry_point.dist
    name = version = None
    if distribution is not None:
        with contextlib.suppress(Exception):  # metadata that is damaged or missing
            about = distribution.metadata  # parsed at each look, with all that it says of the distribution
            name, version = about["Name"], about["Version"]
    return PluginRecord(
        name=entry_point.name,
        distribution=name or "(a distribution without a name)",
        version=version or "(no version)",
        module=entry_point.value,
    )


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def summary(error: BaseException) -> str:
    text = str(error).rstrip().removesuffix(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def state(record: PluginRecord) -> str:
    """Why a plugin is not in use, to go on after its name."""
    if record.error is not None:
        return f"but it failed: {record.error.message}"
    return "but it is blocked by MAD_PREFECT_PLUGINS_ALLOW or MAD_PREFECT_PLUGINS_DENY"


def failed(record: PluginRecord, what: str, error: BaseException) -> PluginLoadError:
    failure = PluginLoadError(f"{what}: {summary(error)}", plugin=record.label)
    failure.__cause__ = error
    return failure
