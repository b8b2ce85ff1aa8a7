"""Google Cloud Storage for mad-prefect: the protocols `gs` and `gcs`."""

from mad_prefect_gcs.options import GCSOptions
from mad_prefect_gcs.storage import GCSStorage

__all__ = ["GCSOptions", "GCSStorage"]
