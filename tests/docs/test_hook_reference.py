"""The hook reference is the live hook specs, and each of its examples is a plugin that loads."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pyarrow as pa
import pytest

from mad_prefect_core.batch.batches import ColumnBatch
from mad_prefect_core.batch.sources import iter_batches
from mad_prefect_core.contracts import ReadContext, WriteContext
from mad_prefect_core.errors import UnsupportedDataError
from mad_prefect_core.hookspecs import PLUGIN_API, HookSpecs
from mad_prefect_core.plugins import PluginHost, use_host
from mad_prefect_core.session import DuckSession, schema_of
from mad_prefect_core.writing import writer_of

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "hooks.md").read_text("utf-8")
HEADING = re.compile(r"^## (?P<name>mad_prefect_\w+)\((?P<arguments>[^)\n]*)\)\n\n(?P<summary>.+?)\n\n", re.M | re.S)
SPECS = {name: spec for name, spec in vars(HookSpecs).items() if name.startswith("mad_prefect_")}


def summary(documentation: str) -> str:
    return " ".join(documentation.split("\n\n")[0].split())


def section(hook: str) -> str:
    return REFERENCE.split(f"\n## {hook}(")[1].split("\n## ")[0]


@pytest.fixture(params=sorted(SPECS))
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def example(hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """The hook's example as a module that can be imported."""
    [source] = re.findall(r"^```python\n(.*?)^```", section(hook), re.M | re.S)
    name = f"example_of_{hook}"
    (tmp_path / f"{name}.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    del sys.modules[name]


def host_of(example: types.ModuleType) -> PluginHost:
    return PluginHost([EntryPoint("example", example.__name__, "mad_prefect")])


def test_the_reference_has_every_hook_and_no_other_in_the_order_of_the_specs() -> None:
    assert [found["name"] for found in HEADING.finditer(REFERENCE)] == list(SPECS)


def test_the_reference_has_the_arguments_of_every_hook() -> None:
    live = {name: ", ".join([*inspect.signature(spec).parameters][1:]) for name, spec in SPECS.items()}

    assert {found["name"]: found["arguments"] for found in HEADING.finditer(REFERENCE)} == live


def test_the_reference_says_of_every_hook_what_its_docstring_says_first() -> None:
    for found in HEADING.finditer(REFERENCE):
        documentation = summary(inspect.getdoc(SPECS[found["name"]]) or "")
        assert documentation
        assert documentation.startswith(summary(found["summary"])), found["name"]


def test_the_reference_has_the_plugin_api_that_this_core_has() -> None:
    assert f"`mad_prefect_core.PLUGIN_API`, now {PLUGIN_API}," in REFERENCE


def test_every_example_is_a_plugin_that_loads_and_has_the_hook(hook: str, example: types.ModuleType) -> None:
    [record] = host_of(example).plugins()

    assert record.status == "loaded", record.error
    assert callable(getattr(example, hook))


@pytest.mark.parametrize("hook", ["mad_prefect_formats"], indirect=True)
@pytest.mark.parametrize("batches", [1, 2])
def test_the_example_of_a_format_writes_and_reads_files(
    example: types.ModuleType, tmp_path: Path, batches: int
) -> None:
    found, suffix = host_of(example).format_of("x.LOG")
    path = tmp_path / "x"
    with DuckSession() as session:
        writing = WriteContext(session=session, options=found.write_options(), suffix=suffix.lower())
        writer = writer_of(found, path, writing)
        for number in range(batches):
            writer.write(ColumnBatch(pa.table({"n": [number]})))
        writer.close()
        reading = ReadContext(session=session, options=found.read_options(), suffix=".log")
        relation = found.read(str(path), reading)
        lines = relation.fetchall()
        typed = found.read(str(path), replace(reading, schema={"n": "BIGINT"}))
        assert schema_of(typed) == {"n": "BIGINT"}

    assert lines == [(str(number),) for number in range(batches)]


@pytest.mark.parametrize("hook", ["mad_prefect_batches"], indirect=True)
async def test_the_example_of_batches_makes_rows_of_its_kind_of_object_and_of_no_other(
    example: types.ModuleType,
) -> None:
    with use_host(host_of(example)):
        element = fromstring('<orders><order id="1"/><order id="2"/></orders>')
        assert [batch.rows() async for batch in iter_batches(element)] == [[{"id": "1"}, {"id": "2"}]]
        with pytest.raises(UnsupportedDataError, match="A object can't be made rows of"):
            [batch async for batch in iter_batches(object())]


@pytest.mark.parametrize("hook", ["mad_prefect_base"], indirect=True)
def test_the_example_of_a_base_answers_where_its_variable_is_set(
    example: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEAM", raising=False)
    assert host_of(example).base(None) is None
    monkeypatch.setenv("TEAM", "air")
    assert host_of(example).base(None) == ("file:///data/air", {})
