"""Local disk for mad-prefect: the protocols `file` and `local`, and plain paths."""

from mad_prefect_local.options import LocalOptions
from mad_prefect_local.storage import LocalStorage, LocalStore

__all__ = ["LocalOptions", "LocalStorage", "LocalStore"]
