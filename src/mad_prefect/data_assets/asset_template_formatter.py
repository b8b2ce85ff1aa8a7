"""`AssetTemplateFormatter`, as in mad-prefect 2.x."""

from mad_prefect_core.assets.templates import AssetTemplateFormatter

__all__ = ["AssetTemplateFormatter"]
