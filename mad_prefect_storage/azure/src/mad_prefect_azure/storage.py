"""Objects on Azure Blob Storage."""

from __future__ import annotations

from dataclasses import replace

from mad_prefect_azure.options import AzureOptions
from mad_prefect_core.sdk import ObjectFiles, ObjectStorage, ObjectStore

__all__ = ["AzureStorage", "AzureStore"]


class AzureStore(ObjectStore):
    """Azure Blob Storage, one account of it. A bucket is a container."""

    with_host = True


class AzureStorage(ObjectStorage[AzureOptions]):
    """Azure Blob Storage."""

    name = "azure"
    protocols = ("az", "abfs", "abfss")
    capabilities = replace(ObjectStorage.capabilities, refused_characters="\\")
    environment = ("AZURE_",)
    options = AzureOptions
    store = AzureStore

    def open(self, url: str, options: AzureOptions) -> AzureStore:
        from mad_prefect_azure.client import AzureClient  # noqa: PLC0415  listing plugins must cost nothing

        return AzureStore(ObjectFiles(AzureClient(options, self.host(url))))
