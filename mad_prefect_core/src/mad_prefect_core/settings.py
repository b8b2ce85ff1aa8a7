"""Settings: read from the environment when used, never at import.

The unprefixed names are those of mad-prefect 2.x.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mad_prefect_core.errors import OptionError
from mad_prefect_core.redaction import without_secrets

__all__ = ["Settings", "all_settings", "assign", "get_settings", "use_settings"]


class Settings(BaseModel):
    """Everything the environment can say. Each field's alias is the name of its variable, which counts where the field
    is not given by name or alias. Raises `OptionError` for a value that it can't have."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    filesystem_url: str = Field(
        "file://./.tmp/storage",
        alias="FILESYSTEM_URL",
        description="Base of all relative asset paths, as an fsspec URL.",
    )
    filesystem_block_name: str | None = Field(
        None,
        alias="FILESYSTEM_BLOCK_NAME",
        description="A saved FsspecFileSystem block; wins over FILESYSTEM_URL.",
    )
    asset_metadata_location: str = Field(
        "_asset_metadata",
        alias="ASSET_METADATA_LOCATION",
        description="Folder of manifests and run records, relative to the base.",
    )
    lease_seconds: float = Field(
        30.0,
        alias="MAD_PREFECT_LEASE_SECONDS",
        ge=1,
        le=86400,
        description="How long a run may be held up, in seconds, before another one may take its place.",
    )
    plugins_allow: str = Field(
        "",
        alias="MAD_PREFECT_PLUGINS_ALLOW",
        description="Comma-separated names of distributions; where set, the plugins of no other are loaded.",
    )
    plugins_deny: str = Field(
        "",
        alias="MAD_PREFECT_PLUGINS_DENY",
        description="Comma-separated entry-point or distribution names that are not loaded.",
    )
    plugin_timeout: float = Field(
        30,
        alias="MAD_PREFECT_PLUGIN_TIMEOUT",
        gt=0,
        description="Seconds that a plugin may take to be imported, and to answer each hook while it is loaded.",
    )
    duckdb_memory_limit: str | None = Field(
        None,
        alias="MAD_PREFECT_DUCKDB_MEMORY_LIMIT",
        description="DuckDB's memory_limit for this process, for example '2GB'; DuckDB's own default otherwise.",
    )
    duckdb_threads: int | None = Field(
        None,
        alias="MAD_PREFECT_DUCKDB_THREADS",
        ge=1,
        description="DuckDB's number of threads for this process; DuckDB's own default otherwise.",
    )
    untrusted_sql: bool = Field(
        False,
        alias="MAD_PREFECT_UNTRUSTED_SQL",
        description="Whether every query of the process is one that somebody else wrote, as with untrusted=True.",
    )

    compat: Literal["2", "3"] = Field(
        "3",
        alias="MAD_PREFECT_COMPAT",
        description="`2`: make results as mad-prefect 2.x made them, where the difference can't be an error.",
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_secrets(value)

    def __init__(self, **given: Any) -> None:
        # As pydantic-settings does it, whose import every process would pay for.
        fields = ((name, str(field.alias)) for name, field in type(self).model_fields.items())
        found = {alias: os.environ[alias] for name, alias in fields if alias in os.environ and name not in given}
        try:
            super().__init__(**found | given)
        except ValidationError as error:
            raise _refused(error) from None


def _refused(error: ValidationError) -> OptionError:
    problem = error.errors(include_url=False)[0]
    name = str(problem["loc"][0])
    field = Settings.model_fields.get(name)
    return OptionError(
        f"The setting {field.alias if field else name} can't be {problem['input']!r}: {problem['msg']}",
        hint="The reference of settings says what it may be.",
    )


_NAMES = tuple(str(field.alias) for field in Settings.model_fields.values())

_override: ContextVar[Settings | None] = ContextVar("mad_prefect_settings", default=None)
_overrides: list[Settings] = []  # of all threads and tasks


def get_settings() -> Settings:
    """The settings in force: those of `use_settings`, or the environment's as it is now."""
    return _override.get() or _of_environment()


_assigned: dict[str, str | None] = {}
"""By the names of variables, what a module constant of 2.x was set to."""


def assign(name: str, value: str | None) -> None:
    """Have a setting, by the name of its variable, for the whole process, whatever the environment says."""
    if name not in _NAMES:
        raise OptionError(f"There is no setting {name}")
    _assigned[name] = value


def _of_environment() -> Settings:
    # Asked for several times in every call of an asset, so not by a walk through the whole environment.
    found = {name: os.environ[name] for name in _NAMES if name in os.environ}
    return _of(tuple((found | _assigned if _assigned else found).items()))


@lru_cache(maxsize=16)
def _of(variables: tuple[tuple[str, str | None], ...]) -> Settings:
    # Making the model takes a millisecond or two, and a run asks for it some thirty times.
    return Settings(**dict(variables))


@contextlib.contextmanager
def use_settings(settings: Settings) -> Iterator[Settings]:
    """Have `settings` in force inside the block, for this thread or task."""
    token = _override.set(settings)
    _overrides.append(settings)
    try:
        yield settings
    finally:
        _overrides.remove(settings)
        _override.reset(token)


def all_settings() -> list[Settings]:
    """Those that any thread or task of this process may have in force now: the environment's first."""
    return [_of_environment(), *_overrides]
