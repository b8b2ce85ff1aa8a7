"""How JSON is read and written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import Field

from mad_prefect_core.sdk import ISO, Options, ReadOptions

__all__ = ["ReadJsonOptions", "WriteJsonOptions"]


class ReadJsonOptions(ReadOptions):
    """Options of DuckDB's `read_json`, by its names. None leaves DuckDB's own default in force."""

    maximum_object_size: int | None = Field(
        33554432, description="Bytes that one object may have. DuckDB keeps buffers of twice this size for each thread."
    )
    format: str | None = Field(
        "auto", description="`auto`, `newline_delimited`, `array`, or `unstructured` (objects one after the other)."
    )
    field_appearance_threshold: float | None = Field(
        0,
        description="Objects whose keys appear less often than this, on average, are read as maps; 0: never. Where "
        "neither this nor the next is given, those within rows are that have over 100 keys, on average in less than a "
        "tenth of the objects.",
    )
    map_inference_threshold: int | None = Field(
        -1,
        description="Objects with more keys than this, of one type, are read as maps; -1: never. If set, it decides "
        "for an asset's own rows, too.",
    )
    sample_size: int | None = Field(
        -1, description="As in 2.x. All objects are looked at to infer types, so that the types hold for all."
    )
    columns: dict[str, str] | None = Field(
        None, description="DuckDB types of some columns, by name. The types of all others are inferred."
    )
    timestampformat: str | None = Field(None, description="How timestamps are written, as in `strptime`.")
    auto_detect: bool | None = Field(None, description="Infer names and types.")
    compression: str | None = Field(
        None, description="`uncompressed`, `gzip` or `zstd`. The file's suffix tells it if not given."
    )
    convert_strings_to_integers: bool | None = Field(None, description="Infer integers from strings of digits.")
    dateformat: str | None = Field(None, description="How dates are written, as in `strptime`.")
    filename: bool | None = Field(None, description="Add a column `filename` that says where each row came from.")
    ignore_errors: bool | None = Field(None, description="Leave malformed objects out. Newline-delimited files only.")
    maximum_depth: int | None = Field(
        None, description="Levels of nesting that get types; deeper ones stay JSON. -1: all."
    )
    records: str | None = Field(
        None, description="`true`: each object is a row; `false`: one column `json` holds whatever there is; or `auto`."
    )

    beside_values = ReadOptions.beside_values | {"maximum_object_size"}

    def named_columns(self) -> Sequence[str]:
        """As `ReadOptions` says, and so below."""
        return tuple(self.columns or ())

    def named_types(self) -> Mapping[str, str]:
        return self.columns or {}

    def spelling(self) -> Mapping[str, Any]:
        return self.model_dump(include={"dateformat", "timestampformat"}, exclude_none=True)

    def taken_for(self, kinds: Collection[str]) -> Collection[str]:
        if self.auto_detect is False:
            return ()
        return {*kinds, "BIGINT"} if self.convert_strings_to_integers else kinds

    def map_threshold(self) -> int | None:
        return self.map_inference_threshold if "map_inference_threshold" in self.model_fields_set else None

    def only_for_files(self) -> Collection[str]:
        """As `ReadOptions.only_for_files`. The spelling of dates counts for columns whose type `columns` names, and
        where it is that by which text is taken for dates anyway."""
        found = self._set_otherwise(
            "union_by_name", "format", "field_appearance_threshold", "compression", "filename", "maximum_depth"
        )
        if self.records == "false":
            found.append("records")
        if not self.columns:
            found += [name for name in ("dateformat", "timestampformat") if getattr(self, name) not in (None, *ISO)]
        return found


class WriteJsonOptions(Options):
    """JSON is always written newline-delimited, which needs no options."""
