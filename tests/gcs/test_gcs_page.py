"""The page on Google Cloud Storage says what is so."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from gcs_server import Bucket, GCSServer

from mad_prefect_gcs import GCSOptions

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "gcs.md"


def test_what_a_reader_copies_from_the_page_works_and_prints_what_the_page_says(
    own_server: GCSServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own_server.buckets["my-bucket"] = Bucket()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FILESYSTEM_URL", "gs://my-bucket/lake")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", own_server.url)
    blocks = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    assert len(blocks) == PAGE.read_text("utf-8").count("```python")

    names: dict[str, object] = {"__name__": "__main__"}
    for code, expected in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)  # noqa: S102  the code of the page
        assert printed.getvalue() == expected


def test_every_option_is_on_the_page_and_says_of_itself_what_it_is() -> None:
    page = PAGE.read_text("utf-8")
    for name, field in GCSOptions.model_fields.items():
        assert f"`{name}`" in page
        assert field.description
