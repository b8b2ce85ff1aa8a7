"""Objects on Google Cloud Storage."""

from __future__ import annotations

from mad_prefect_core.sdk import ObjectFiles, ObjectStorage, ObjectStore
from mad_prefect_gcs.options import GCSOptions

__all__ = ["GCSStorage"]


class GCSStorage(ObjectStorage[GCSOptions]):
    """Google Cloud Storage."""

    name = "gcs"
    protocols = ("gs", "gcs")
    environment = ("CLOUDSDK_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
    options = GCSOptions

    def open(self, url: str, options: GCSOptions) -> ObjectStore:
        from mad_prefect_gcs.client import GCSClient  # noqa: PLC0415  it takes long, and listing plugins must cost nothing

        return ObjectStore(ObjectFiles(GCSClient(options)))
