"""A fragment that something else changes before the union costs an error, never rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import asset
from mad_prefect_core.errors import CorruptFileError

ROWS = 50


def _emptied(data: bytes) -> bytes:
    return b""


def _half(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[: len(lines) // 2])


def _doubled(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join((*lines, *lines[1:]))


@pytest.mark.parametrize("change", [_emptied, _half, _doubled])
@pytest.mark.parametrize("format", ["json", "csv"])
def test_a_fragment_that_was_changed_before_the_union_loses_no_row_in_silence(
    base: Path, format: str, change: Callable[[bytes], bytes]
) -> None:
    broken = False

    @asset("x.parquet", artifact_filetype=format, artifacts_dir=f"parts_{format}")
    def rows() -> Iterator[Any]:
        yield [{"n": n} for n in range(ROWS)]
        yield [{"n": n} for n in range(ROWS)]
        for fragment in base.glob(f"parts_{format}/*/fragment=0.*") if broken else ():
            fragment.write_bytes(change(fragment.read_bytes()))

    rows.call_sync()
    broken = True
    with pytest.raises(CorruptFileError, match="100 rows when they were written") as raised:
        rows.call_sync()
    assert (raised.value.asset, raised.value.phase) == (rows.name, "union")
    broken = False
    found = rows.query_sync("SELECT count(*), sum(n)")
    assert found is not None
    assert found.fetchall() == [(2 * ROWS, ROWS * (ROWS - 1))]
