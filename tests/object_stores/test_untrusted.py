"""An untrusted query of an asset on S3 opens that asset's objects, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from mad_prefect_core import asset, untrusted
from mad_prefect_core.errors import QueryError


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json", "avro"])
async def test_each_format_on_s3_is_read_behind_the_walls(
    based: Any, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset(f"orders.{suffix}", name=f"test.s3.{suffix}")
    def orders() -> Any:
        return [{"id": 1}, {"id": 2}]

    assert (await orders.query("SELECT sum(id)", untrusted=True)).fetchall() == [(3,)]
    monkeypatch.setattr(untrusted, "_checked", lambda query, main, tables: (query, frozenset()))
    with pytest.raises(QueryError):
        await orders.query(f"FROM '{based.url}/orders.{suffix}'", untrusted=True)
