"""Names that a reader could not tell apart."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mad_prefect_core.assets import asset
from mad_prefect_core.errors import SchemaError


@pytest.mark.parametrize(
    ("names", "reason"), [(["ID", "id"], "The columns 'ID' and 'id'"), ([""], "A column has no name")]
)
@pytest.mark.parametrize("columnar", [False, True])
async def test_columns_that_a_reader_could_not_tell_apart_never_reach_a_format(columnar, names, reason, format, base):
    @asset(f"x{format.suffixes[0]}", artifact_filetype=format.name)
    async def twins():
        rows = [dict.fromkeys(names, 1)]
        return pa.Table.from_pylist(rows) if columnar else rows

    with pytest.raises(SchemaError, match=reason):
        await twins()
    assert not (base / f"x{format.suffixes[0]}").exists()


async def test_folders_whose_keys_differ_in_case_alone_make_one_column(format, base):
    @asset(f"x{format.suffixes[0]}", artifacts_dir="year=2024/Year=2025", artifact_filetype=format.name)
    async def dated():
        return [{"a": 1}]

    relation = await (await dated()).query()
    assert (relation.columns, relation.fetchall()) == (["a", "year"], [(1, 2024)])
