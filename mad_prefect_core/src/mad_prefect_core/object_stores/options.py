"""What can be said about every object store beside the URL."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from mad_prefect_core.contracts import Options
from mad_prefect_core.errors import OptionError

__all__ = ["ObjectStoreOptions", "without_password"]


class ObjectStoreOptions(Options):
    """The options that all object stores have. A storage adds its own."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    identity: ClassVar[frozenset[str]] = frozenset()
    """The options that together are one identity: a key of one account is of no use with a secret of another."""
    in_blocks: ClassVar[Mapping[str, Sequence[str]]] = {}
    """How Prefect's blocks name them where they do it otherwise; a dot leads into another block."""
    in_environment: ClassVar[str | None] = None
    """What stands before their names in the environment, if the service's library does not look there itself."""

    credentials: Any = Field(
        None,
        description="A Prefect block with credentials, or its type and name as text, such as "
        "'aws-credentials/production'. Loaded anew when the server refuses the old ones.",
    )
    attempts: int = Field(6, ge=1, description="How often a request is tried, the first time included.")
    connect_timeout: float = Field(5, gt=0, description="Seconds.")
    read_timeout: float = Field(60, gt=0, description="Seconds without a byte from the server.")
    conditional_writes: Literal["probe", "require", "trust"] = Field(
        "probe",
        description="What to do about a server that ignores the conditions of writes, unless it is known to keep them. "
        "'probe': find out at the first write and warn, then compare before each write, which keeps apart all but the "
        "closest rivals; 'require': find out, and refuse to write; 'trust': do not find out.",
    )

    def access(self) -> dict[str, Any]:
        """What the options, the Prefect block as it is now, and the environment together say of a storage's own
        options, in this order; secrets in clear. Of an identity, the first that says any of it says all."""
        names = sorted(set(type(self).model_fields) - set(ObjectStoreOptions.model_fields))
        block, prefix = self.block(), self.in_environment
        sources = [
            {name: getattr(self, name) for name in names},
            {name: _in_block(block, self.in_blocks.get(name, (name,))) for name in names},
            {name: os.environ.get(prefix + name.upper()) if prefix else None for name in names},
        ]
        said: dict[str, Any] = {}
        for name in names:
            said[name] = next(filter(None, (source[name] for source in sources)), None)
        known = next((source for source in sources if any(source[name] for name in self.identity)), said)
        said |= {name: known[name] for name in self.identity}
        if said.get("endpoint_url") and not said.get("anon"):  # libraries refuse to send a password beside a signature
            said["endpoint_url"] = without_password(said["endpoint_url"])
        return {name: _reveal(value) for name, value in said.items()}

    def block(self) -> Any:
        """The Prefect block, as it is now; None without one. Raises `OptionError` where there is none of its name."""
        if not isinstance(self.credentials, str):
            return self.credentials
        from prefect.blocks.core import Block  # noqa: PLC0415  Prefect takes a second to import

        try:
            return Block.load(self.credentials, _sync=True)  # type: ignore[call-arg]
        except ValueError as error:
            raise OptionError(f"The credentials {self.credentials!r} can't be loaded: {error}") from None


def without_password(said: BaseException | str) -> str:
    """An error in words, or a text, without passwords that URLs in it may have."""
    text = said if isinstance(said, str) else f"{type(said).__name__}: {said}".removesuffix(": ")
    return re.sub(r"//[^/?#\s]*@", "//", text)


def _reveal(value: Any) -> Any:
    """What a secret holds; other values as they are."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _in_block(block: Any, names: Sequence[str]) -> Any:
    found = (functools.reduce(lambda of, part: getattr(of, part, None), name.split("."), block) for name in names)
    return next(filter(None, found), None)
