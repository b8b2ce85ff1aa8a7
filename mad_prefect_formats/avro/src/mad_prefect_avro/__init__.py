"""Apache Avro for mad-prefect."""

from mad_prefect_avro.format import AvroFormat
from mad_prefect_avro.options import ReadAvroOptions, WriteAvroOptions

__all__ = ["AvroFormat", "ReadAvroOptions", "WriteAvroOptions"]
