"""DuckDB's own way to S3: its extension httpfs, and a secret for the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import duckdb

from mad_prefect_core.sdk import ObjectFiles, OptionError, Session, escape_glob, quote

__all__ = ["native_urls"]


def native_urls(session: Session, fs: ObjectFiles, paths: Sequence[str]) -> list[str]:
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


def _make_secret(session: Session, fs: ObjectFiles, bucket: str) -> None:
    client: Any = fs.client
    key, secret, token = fs.run(client.who) or (None, None, None)
    connected = fs.run(client.connected)
    server = urlsplit(client.server())
    said = {
        "SCOPE": f"s3://{bucket}/",
        "KEY_ID": key,
        "SECRET": secret,
        "SESSION_TOKEN": token,
        "REGION": connected.meta.region_name,
        "ENDPOINT": None if client.is_amazon() else server.netloc,
        "USE_SSL": str(server.scheme != "http").lower(),
        "URL_STYLE": "vhost" if client.is_amazon() or client.options.addressing_style == "virtual" else "path",
    }
    # DuckDB takes no parameters here.
    pairs = ", ".join(f"{name} '{_doubled(str(value))}'" for name, value in said.items() if value is not None)
    session.execute(f"CREATE OR REPLACE TEMPORARY SECRET {quote(f'mad_prefect_{bucket}')} (TYPE s3, {pairs})")


def _doubled(text: str) -> str:
    return text.replace("'", "''")
