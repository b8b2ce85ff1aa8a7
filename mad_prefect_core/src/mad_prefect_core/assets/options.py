"""The options of an asset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mad_prefect_core.artifacts.files import FormatOptions
from mad_prefect_core.contracts import Options, ReadOptions

__all__ = ["UNSET", "DataAssetOptions", "ManyReadOptions", "ManyWriteOptions", "Unset"]

ManyReadOptions = ReadOptions | list[ReadOptions] | tuple[ReadOptions, ...] | None
ManyWriteOptions = Options | list[Options] | tuple[Options, ...] | None


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

    def formats(self) -> FormatOptions:
        """The options of formats, together. Raises `OptionError`."""
        return FormatOptions.of(self.read_options, self.write_options, self.read_json_options, self.read_csv_options)
