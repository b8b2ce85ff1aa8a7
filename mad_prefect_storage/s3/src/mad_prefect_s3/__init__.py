"""Amazon S3 and compatible stores for mad-prefect: the protocols `s3` and `s3a`."""

from mad_prefect_s3.options import S3Options
from mad_prefect_s3.storage import S3Storage

__all__ = ["S3Options", "S3Storage"]
