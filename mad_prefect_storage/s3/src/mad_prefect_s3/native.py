"""DuckDB's own way to S3: its extension httpfs, and a secret for the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import duckdb

from mad_prefect_core.sdk import OptionError, Session, escape_glob, quote

if TYPE_CHECKING:
    from mad_prefect_s3.client import S3Files

__all__ = ["native_urls"]


def native_urls(session: Session, fs: S3Files, paths: Sequence[str]) -> list[str]:
    """What httpfs reads these by. The bucket's secret is made anew each time, with the credentials of the moment.

    Raises `OptionError` where the extension can't be loaded: it is never downloaded from here.
    """
    try:
        session.execute("LOAD httpfs")
    except duckdb.Error as error:
        raise OptionError(
            f"DuckDB can't load its extension httpfs: {str(error).splitlines()[0]}",
            hint="Run `INSTALL httpfs` in DuckDB once, or leave the option duckdb at 'pinned'.",
        ) from None
    for bucket in {path.partition("/")[0] for path in paths}:
        _make_secret(session, fs, bucket)
    return [f"s3://{escape_glob(path)}" for path in paths]


def _make_secret(session: Session, fs: S3Files, bucket: str) -> None:
    server = urlsplit(fs.server())
    key, secret, token = fs.run(fs.credentials) or (None, None, None)
    said = {
        "SCOPE": f"s3://{bucket}/",
        "KEY_ID": key,
        "SECRET": secret,
        "SESSION_TOKEN": token,
        "REGION": fs.s3.meta.region_name,
        "ENDPOINT": None if fs.is_amazon() else server.netloc,
        "USE_SSL": str(server.scheme != "http").lower(),
        "URL_STYLE": "vhost" if fs.is_amazon() or fs.options.addressing_style == "virtual" else "path",
    }
    # DuckDB takes no parameters here.
    pairs = ", ".join(f"{name} '{_doubled(str(value))}'" for name, value in said.items() if value is not None)
    session.execute(f"CREATE OR REPLACE TEMPORARY SECRET {quote(f'mad_prefect_{bucket}')} (TYPE s3, {pairs})")


def _doubled(text: str) -> str:
    return text.replace("'", "''")
