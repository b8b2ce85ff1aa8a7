"""Every protocol of an installed fsspec filesystem for mad-prefect, as far as no other plugin serves it."""

from mad_prefect_fsspec.options import FsspecOptions
from mad_prefect_fsspec.storage import FsspecStorage, FsspecStore

__all__ = ["FsspecOptions", "FsspecStorage", "FsspecStore"]
