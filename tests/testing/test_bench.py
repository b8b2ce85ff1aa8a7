"""What a contract test tells of a format is the format's own error, and no other that came in its wake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.session import DuckSession
from mad_prefect_core.testing.formats.bench import Bench
from mad_prefect_json import JsonFormat


class LeavesAReaderOpen(JsonFormat):
    def write(self, relation: str, schema: Any, path: Path, context: Any) -> None:
        self.reader = context.session.sql(f"FROM {relation}").to_arrow_reader(10)
        self.reader.read_next_batch()
        raise KeyError("the format's own error")


def test_an_open_reader_does_not_replace_the_error_of_the_format_that_left_it(tmp_path: Path) -> None:
    with DuckSession.for_writing() as session, pytest.raises(KeyError, match="the format's own error"):
        Bench(LeavesAReaderOpen(), session, tmp_path).export("FROM range(1_000_000) AS r(i)")
