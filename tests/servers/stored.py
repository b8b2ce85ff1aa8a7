"""What tests store in a bucket, and how they look at it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mad_prefect_core.sdk import ObjectStore
from mad_prefect_core.session import DuckSession
from mad_prefect_core.stores import staged_file

__all__ = ["asked", "content", "publish", "stored"]


def publish(bucket: Any, fs: Any, key: str, data: bytes) -> str:
    """The path of what the product has published."""
    path: str = bucket.path(key)
    staged = staged_file(path)
    staged.write_bytes(data)
    ObjectStore(fs).publish(staged, path)
    assert not staged.exists()
    return path


def content(session: DuckSession, fs: Any, path: str) -> bytes:
    """The bytes that DuckDB reads."""
    files = ObjectStore(fs).duckdb_files(session, [path])
    return bytes(session.sql("SELECT content FROM read_blob($1)", [files]).fetchall()[0][0])


def stored(bucket: Any, fs: Any, query: str) -> str:
    """The path of a query's Parquet file that somebody else wrote: what a client wrote itself, it has not to read."""
    staged = staged_file(bucket.path("x.parquet"))
    with DuckSession() as session:
        session.execute(f"COPY ({query}) TO $path (FORMAT parquet)", {"path": str(staged)})
    return str(bucket.put("x.parquet", staged.read_bytes()))


def asked(bucket: Any) -> Counter[str]:
    """How many requests of each method there were since it was last asked."""
    seen = Counter(request.method for request in bucket.proxy.requests)
    bucket.proxy.count()
    return seen
