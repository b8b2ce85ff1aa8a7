"""What can be said about S3 beside the URL."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, Secret, SecretStr, model_validator

from mad_prefect_core.sdk import ObjectStoreOptions, OptionError

__all__ = ["S3Options"]


class S3Options(ObjectStoreOptions):
    """Options of the storage `s3`. What is not given comes from where AWS's own tools take it: the environment
    variables named below, `~/.aws/config` and `~/.aws/credentials`, and the roles of containers and instances."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"cache_regions", "fixed_upload_size", "version_aware"})
    identity: ClassVar[frozenset[str]] = frozenset({"key", "secret", "token", "profile"})
    in_blocks: ClassVar[Mapping[str, Sequence[str]]] = {
        "key": ("aws_access_key_id", "minio_root_user"),
        "secret": ("aws_secret_access_key", "minio_root_password"),
        "token": ("aws_session_token",),
        "profile": ("profile_name",),
        "region": ("region_name",),
        "endpoint_url": ("aws_client_parameters.endpoint_url",),
    }

    key: SecretStr | None = Field(None, description="Access key id. Environment: AWS_ACCESS_KEY_ID.")
    secret: SecretStr | None = Field(None, description="Secret access key. Environment: AWS_SECRET_ACCESS_KEY.")
    token: SecretStr | None = Field(None, description="Of temporary credentials. Environment: AWS_SESSION_TOKEN.")
    profile: str | None = Field(None, description="A profile of ~/.aws/config. Environment: AWS_PROFILE.")
    role_arn: str | None = Field(
        None,
        description="A role to take on with the other credentials, anew before its own run out. Roles of web "
        "identities come from the environment: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE.",
    )
    external_id: SecretStr | None = Field(None, description="What the owner of the role asks for beside its name.")
    anon: bool = Field(False, description="Send unsigned requests, for public buckets.")
    endpoint_url: str | None = Field(
        None, description="Another server than AWS. Environment: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL."
    )
    region: str | None = Field(None, description="Environment: AWS_REGION or AWS_DEFAULT_REGION.")
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Whether the bucket is in the path or the host name of a request."
    )
    verify: bool | str = Field(
        True,
        description="Check the server's certificate; or the path of a file of authorities. Environment: AWS_CA_BUNDLE.",
    )
    use_ssl: bool = Field(True, description="False: as the URL of the server says it, which begins with http://.")
    requester_pays: bool = Field(False, description="Agree to pay for requests to somebody else's bucket.")
    s3_additional_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters for all calls that know them, such as ServerSideEncryption, SSEKMSKeyId, StorageClass.",
    )
    client_kwargs: Secret[dict[str, Any]] = Field(
        Secret({}), description="More arguments for the botocore client, as s3fs takes them."
    )
    config_kwargs: dict[str, Any] = Field(default_factory=dict, description="More arguments for botocore's Config.")

    @model_validator(mode="before")
    @classmethod
    def _as_s3fs_takes_them(cls, given: Any) -> Any:
        """Some have other names there; `use_ssl` is said by the URL of the server."""
        if not isinstance(given, Mapping):
            return given
        names = {"username": "key", "password": "secret", "anonymous": "anon"}
        return {names.get(name, name) if names.get(name) not in given else name: given[name] for name in given}

    @property
    def checks(self) -> bool | str | None:
        """What certificates are checked by, as botocore takes it: with True it would not look at AWS_CA_BUNDLE."""
        said = self.client_kwargs.get_secret_value().get("verify", self.verify)
        return None if said is True else said

    @model_validator(mode="after")
    def _can_be_so(self) -> S3Options:
        path = self.checks
        if path is not None and not isinstance(path, bool) and not os.path.isfile(path):
            raise OptionError(f"verify is True, False or the path of a file of authorities, not {str(path)!r}")
        server = self.endpoint_url or self.client_kwargs.get_secret_value().get("endpoint_url")
        if not self.use_ssl and not str(server or "").startswith("http://"):
            raise OptionError("use_ssl=False needs the server's URL", hint="Give endpoint_url='http://…' instead.")
        if (self.key is None) != (self.secret is None):
            raise OptionError("key and secret belong together")
        return self
