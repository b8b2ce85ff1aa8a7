"""`FluentDataAssetConfigurator`, as in mad-prefect 2.x."""

from mad_prefect.data_assets.configurators.fluent_data_asset_configurator import FluentDataAssetConfigurator

__all__ = ["FluentDataAssetConfigurator"]
