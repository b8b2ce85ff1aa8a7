"""The base of every option model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Options", "ReadOptions"]


class Options(BaseModel):
    """Base of a plugin's read, write and storage options.

    A misspelt option is refused rather than ignored, and a field that holds a secret is a `SecretStr`, so that
    neither `repr` nor a log shows it. `explicit()` keeps "not given" apart from a given default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def explicit(self) -> dict[str, object]:
        """Only the fields that the user set, by name."""
        return self.model_dump(exclude_unset=True)


class ReadOptions(Options):
    """Base of a format's read options. A field left at None leaves the reader's own default in force."""

    model_config = ConfigDict(frozen=False)  # 2.x let them be changed after they were made

    hive_partitioning: bool | None = True
    """Make columns of the `key=value` folders that the user wrote into a path."""
    union_by_name: bool | None = True
    """Unite the files by column name rather than by position."""
