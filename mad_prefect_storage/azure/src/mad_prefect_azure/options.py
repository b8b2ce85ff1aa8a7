"""What can be said about Azure Blob Storage beside the URL."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from mad_prefect_core.sdk import ObjectStoreOptions

__all__ = ["AzureOptions"]

_WHO = ("account_key", "anon", "client_secret", "connection_string", "sas_token")
_OF_BLOCKS = {"endpoint_url": "account_url"}


class AzureOptions(ObjectStoreOptions):
    """Options of the storage `azure`. Without a key, a SAS token or a client's secret, who asks is what
    `DefaultAzureCredential` finds: the environment, workload and managed identities, the login of Azure's tools."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {"assume_container_exists", "blocksize", "location_mode", "socket_timeout", "version_aware"}
    )

    account_name: str | None = Field(None, description="Environment: AZURE_STORAGE_ACCOUNT_NAME; or in the URL.")
    account_key: SecretStr | None = Field(None, description="Environment: AZURE_STORAGE_ACCOUNT_KEY.")
    sas_token: SecretStr | None = Field(None, description="Environment: AZURE_STORAGE_SAS_TOKEN.")
    connection_string: SecretStr | None = Field(None, description="Environment: AZURE_STORAGE_CONNECTION_STRING.")
    tenant_id: str | None = Field(None, description="Of a service principal. Environment: AZURE_STORAGE_TENANT_ID.")
    client_id: str | None = Field(None, description="Of a service principal. Environment: AZURE_STORAGE_CLIENT_ID.")
    client_secret: SecretStr | None = Field(None, description="Its secret. Environment: AZURE_STORAGE_CLIENT_SECRET.")
    anon: bool = Field(False, description="Send unsigned requests, for public containers.")
    endpoint_url: str | None = Field(None, description="Another server than https://ACCOUNT.blob.core.windows.net.")

    def access(self) -> dict[str, Any]:
        """What the options, the Prefect block as it is now, and the environment together say of who asks whom."""
        names = set(type(self).model_fields) - set(ObjectStoreOptions.model_fields)
        block = self.block()
        sources = [
            {name: getattr(self, name) for name in names},
            {name: getattr(block, _OF_BLOCKS.get(name, name), None) for name in names},
            {name: os.environ.get(f"AZURE_STORAGE_{name.upper()}") for name in names},
        ]
        said = {name: next(filter(None, (source[name] for source in sources)), None) for name in names}
        # Of who asks, one of the three says all: keys of two accounts are of no use together.
        first = next((source for source in sources if any(source[name] for name in _WHO)), said)
        said |= {name: first[name] for name in _WHO}
        return {n: value.get_secret_value() if isinstance(value, SecretStr) else value for n, value in said.items()}
