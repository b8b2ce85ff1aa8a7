"""Result files, as records keep them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["ResultRecord"]


class ResultRecord(BaseModel):
    """One result file of a run: where users see it, where its bytes stay, and how to know them."""

    model_config = ConfigDict(frozen=True)

    path: str
    """The very path that the user named, relative to the base, or a URL."""
    file: str
    """The run's own file with the same bytes, which no later run changes."""
    format: str
    suffix: str
    size: int
    """In bytes."""
    sha256: str
    token: str
    """The storage's version token of `path` when it was published."""
    columns: dict[str, str]
    """DuckDB types by column, in order."""
    nulls: dict[str, int] = {}
    """How many values are NULL, by column."""
    write: dict[str, Any] = {}
    """The format's write options that were set: a reader needs to know them."""
