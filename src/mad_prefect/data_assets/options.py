"""Read options, as in mad-prefect 2.x. Each belongs to its format's plugin now."""

from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions

__all__ = ["ReadCSVOptions", "ReadJsonOptions"]
