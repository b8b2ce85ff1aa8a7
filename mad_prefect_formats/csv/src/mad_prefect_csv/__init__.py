"""CSV and TSV for mad-prefect."""

from mad_prefect_csv.format import CsvFormat
from mad_prefect_csv.options import ReadCSVOptions, WriteCSVOptions

__all__ = ["CsvFormat", "ReadCSVOptions", "WriteCSVOptions"]
