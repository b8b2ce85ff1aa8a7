"""Objects on S3."""

from __future__ import annotations

from mad_prefect_core.sdk import ObjectClient, ObjectStorage
from mad_prefect_s3.options import S3Options

__all__ = ["S3Storage"]


class S3Storage(ObjectStorage[S3Options]):
    """S3 and what speaks its language."""

    name = "s3"
    protocols = ("s3", "s3a")
    environment = ("AWS_",)
    options = S3Options

    def client(self, url: str, options: S3Options) -> ObjectClient:
        from mad_prefect_s3.client import S3Client  # noqa: PLC0415  as the base says

        return S3Client(options)
