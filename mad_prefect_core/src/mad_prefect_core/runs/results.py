"""Result files, as records keep them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mad_prefect_core.errors import PathError
from mad_prefect_core.paths import is_url, relative_key, safe_segment, split_url
from mad_prefect_core.runs.column_type import ColumnType
from mad_prefect_core.runs.stored import Count, RecordedPath

__all__ = ["ResultRecord", "own_file", "run_in"]


class ResultRecord(BaseModel):
    """One result file of a run: where users see it, where its bytes stay, and how to know them."""

    model_config = ConfigDict(frozen=True)

    path: RecordedPath
    """The very path that the user named, relative to the base, or a URL."""
    file: RecordedPath
    """The run's own file with the same bytes, which no later run changes."""
    format: str
    suffix: str
    size: Count
    """In bytes."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    token: str
    """The storage's version token of `path` when it was published."""
    columns: dict[str, ColumnType]
    """DuckDB types by column, in order."""
    nulls: dict[str, Count] = {}
    """How many values are NULL, by column."""
    indexed: bool = False
    """Whether it is noted by its path whose result this is."""
    write: dict[str, Any] = {}
    """The format's write options that were set: a reader needs to know them."""

    def is_own(self, asset_name: str, run_id: str) -> bool:
        """Whether `file` is where a run of the asset keeps the bytes of `path`, so that nobody else's can be meant."""
        return bool(run_id) and _is_own(self.path, self.file, asset_name, run_id)


@lru_cache(maxsize=1024)
def _is_own(path: str, file: str, asset_name: str, run_id: str) -> bool:
    try:
        expected = own_file(relative_key(split_url(path)[1]), asset_name, run_id)
    except PathError:
        return False
    if not is_url(path) or split_url(path)[0] == "mad":
        return file == expected
    # Beside it on its own storage, which spells folders in its own way. Where that may be is not told here.
    same = is_url(file) and split_url(file)[0] == split_url(path)[0]
    return same and file.endswith(f"/{expected[expected.rindex('_artifacts/asset=') :]}")


_RUN = re.compile(r"/([0-9a-f]{32})/[^/]*\Z")


def run_in(path: str) -> str:
    """The id of the run whose folder a path is in, by the path alone; "" where that is no run's."""
    found = _RUN.search(f"/{path}")
    return found[1] if found else ""


def own_file(key: str, asset_name: str, run_id: str) -> str:
    """The key of a run's own file for the result at `key`: on the same storage, so that it can be linked, under a name
    that no reader of `**/*.suffix` matches."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}_artifacts/asset={safe_segment(asset_name)}/{run_id}/{name}.run"
