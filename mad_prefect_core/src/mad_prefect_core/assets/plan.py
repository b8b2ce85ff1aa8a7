"""What a call of an asset is to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mad_prefect_core.artifacts.files import FormatOptions
from mad_prefect_core.assets.code import code_digest
from mad_prefect_core.assets.identity import digest
from mad_prefect_core.assets.options import DataAssetOptions

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """An asset with all its templates filled in."""

    name: str
    id: str
    paths: Sequence[str]
    artifacts_dir: str
    options: DataAssetOptions
    call: Callable[[], Any] = field(repr=False)
    arguments: Mapping[str, Any] = field(repr=False)
    in_2x: Callable[[str], str | None] = field(default=lambda name: None, repr=False)
    """Gives the id that the asset has in 2.x under a name; None where that would not tell its arguments apart."""
    earlier: Callable[[str], str] | None = field(default=None, repr=False)
    """Gives the id that the asset had when its module was called so; None where its name does not go by the module."""

    def folders(self) -> list[str]:
        """Where its own paths are: records of it may lead there."""
        return [*(path.rpartition("/")[0] for path in self.paths), self.artifacts_dir]

    @cached_property
    def formats(self) -> FormatOptions:
        """The options of formats, as one call has them."""
        return self.options.formats()

    def signature(self) -> str:
        """Digest of what changes the stored result besides the arguments: a hit needs the same."""
        formats = self.formats
        options = [(type(o).__qualname__, o.model_dump(mode="json")) for o in (*formats.read, *formats.write)]
        code = [code_digest(self.call)] if "code" in self.options.cache_on else []
        compat = ["as 2.x"] if formats.as_2x else []
        return digest(list(self.paths), self.options.artifact_filetype, options, *code, *compat)
