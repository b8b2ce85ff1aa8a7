"""Azure Blob Storage for mad-prefect: the protocols `az`, `abfs` and `abfss`."""

from mad_prefect_azure.options import AzureOptions
from mad_prefect_azure.storage import AzureStorage

__all__ = ["AzureOptions", "AzureStorage"]
