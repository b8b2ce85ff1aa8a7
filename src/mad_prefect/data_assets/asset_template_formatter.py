"""`AssetTemplateFormatter`, as in mad-prefect 2.x."""

from __future__ import annotations

from typing import Any

from mad_prefect_core.assets.templates import AssetTemplateFormatter as CoreFormatter
from mad_prefect_core.assets.templates import has_fields

__all__ = ["AssetTemplateFormatter"]


class AssetTemplateFormatter(CoreFormatter):
    """As that of assets, for a user's own templates, except that fields within values are filled in too."""

    def format(self, template: str | None, allow_partial: bool = False, **kwargs: Any) -> str | None:
        """The template filled in until nothing is left to fill in. Raises as the core's."""
        text, seen = template, set[str]()
        while text is not None and text not in seen and (has_fields(text) or not seen):
            seen.add(text)
            text = super().format(text, allow_partial, **kwargs)
        return text
