"""What a format really does: a row there and back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mad_prefect_core.batch import RowBatch
from mad_prefect_core.contracts import FormatLike, ReadContext, WriteContext
from mad_prefect_core.errors import CorruptFileError
from mad_prefect_core.paths import escape_glob
from mad_prefect_core.reading import read_files
from mad_prefect_core.session import DuckSession
from mad_prefect_core.writing import writer_of

__all__ = ["try_format"]

_ROW = {"id": 1, "text": "it's"}
_SCHEMA = {"id": "BIGINT", "text": "VARCHAR"}


def try_format(format: FormatLike[Any, Any]) -> None:
    """Write a row to a temporary file with the format's default options, and read it back as an asset does.

    Raises `CorruptFileError` where another row comes back, and whatever the format raises.
    """
    suffix, options = format.suffixes[0], format.write_options()
    with tempfile.TemporaryDirectory() as folder, DuckSession.for_writing() as session:
        path = Path(folder, f"row{suffix}")
        writer = writer_of(format, path, WriteContext[Any](session=session, options=options, suffix=suffix))
        try:
            writer.write(RowBatch([_ROW]))
            writer.close()
        except BaseException:
            writer.abort()
            raise
        context = ReadContext[Any](session=session, options=format.read_back(options), suffix=suffix, schema=_SCHEMA)
        rows = read_files(format, [escape_glob(str(path))], context).fetchall()
    if rows != [tuple(_ROW.values())]:
        raise CorruptFileError(f"A file of one row is read as {rows!r:.200}")
