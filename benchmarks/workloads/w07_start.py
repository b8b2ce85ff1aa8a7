"""W7: a whole process: one that only imports, and one that defines an asset, lands three rows and queries them."""

from __future__ import annotations

from benchmarks.cases import Case, Targets

IMPORT = {
    "ours": "from mad_prefect_core import asset",
    "old": "from mad_prefect.data_assets import asset",
    "floor": "import duckdb",
}

OURS = """
from mad_prefect_core import asset

@asset("three.parquet")
def three():
    return [{"id": 1}, {"id": 2}, {"id": 3}]

print(len(three.query_sync("WHERE id > 1").fetchall()))
"""

OLD = """
import asyncio
from mad_prefect.data_assets import asset

@asset("three.parquet")
def three():
    return [{"id": 1}, {"id": 2}, {"id": 3}]

print(len(asyncio.run(three.query("WHERE id > 1")).fetchall()))
"""

FLOOR = """
import duckdb, json

rows = [{"id": 1}, {"id": 2}, {"id": 3}]
with open("three.json", "w") as file:
    file.writelines(json.dumps(row) + "\\n" for row in rows)
duckdb.execute("COPY (FROM 'three.json') TO 'three.parquet'")
print(len(duckdb.sql("FROM 'three.parquet' WHERE id > 1").fetchall()))
"""

CASES = [
    Case("W7", "import", IMPORT, {}, {}),
    Case("W7", "minimal process", {"ours": OURS, "old": OLD, "floor": FLOOR}, {}, {}, Targets(old=6, floor=1.5)),
]
