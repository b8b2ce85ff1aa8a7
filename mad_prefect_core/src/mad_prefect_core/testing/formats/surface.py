"""What the core is told of a format: names, capabilities, options."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mad_prefect_core.batch import RowBatch
from mad_prefect_core.contracts import FormatLike, Options, ReadOptions
from mad_prefect_core.plugins.faults import format_faults
from mad_prefect_core.testing.base import needs
from mad_prefect_core.testing.formats.bench import Bench, FormatBase

__all__ = ["SurfaceContract"]


class SurfaceContract(FormatBase, contract=True):
    """Names, capabilities and options."""

    def test_it_has_what_the_contract_asks_for(self, format: FormatLike) -> None:
        """It has every attribute and method of a format, and suffixes that are told apart, in lower case."""
        assert not list(format_faults(format))
        assert issubclass(format.read_options, ReadOptions)
        assert issubclass(format.write_options, Options)
        assert format.suffixes
        assert len(set(format.suffixes)) == len(format.suffixes)
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in format.suffixes)

    def test_a_misspelt_option_is_refused(self, format: FormatLike) -> None:
        """An option that does not exist is an error that names it, rather than one without effect."""
        for model in (format.read_options, format.write_options):
            with pytest.raises(ValidationError, match="no_such_option"):
                model.model_validate({"no_such_option": True})

    def test_every_option_is_optional_and_described(self, format: FormatLike) -> None:
        """Every option has a default, and a description for whoever looks for it."""
        for model in (format.read_options, format.write_options):
            model()
            for name, field in model.model_fields.items():
                assert field.description or name in ReadOptions.model_fields, f"{model.__name__}.{name}"

    def test_how_files_read_back_leaves_folders_and_names_to_the_user(self, format: FormatLike) -> None:
        """Whether folders make columns, and how files unite, stays as the user says also for files of a run."""
        back = format.read_back(format.write_options())
        assert isinstance(back, format.read_options)
        assert not back.explicit().keys() & ReadOptions.model_fields.keys()

    def test_a_file_reads_back_whatever_it_was_written_with(self, bench: Bench, write_variants: list[Options]) -> None:
        """No write option spoils a file for the asset that wrote it, whatever options its user reads others by."""
        rows: list[dict[str, Any]] = [
            {"id": 1, "text": "a;b,'c'\t|"},
            {"id": 2, "text": "-"},
            {"id": None, "text": None},
            {"id": 3, "text": ""},
        ]
        for options in write_variants:
            path = bench.write(RowBatch(rows), RowBatch(rows[:1]), options=options)
            found = bench.scan(path, schema={"id": "BIGINT", "text": "VARCHAR"}, written=options)
            assert found.fetchall() == [tuple(row.values()) for row in [*rows, rows[0]]], repr(options)

    @needs("compression")
    def test_every_codec_that_it_declares_can_be_written(self, bench: Bench) -> None:
        """The codecs that it declares are values of the option `compression`, and their files are not all alike."""
        written = set()
        for codec in bench.format.capabilities.compression:
            options = bench.format.write_options.model_validate({"compression": codec})
            path, schema = bench.export("SELECT repeat('mad', 1000) AS v FROM range(1000)", options=options)
            found = bench.scan(path, schema=schema, written=options)
            assert found.aggregate("count(*), min(length(v))").fetchall() == [(1000, 3000)], codec
            written.add(path.read_bytes())
        assert len(written) == len(bench.format.capabilities.compression)
