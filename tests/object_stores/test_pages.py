"""The pages on object stores say what is so."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_azure import AzureOptions
from mad_prefect_gcs import GCSOptions
from mad_prefect_s3 import S3Options

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
PAGE = {"s3": "s3.md", "gs": "gcs.md", "az": "azure.md"}
OPTIONS = {"s3.md": S3Options, "gcs.md": GCSOptions, "azure.md": AzureOptions}


def test_what_a_reader_copies_from_the_page_works_and_prints_what_the_page_says(based: Any) -> None:
    type(based).new(based.server, based.proxy, "my-bucket")
    page = (PAGES / PAGE[based.scheme]).read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == page.count("```python")

    names: dict[str, object] = {"__name__": "__main__"}
    for code, expected in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "the page", "exec", dont_inherit=True), names)  # noqa: S102  the code of the page
        assert printed.getvalue() == expected


@pytest.mark.parametrize("page", OPTIONS)
def test_every_option_is_on_the_page_and_says_of_itself_what_it_is(page: str) -> None:
    text = (PAGES / page).read_text("utf-8")
    for name, field in OPTIONS[page].model_fields.items():
        assert f"`{name}`" in text, name
        assert field.description
