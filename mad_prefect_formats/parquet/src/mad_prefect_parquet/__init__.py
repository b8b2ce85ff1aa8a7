"""Apache Parquet for mad-prefect."""

from mad_prefect_parquet.format import ParquetFormat
from mad_prefect_parquet.options import ReadParquetOptions, WriteParquetOptions

__all__ = ["ParquetFormat", "ReadParquetOptions", "WriteParquetOptions"]
