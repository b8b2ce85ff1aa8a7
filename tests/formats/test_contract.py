"""What the core is told of each format."""

from __future__ import annotations

import importlib

import pytest

from mad_prefect_core.hookspecs import PLUGIN_API
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions

# The fields of mad-prefect 2.3.0 that had a default other than None, and all the others.
JSON_DEFAULTS = {
    "hive_partitioning": True, "union_by_name": True, "maximum_object_size": 33554432, "format": "auto",
    "field_appearance_threshold": 0, "map_inference_threshold": -1, "sample_size": -1,
}  # fmt: skip
JSON_OTHERS = (
    "columns timestampformat auto_detect compression convert_strings_to_integers dateformat filename ignore_errors "
    "maximum_depth records"
)
CSV_DEFAULTS = {"hive_partitioning": True, "union_by_name": True, "header": True, "auto_detect": True}
CSV_OTHERS = (
    "all_varchar allow_quoted_nulls auto_type_candidates buffer_size columns comment compression dateformat "
    "decimal_separator delim escape encoding filename force_not_null ignore_errors max_line_size column_names new_line "
    "normalize_names null_padding nullstr null parallel quote rejects_scan rejects_table rejects_limit rfc_4180 "
    "sample_size sep skip store_rejects timestampformat timestamp_format types dtypes column_types"
)


@pytest.mark.parametrize(
    ("model", "defaults", "others"),
    [(ReadJsonOptions, JSON_DEFAULTS, JSON_OTHERS), (ReadCSVOptions, CSV_DEFAULTS, CSV_OTHERS)],
)
def test_read_options_have_the_names_and_defaults_of_the_old_package(model, defaults, others):
    assert model().model_dump() == defaults | dict.fromkeys(others.split())


@pytest.mark.parametrize("name", ["json", "parquet", "csv", "avro"])
def test_each_plugin_has_the_same_surface(name):
    package = importlib.import_module(f"mad_prefect_{name}")
    assert package.__all__ == sorted(package.__all__)
    assert len(package.__all__) == 3
    assert all(hasattr(package, public) for public in package.__all__)
    plugin = importlib.import_module(f"mad_prefect_{name}.plugin")
    first, last = plugin.requires_plugin_api
    assert first <= PLUGIN_API <= last
    [format] = plugin.mad_prefect_formats()
    assert (format.name, format.suffixes[0]) == (name, f".{name}")
