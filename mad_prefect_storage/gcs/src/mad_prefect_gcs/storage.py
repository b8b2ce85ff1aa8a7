"""Objects on Google Cloud Storage."""

from __future__ import annotations

from mad_prefect_core.sdk import ObjectClient, ObjectStorage
from mad_prefect_gcs.options import GCSOptions

__all__ = ["GCSStorage"]


class GCSStorage(ObjectStorage[GCSOptions]):
    """Google Cloud Storage."""

    name = "gcs"
    protocols = ("gs", "gcs")
    environment = ("CLOUDSDK_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
    options = GCSOptions

    def client(self, url: str, options: GCSOptions) -> ObjectClient:
        from mad_prefect_gcs.client import GCSClient  # noqa: PLC0415  as the base says

        return GCSClient(options)
