"""What can be said about Azure Blob Storage beside the URL."""

from __future__ import annotations

from types import MappingProxyType

from pydantic import Field, SecretStr

from mad_prefect_core.sdk import ObjectStoreOptions

__all__ = ["AzureOptions"]


class AzureOptions(ObjectStoreOptions):
    """Options of the storage `azure`. Without a key, a SAS token or a client's secret, who asks is what
    `DefaultAzureCredential` finds: the environment, workload and managed identities, the login of Azure's tools."""

    without_effect = frozenset(
        {"assume_container_exists", "blocksize", "location_mode", "socket_timeout", "version_aware"}
    )
    identity = frozenset(
        {"account_key", "anon", "client_id", "client_secret", "connection_string", "sas_token", "tenant_id"}
    )
    in_blocks = MappingProxyType({"endpoint_url": ("account_url",)})
    in_environment = "AZURE_STORAGE_"

    account_name: str | None = Field(None, description="Environment: AZURE_STORAGE_ACCOUNT_NAME; or in the URL.")
    account_key: SecretStr | None = Field(None, description="Environment: AZURE_STORAGE_ACCOUNT_KEY.")
    sas_token: SecretStr | None = Field(None, description="Environment: AZURE_STORAGE_SAS_TOKEN.")
    connection_string: SecretStr | None = Field(None, description="Environment: AZURE_STORAGE_CONNECTION_STRING.")
    tenant_id: str | None = Field(None, description="Of a service principal. Environment: AZURE_STORAGE_TENANT_ID.")
    client_id: str | None = Field(None, description="Of a service principal. Environment: AZURE_STORAGE_CLIENT_ID.")
    client_secret: SecretStr | None = Field(None, description="Its secret. Environment: AZURE_STORAGE_CLIENT_SECRET.")
    anon: bool = Field(False, description="Send unsigned requests, for public containers.")
    endpoint_url: str | None = Field(None, description="Another server than https://ACCOUNT.blob.core.windows.net.")
