"""What can be said about a filesystem of fsspec beside its URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from mad_prefect_core.sdk import Options

__all__ = ["FsspecOptions"]

_SHOWN = frozenset({"base_url", "host", "org", "port", "repo", "sha", "timeout", "user", "username"})


class FsspecOptions(Options):
    """Options of the storages that fsspec's filesystems make: those below, and whatever else the filesystem of the
    protocol takes, by its own names. Unless it is known to be none, an option is shown as a secret."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    require: Literal["atomic"] | None = Field(
        None, description="'atomic': refuse to write where a file can't be replaced at one moment, rather than warn."
    )
    password: SecretStr | None = Field(None, description="Of the user; in a URL it is refused.")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            known = name in type(self).model_fields or name in _SHOWN or isinstance(value, bool | int | None)
            yield name, value if known else "**********"

    def arguments(self) -> dict[str, Any]:
        """What the filesystem is made with, secrets as they are."""
        own = {name: value for name, value in self if name not in ("require", "password")}
        if self.password is not None:
            own["password"] = self.password
        return {name: _revealed(value) for name, value in own.items()}


def _revealed(value: Any) -> Any:
    if hasattr(type(value), "get_secret_value"):
        return _revealed(value.get_secret_value())
    if isinstance(value, Mapping):
        return {name: _revealed(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_revealed, value))
    return value
