"""JSON for mad-prefect: arrays, newline-delimited and single objects."""

from mad_prefect_json.format import JsonFormat
from mad_prefect_json.options import ReadJsonOptions, WriteJsonOptions

__all__ = ["JsonFormat", "ReadJsonOptions", "WriteJsonOptions"]
