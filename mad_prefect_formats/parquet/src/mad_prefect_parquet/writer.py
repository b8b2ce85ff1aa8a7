"""Writes DuckDB relations on their own connection, and all other batches by way of a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from mad_prefect_core.sdk import (
    Batch,
    PartsWriter,
    Schema,
    UnsupportedValueError,
    duckdb_schema,
    escape_glob,
    schema_of,
)
from mad_prefect_parquet.sqltypes import exported, refusing

__all__ = ["ParquetWriter"]


class ParquetWriter(PartsWriter):
    """As `PartsWriter`, except: the rows of a relation never leave DuckDB, unless Arrow has them as other
    types, or DuckDB would not check them."""

    def write_part(self, batch: Batch, path: Path) -> Schema:
        relation = batch.relation
        if relation is None:
            return super().write_part(batch, path)
        schema = schema_of(relation)
        # What was recorded of the batch are the types of its Arrow: a HUGEINT is a decimal there, for example.
        if schema != duckdb_schema(self.context.session, batch.schema) or _is_unchecked(relation, schema):
            return super().write_part(batch, path)
        columns = ", ".join(exported(self.context.session, schema))
        try:
            with refusing(schema):
                relation.set_alias("source").project(columns).to_parquet(str(path), **self.context.options.model_dump())
        except duckdb.PermissionException:  # the connection is not allowed to write files; nothing was read yet
            return super().write_part(batch, path)
        except duckdb.IOException:
            raise  # of the disk, as likely as of the relation
        except duckdb.Error as error:
            raise UnsupportedValueError(f"The relation can't be read: {error}") from error
        count = "SELECT num_rows FROM parquet_file_metadata($1)"
        batch.count = self.context.session.sql(count, [escape_glob(str(path))]).fetchall()[0][0]
        return schema


def _is_unchecked(relation: Any, schema: Schema) -> bool:
    """Whether DuckDB may take and write what it then can't read: maps with a key twice, which it reads from files, and
    text from Arrow that is not UTF-8."""
    kinds = " ".join(schema.values())
    return "MAP(" in kinds or ("VARCHAR" in kinds and "ARROW_SCAN" in relation.explain().upper())
