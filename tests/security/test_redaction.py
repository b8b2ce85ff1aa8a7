"""Secrets in every form of them, and what DuckDB's errors quote (S46)."""

from __future__ import annotations

import base64
import html
import json
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mad_prefect_core import asset
from mad_prefect_core.assets.privacy import redacted
from mad_prefect_core.errors import MadPrefectError, QueryError, StorageError
from mad_prefect_core.redaction import MASK, is_secret_name, mask, mask_urls

SECRET = "s3cr3t/Key+with 'quotes' & \"more\" é%\\="

SECRET_NAMES = [
    "jwt",
    "pin",
    "pat",
    "otp",
    "webhook",
    "cert",
    "certificate",
    "private_key",
    "client_secret",
    "totp",
    "mfa",
    "cvv",
    "ssn",
    "userPin",
    "PIN",
    "webhook_url",
    "x-api-key",
    "dbPassword",
    "sas_token",
    "AWSAccessKeyId",
    "X-Amz-Signature",
    "passcode",
    "pem",
]
ORDINARY_NAMES = [
    "pint",
    "spin",
    "pattern",
    "option",
    "certain",
    "path",
    "patch",
    "opinion",
    "monkey",
    "author",
    "keyboard",
    "opt",
    "shipping",
    "compass",
    "passenger",
    "bypass",
    "postal",
    "item",
    "concert",
    "pinned",
]
FORMS: dict[str, Any] = {
    "itself": str,
    "percent-encoded": lambda s: quote(s, safe=""),
    "percent-encoded, lower case": lambda s: quote(s, safe="").replace("%2F", "%2f"),
    "percent-encoded as a path": quote,
    "percent-encoded twice": lambda s: quote(quote(s, safe=""), safe=""),
    "of a query": quote_plus,
    "of a query, twice": lambda s: quote_plus(quote_plus(s)),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda s: repr(s.encode()),
    "JSON": json.dumps,
    "JSON in JSON": lambda s: json.dumps(json.dumps(s)),
    "JSON in UTF-8": lambda s: json.dumps(s, ensure_ascii=False),
    "unicode escapes": lambda s: s.encode("unicode_escape").decode(),
    "hexadecimal": lambda s: s.encode().hex(),
    "hexadecimal, upper case": lambda s: s.encode().hex().upper(),
    "SQL": lambda s: s.replace("'", "''"),
    "HTML": html.escape,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64, unpadded": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
    "base64 after a user": lambda s: base64.b64encode(f"me:{s}".encode()).decode(),
    "base64 within more": lambda s: base64.b64encode(f"user:{s}:more".encode()).decode(),
    "base64, percent-encoded": lambda s: quote(base64.b64encode(s.encode()).decode(), safe=""),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_masked_in_every_form_of_it(form: str) -> None:
    shown = FORMS[form](SECRET)
    inner = shown.strip("'\"\\b")
    masked = mask(f"401 for [{shown}], see above", [SECRET])
    assert MASK in masked
    assert masked.startswith("401 for [")
    assert masked.endswith("], see above")
    if form not in ("base64 after a user", "base64 within more"):
        assert not any(inner[at : at + 8] in masked for at in range(len(inner) - 8))


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=8, max_size=60).filter(
        lambda s: len(set(s)) > 3 and s == s.strip()
    ),
    form=st.sampled_from(sorted(FORMS)),
)
def test_any_secret_is_masked_in_every_form_of_it(secret: str, form: str) -> None:
    shown = FORMS[form](secret)
    masked = mask(f"x {shown} y", [secret])
    assert MASK in masked
    assert secret not in masked
    assert shown not in masked


@pytest.mark.parametrize("shown", ["sk-live-abcdefgh…", "sk-live-abcd...", "…mnopqrstuv", "sk-live-abcdefghijk"])
def test_the_beginning_or_end_of_a_long_secret_is_masked(shown: str) -> None:
    masked = mask(f"expected {shown}", ["sk-live-abcdefghijklmnopqrstuv"])
    assert masked.replace("…", "").strip(".") == f"expected {MASK}"


@pytest.mark.parametrize(
    ("secret", "text"), [("ab", "a fabulous cab"), ("1", "at 11:10"), ("12345678", "12 of 345678")]
)
def test_a_text_is_not_masked_where_the_secret_is_not(secret: str, text: str) -> None:
    assert mask(text, [secret]) == text


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:hunter2@bucket/x",
        "S3://KEY:hunter2@bucket/x",
        "s3://KEY:hun/ter2/hunter2@bucket/x",
        "s3://KEY:hunter2@hunter2@bucket/x",
        "s3://KEY:hun'hunter2@bucket/x",
        "s3://hunter2@bucket/x",
        "s3://KEY%3Ahunter2%40bucket/x",
        "s3%3A%2F%2FKEY%3Ahunter2%40bucket/x",
        "https://x.test/y?a=1&sig=hunter2&b=2",
        "https://x.test/y?X-Amz-Signature=hunter2",
        "https://x.test/y?X-Goog-Signature=hunter2",
        "https://x.test/y#access_token=hunter2",
        "https%3A%2F%2Fx.test%2Fy%3Ftoken%3Dhunter2",
        "https:\\/\\/x.test\\/y?token=hunter2",
    ],
)
def test_a_url_shows_no_password_and_no_signature(url: str) -> None:
    masked = mask_urls(f"No such file: '{url}'")
    assert "hunter2" not in masked
    assert MASK in masked
    assert "hunter2" not in str(StorageError(f"No such file: {url}", path=url, hint=f"See {url}."))
    assert "hunter2" not in repr(StorageError(f"No such file: {url}"))


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/key=1/x@y.parquet",
        "sftp://host:22/a/b@c",
        "s3://arn:aws:s3:eu-west-1:1234:accesspoint/point/x.json",
        "https://x.test/y?page=2#top",
        "file:///tmp/a:b/x.json",
    ],
)
def test_a_url_without_secrets_is_shown_as_it_is(text: str) -> None:
    assert mask_urls(text) == text


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ORDINARY_NAMES)
def test_ordinary_names_are_not_taken_for_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_a_number_is_a_secret_too_where_its_name_says_so() -> None:
    assert "4711" not in redacted("got 4711", {"pin": 4711})
    assert "4711" in redacted("got 4711", {"rows": 4711})


# -- DuckDB ----------------------------------------------------------------------------------------------------------

ROW = "Grace Hopper 1906"
QUERIES = [
    f"SELECT CAST('{ROW}' AS INT)",
    "SELECT CAST(name AS INT) FROM data",
    f"SELECT strptime('{ROW}', '%Y')",
    f"SELECT json_extract('{ROW}{{', '$.a')",
    f"SELECT error('{ROW}')",
    f'SELECT "{ROW}" FROM data',
    f"SELECT '{ROW}' || , 1",
    f"SELECT * FROM read_parquet('/{ROW}.parquet')",
    f"SELECT regexp_matches('a', '{ROW}(')",
    f"SELECT DATE '{ROW}'",
    f"SELECT ['{ROW}']::INT[]",
    f"SELECT CAST(E'\\n\\nLINE 1: {ROW}' AS INT)",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_run_record_has_no_text_of_a_query_and_no_value(base: Path, query: str) -> None:
    @asset("people.json", name="people")
    def people() -> Any:
        return [{"name": ROW}]

    @asset("x.json", name="x")
    async def x() -> Any:
        return await people.query(query)

    @asset("y.json", name="y")
    async def y() -> Any:
        duckdb.sql(query.replace("FROM data", f"FROM (SELECT '{ROW}' AS name)")).fetchall()

    for failing in (x, y):
        with pytest.raises((QueryError, duckdb.Error)):
            await failing()
    records = "".join(path.read_text() for path in base.rglob("asset_name=[xy]/**/metadata.json"))
    assert "failed" in records
    assert "Hopper" not in records
    assert "1906" not in records


async def test_an_error_over_rows_shows_little_of_them(base: Path) -> None:
    (base / "big.csv").write_text("a,b\n" + "".join(f"{i},{i}\n" for i in range(20)) + f"{ROW}{'x' * 10_000},2,3\n")

    @asset("x.json", name="x")
    async def x() -> Any:
        return duckdb.read_csv(f"{base}/big.csv", columns={"a": "INT", "b": "INT"}, header=True, auto_detect=False)

    with pytest.raises(MadPrefectError) as caught:
        await x()
    assert "x" * 500 not in str(caught.value)
    [record] = base.rglob("metadata.json")
    assert "Hopper" not in record.read_text()
    assert "xxxx" not in record.read_text()


async def test_a_failed_query_and_its_traceback_show_little_of_a_row(base: Path) -> None:
    @asset("x.json", name="x")
    def x() -> Any:
        return [{"a": ROW * 1000}]

    await x()
    with pytest.raises(QueryError, match="Conversion Error") as caught:
        (await x.query("SELECT CAST(a AS INT) FROM data")).fetchall()  # type: ignore[union-attr]
    assert "SELECT CAST(a AS INT)" in str(caught.value)
    assert len("".join(traceback.format_exception(caught.value, chain=True))) < 8000
    assert ROW * 100 not in "".join(traceback.format_exception(caught.value))


async def test_a_secret_of_the_arguments_is_in_no_form_in_the_record(base: Path) -> None:
    secret = "hunter2/very+secret é 'quoted'"

    @asset("x.json", name="x")
    def x(token: SecretStr, how: str) -> Any:
        raise ValueError(f"401: {FORMS[how](secret)}")

    for how in FORMS:
        with pytest.raises(ValueError, match="401"):
            await x(SecretStr(secret), how)
    records = [path.read_text() for path in base.rglob("metadata.json")]
    assert len(records) == len(FORMS)
    for record in records:
        error = json.loads(record)["data"]["error"]
        assert error.startswith("ValueError: 401: ")
        assert MASK in error
        assert len(error) < 45


def test_a_word_that_a_secret_begins_with_stays_readable() -> None:
    text = "a query may not call session_user()"
    assert mask(text, ["session-Rv7kq2Lw0z"]) == text
    assert "Rv7k" not in mask("it was session-Rv7k and more", ["session-Rv7kq2Lw0z"])
    assert "sesame" not in mask("it was sesame…", ["sesameopensesameopen"])
