"""Objects on Azure Blob Storage."""

from __future__ import annotations

from dataclasses import replace

from mad_prefect_azure.options import AzureOptions
from mad_prefect_core.sdk import ObjectClient, ObjectStorage

__all__ = ["AzureStorage"]


class AzureStorage(ObjectStorage[AzureOptions]):
    """Azure Blob Storage. A store is one account; a bucket is a container."""

    name = "azure"
    protocols = ("az", "abfs", "abfss")
    capabilities = replace(ObjectStorage.capabilities, refused_characters="\\")
    environment = ("AZURE_",)
    options = AzureOptions

    def client(self, url: str, options: AzureOptions) -> ObjectClient:
        from mad_prefect_azure.client import AzureClient  # noqa: PLC0415  as the base says

        return AzureClient(options, self.host(url))
