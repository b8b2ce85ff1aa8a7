"""What can be said about every object store beside the URL."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from mad_prefect_core.contracts import Options
from mad_prefect_core.errors import OptionError

__all__ = ["ObjectStoreOptions"]


class ObjectStoreOptions(Options):
    """The options that all object stores have. A storage adds its own."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

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

    def block(self) -> Any:
        """The Prefect block, as it is now; None without one. Raises `OptionError` where there is none of its name."""
        if not isinstance(self.credentials, str):
            return self.credentials
        from prefect.blocks.core import Block  # noqa: PLC0415  Prefect takes a second to import

        try:
            return Block.load(self.credentials, _sync=True)  # type: ignore[call-arg]
        except ValueError as error:
            raise OptionError(f"The credentials {self.credentials!r} can't be loaded: {error}") from None
