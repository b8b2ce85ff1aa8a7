"""Apache ORC for mad-prefect."""

from mad_prefect_orc.format import OrcFormat
from mad_prefect_orc.options import ReadOrcOptions, WriteOrcOptions

__all__ = ["OrcFormat", "ReadOrcOptions", "WriteOrcOptions"]
