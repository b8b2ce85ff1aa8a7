"""What can be said about Google Cloud Storage beside the URL."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, SecretStr, field_validator

from mad_prefect_core.sdk import ObjectStoreOptions

__all__ = ["GCSOptions"]


class GCSOptions(ObjectStoreOptions):
    """Options of the storage `gcs`. What is not given comes from where Google's own tools take it: the environment
    variables named below, what `gcloud auth application-default login` has written, and the metadata server of
    machines and containers at Google."""

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {"cache_timeout", "check_connection", "consistency", "default_location", "requests_timeout", "secure_serialize",
         "session_kwargs", "timeout", "version_aware"}
    )  # fmt: skip

    token: SecretStr | None = Field(
        None,
        description="Who asks: the JSON of a service account or of an authorised user, the path of a file with it, an "
        "access token, 'anon' for unsigned requests to public buckets, or 'google_default' for Google's default "
        "credentials. These are used also if nothing is given, unless the server speaks plain HTTP: it is asked "
        "anonymously then. Environment: GOOGLE_APPLICATION_CREDENTIALS, a path.",
    )
    project: str | None = Field(
        None,
        description="The project that is billed; the credentials' by default. Environment: GOOGLE_CLOUD_PROJECT.",
    )
    endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices("endpoint_url", "endpoint"),
        pattern="^https?://",
        description="Another server than Google's, such as an emulator. Environment: STORAGE_EMULATOR_HOST.",
    )
    requester_pays: bool = Field(False, description="Have the project pay for requests to somebody else's bucket.")

    @field_validator("token", mode="before")
    @classmethod
    def _as_gcsfs_takes_it(cls, token: Any) -> Any:
        """A service account may come as the dict that its JSON stands for."""
        return json.dumps(token) if isinstance(token, dict) else token
