"""How Avro is read and written."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mad_prefect_avro.codecs import Codec
from mad_prefect_core.sdk import Options, ReadOptions

__all__ = ["AvroSchema", "ReadAvroOptions", "WriteAvroOptions"]


def _loaded(value: Any) -> Any:
    """A schema as JSON has it, of that, of its text, or of the path of an `.avsc` file."""
    if isinstance(value, Path):
        value = value.read_text(encoding="utf-8")
    return json.loads(value) if isinstance(value, str) else value


AvroSchema = Annotated[dict[str, Any] | list[Any] | str, BeforeValidator(_loaded)]


class ReadAvroOptions(ReadOptions):
    """Options of the Avro reader."""

    avro_schema: AvroSchema | None = Field(
        None,
        description="The schema to read by, instead of each file's own: a dict, JSON text, or the `Path` of an `.avsc` "
        "file. Aliases, defaults and promotions hold as Avro has them.",
    )

    def only_for_files(self) -> Collection[str]:
        """As `ReadOptions.only_for_files`."""
        return self._set_otherwise("union_by_name", "avro_schema")


class WriteAvroOptions(Options):
    """Options of the Avro writer."""

    compression: Codec = Field(
        "deflate", description="How blocks are compressed. Every reader knows `null` and `deflate`."
    )
    compression_level: int | None = Field(None, description="As the codec has it; its own default if not given.")
    block_size: int = Field(64_000, gt=0, description="Bytes of rows, uncompressed, in one block.")
    avro_schema: AvroSchema | None = Field(
        None,
        description="The schema to write by, instead of one made of the columns' types: a dict, JSON text, or the "
        "`Path` of an `.avsc` file. A column that it has no field for is refused.",
    )
    record_name: str = Field("Row", pattern="^[A-Za-z_][A-Za-z0-9_]*$", description="The name of the record.")
    namespace: str = Field(
        "mad_prefect",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*)?$",
        description="The namespace of the record; those of its members are below it.",
    )
    docs: Mapping[str, str] = Field({}, description="What is said of a column in the schema, by the column's name.")
