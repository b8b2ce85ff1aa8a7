"""What the core is told of a format: names, capabilities, options."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mad_prefect_core.batch import RowBatch
from mad_prefect_core.contracts import FormatLike, Options, ReadOptions
from mad_prefect_core.plugins.faults import format_faults
from mad_prefect_core.testing.base import complaint, needs, raises
from mad_prefect_core.testing.formats.bench import READ_ERRORS, Bench, FormatBase

__all__ = ["SurfaceContract"]


_REFUSE = "Leave `extra` of the model as it is in `Options`."
_READ_BACK = "Have read_back() say how to read what these write options write."


class SurfaceContract(FormatBase, contract=True):
    """Names, capabilities and options."""

    def test_it_has_what_the_contract_asks_for(self, format: FormatLike[Any, Any]) -> None:
        """It has every attribute and method of a format, and suffixes that are told apart, in lower case."""
        wrong = list(format_faults(format))
        assert not wrong, complaint("It is no format", "See `mad_prefect_core.sdk.Format`.", (f"it {x}" for x in wrong))
        assert issubclass(format.read_options, ReadOptions)
        assert issubclass(format.write_options, Options)
        assert format.suffixes, "It has no suffix"
        assert len(set(format.suffixes)) == len(format.suffixes), "It has a suffix twice"
        wrong = [suffix for suffix in format.suffixes if suffix != suffix.lower() or not suffix.startswith(".")]
        assert not wrong, complaint("Suffixes are found by no path", "Begin them with a dot, in lower case.", wrong)

    def test_a_misspelt_option_is_refused(self, format: FormatLike[Any, Any]) -> None:
        """An option that does not exist is an error that names it, rather than one without effect."""
        for model in (format.read_options, format.write_options):
            with raises(ValidationError, f"{model.__name__} takes an option that does not exist", _REFUSE):
                model.model_validate({"no_such_option": True})

    def test_every_option_is_optional_and_described(self, format: FormatLike[Any, Any]) -> None:
        """Every option has a default, and a description for whoever looks for it."""
        wrong = []
        for model in (format.read_options, format.write_options):
            for name, field in model.model_fields.items():
                if field.is_required():
                    wrong.append(f"{model.__name__}.{name} has no default")
                if not field.description and name not in ReadOptions.model_fields:
                    wrong.append(f"{model.__name__}.{name} has no description")
        assert not wrong, complaint("Options are not told", "Give each a default and a description.", wrong)

    def test_how_files_read_back_leaves_folders_and_names_to_the_user(self, format: FormatLike[Any, Any]) -> None:
        """Whether folders make columns, and how files unite, stays as the user says also for files of a run."""
        back = format.read_back(format.write_options())
        assert isinstance(back, format.read_options)
        wrong = back.explicit().keys() & ReadOptions.model_fields.keys()
        assert not wrong, complaint("read_back() decides what is the user's", "Leave these unset.", wrong)

    def test_a_file_reads_back_whatever_it_was_written_with(self, bench: Bench, write_variants: list[Options]) -> None:
        """No write option spoils a file for the asset that wrote it, whatever options its user reads others by."""
        rows: list[dict[str, Any]] = [
            {"id": 1, "text": "a;b,'c'\t|"},
            {"id": 2, "text": "-"},
            {"id": None, "text": None},
            {"id": 3, "text": ""},
        ]
        wrong, schema = [], {"id": "BIGINT", "text": "VARCHAR"}
        for options in write_variants:
            try:
                path = bench.write(RowBatch(rows), RowBatch(rows[:1]), options=options)
                found: object = bench.scan(path, schema=schema, written=options).fetchall()
            except READ_ERRORS as error:
                found = error
            if found != [tuple(row.values()) for row in [*rows, rows[0]]]:
                wrong.append(f"{options!r}: {found}")
        assert not wrong, complaint("What was written with an option is read as other rows", _READ_BACK, wrong)

    @needs("compression")
    def test_every_codec_that_it_declares_can_be_written(self, bench: Bench) -> None:
        """The codecs that it declares are values of the option `compression`, and their files are not all alike."""
        written = set()
        fields = bench.format.write_options.model_fields
        assert "compression" in fields, "It declares codecs, and has no write option `compression`"
        for codec in bench.format.capabilities.compression:
            try:
                options = bench.format.write_options.model_validate({"compression": codec})
            except ValidationError as error:
                pytest.fail(
                    complaint(f"It declares {codec}, which `compression` refuses", "Declare no other.", [error])
                )
            path, schema = bench.export("SELECT repeat('mad', 1000) AS v FROM range(1000)", options=options)
            found = bench.scan(path, schema=schema, written=options)
            counted = found.aggregate("count(*), min(length(v))").fetchall()
            assert counted == [(1000, 3000)], complaint(f"A file compressed by {codec} is read wrongly", _READ_BACK)
            written.add(path.read_bytes())
        assert len(written) == len(bench.format.capabilities.compression), "Two codecs give the same file"
