"""The options of an asset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from mad_prefect_core.artifacts.files import FormatOptions
from mad_prefect_core.contracts import Options, ReadOptions
from mad_prefect_core.errors import OptionError
from mad_prefect_core.runs.retention import Retention

__all__ = ["UNSET", "CacheOn", "DataAssetOptions", "ManyReadOptions", "ManyWriteOptions", "OnRunning", "Unset"]

ManyReadOptions = ReadOptions | list[ReadOptions] | tuple[ReadOptions, ...] | None
ManyWriteOptions = Options | list[Options] | tuple[Options, ...] | None
CacheOn = Literal["code", "upstream"]
OnRunning = Literal["wait", "reuse", "fail"]


class Unset:
    """The type of "not given", which is something else than None."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


@dataclass(frozen=True)
class DataAssetOptions:
    """Everything about an asset but its function, path and name. The first six are those of 2.x."""

    artifacts_dir: str = ""
    snapshot_artifacts: bool = False
    artifact_filetype: str | None = None
    """Format of fragments; None for the one that is best for rows, or for columns, as each item needs."""
    read_json_options: ReadOptions | None = None
    read_csv_options: ReadOptions | None = None
    cache_expiration: timedelta | None = None
    read_options: ManyReadOptions = None
    write_options: ManyWriteOptions = None
    on_running: OnRunning = "wait"
    """What a call does while another run of the asset is under way."""

    fragment_rows: int | None = None
    """Rows that a fragment has at least, but the last; None for a fragment a yield."""
    retention: Retention | None = None
    """Which runs' results are kept as history."""
    cache_on: tuple[CacheOn, ...] = ()
    """What makes a call run again, besides age, arguments and options."""

    def __post_init__(self) -> None:
        if self.on_running not in get_args(OnRunning):
            raise OptionError(
                f"on_running can't be {self.on_running!r}", hint=f"It is one of: {', '.join(get_args(OnRunning))}."
            )
        if self.fragment_rows is not None and self.fragment_rows < 1:
            raise OptionError(f"fragment_rows can't be {self.fragment_rows!r}", hint="It is 1 or more, or None.")
        if isinstance(self.cache_on, str) or set(self.cache_on) - set(get_args(CacheOn)):
            raise OptionError(
                f"cache_on can't be {self.cache_on!r}", hint=f"It is a tuple of: {', '.join(get_args(CacheOn))}."
            )

    def formats(self) -> FormatOptions:
        """The options of formats, together. Raises `OptionError`."""
        return FormatOptions.of(self.read_options, self.write_options, self.read_json_options, self.read_csv_options)
