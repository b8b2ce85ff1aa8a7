"""The base of every option model."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr

from mad_prefect_core.redaction import without_secrets

__all__ = ["ISO", "Options", "ReadOptions"]

ISO = frozenset({"%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"})
"""Spellings of dates and timestamps, as in `strptime`, which all text in them is taken for unless told otherwise."""


class Options(BaseModel):
    """Base of a plugin's read, write and storage options.

    A misspelt option is refused rather than ignored, and a field that holds a secret is a `SecretStr`, so that
    neither `repr` nor a log shows it. What is within other fields under a name that is a secret's, or in a URL, is not
    shown either. `explicit()` keeps "not given" apart from a given default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_secrets(value, name or "")

    def explicit(self) -> dict[str, object]:
        """Only the fields that the user set, by name."""
        return self.model_dump(exclude_unset=True)

    def fingerprint(self) -> str:
        """A digest that differs where any option does, also within secrets: what a cache of clients goes by.

        An object that is no plain value is known by its identity, so whoever keeps the digest keeps the options too.
        """
        return hashlib.sha256(repr(_revealed(dict(self))).encode()).hexdigest()


def _revealed(value: Any) -> object:
    if isinstance(value, Secret | SecretStr | SecretBytes):
        return "secret", _revealed(value.get_secret_value())
    if isinstance(value, Mapping):
        return [(_revealed(name), _revealed(item)) for name, item in value.items()]
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    if type(value) in (str, bytes, int, float, bool, type(None)):
        return value
    return type(value).__qualname__, id(value)


class ReadOptions(Options):
    """Base of a format's read options. A field left at None leaves the reader's own default in force."""

    model_config = ConfigDict(frozen=False)  # 2.x let them be changed after they were made

    hive_partitioning: bool | None = True
    """Make columns of the `key=value` folders that the user wrote into a path."""
    union_by_name: bool | None = True
    """Unite the files by column name rather than by position."""

    def only_for_files(self) -> Collection[str]:
        """The options set here that would do nothing to rows which are stored by these options.

        They say how files of others are read. Rows that a function returns are written and read back in one way,
        whatever they say; so they are refused there, rather than accepted without effect.
        """
        return self._set_otherwise("union_by_name")

    def _set_otherwise(self, *names: str) -> list[str]:
        """Those of these options that are neither left open nor as they are unless given."""
        fields = type(self).model_fields
        return [name for name in names if getattr(self, name) not in (None, fields[name].default)]
