"""The page on S3 says what is so."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from s3_server import S3Server

from mad_prefect_s3 import S3Options

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "s3.md"


def test_what_a_reader_copies_from_the_page_works_and_prints_what_the_page_says(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moto_server.client().create_bucket(Bucket="my-bucket")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FILESYSTEM_URL", "s3://my-bucket/lake")
    for name, value in moto_server.environment.items():
        monkeypatch.setenv(name, value)
    blocks = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    assert len(blocks) == PAGE.read_text("utf-8").count("```python")

    names: dict[str, object] = {"__name__": "__main__"}
    for code, expected in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)  # noqa: S102  the code of the page
        assert printed.getvalue() == expected


def test_every_option_is_on_the_page_and_says_of_itself_what_it_is() -> None:
    page = PAGE.read_text("utf-8")
    for name, field in S3Options.model_fields.items():
        assert f"`{name}`" in page
        assert field.description
