"""A value in a file, a record or a block is data: no decoder imports, looks up or calls what it names."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import ipaddress
import json
import sys
import types
import uuid
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mad_prefect_core import asset
from mad_prefect_core.cards import Card
from mad_prefect_core.cli.main import run
from mad_prefect_core.errors import CorruptFileError, UnsupportedDataError
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem
from mad_prefect_core.prefect_support.data_files import from_bytes, to_bytes
from mad_prefect_core.runs import DataAssetRun

CALLED: list[Any] = []


@pytest.fixture(autouse=True)
def canary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A module whose every member tells when it is called, and one that tells when it is imported."""

    class Told(Exception):
        def __init__(self, *given: object, **named: object) -> None:
            CALLED.append((given, named))

    class Model(pydantic.BaseModel):
        command: Any = None

        def __init__(self, **named: Any) -> None:
            CALLED.append(named)
            super().__init__(**named)

    module = types.ModuleType("canary_module")
    module.call = lambda *given, **named: CALLED.append((given, named))  # type: ignore[attr-defined]
    module.Told, module.Model = Told, Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "canary_module", module)
    (tmp_path / "lurking").mkdir()
    (tmp_path / "lurking/canary_file.py").write_text("import canary_module\ncanary_module.call()\n")
    monkeypatch.syspath_prepend(tmp_path / "lurking")
    CALLED.clear()
    yield
    assert CALLED == []
    assert "canary_file" not in sys.modules


@pytest.fixture
def block(tmp_path: Path) -> FsspecFileSystem:
    return FsspecFileSystem(basepath=f"file://{tmp_path}/base")


NAMES = ["canary_module.call", "canary_module.Told", "canary_module.Model", "canary_file.anything", "os.system"]
NAMES += ["canary_module", "builtins.eval", "builtins.exec", "builtins.dict", "pydantic.ImportString", "no.such", ""]
MARKS: list[Any] = [{"__class__": name, "data": {"command": "true"}} for name in NAMES]
MARKS += [{"__class__": name, "data": ["true"]} for name in NAMES]
MARKS += [{"__class__": name, "data": "true"} for name in NAMES]
MARKS += [{"data": {}, "__class__": name, "more": 1} for name in NAMES]
MARKS += [{"__exc_type__": name, "message": "true"} for name in NAMES]
MARKS += [{"__class__": name} for name in NAMES]
ODD: list[Any] = [None, 1, [], {}, ["canary_module.call"]]
MARKS += [{"__class__": value, "data": {}} for value in ODD]
MARKS += [{"__class__": {"__class__": "canary_module.call", "data": {}}, "data": {"__class__": "x"}}]
MARKS += [
    {"py/object": "canary_module.call"},
    {"__reduce__": ["canary_module.call", []]},
    {"$type": "canary_module.call"},
]


@pytest.mark.parametrize("indent", [True, False])
def test_s48_a_value_in_a_json_file_never_runs_a_function(block: FsspecFileSystem, indent: bool) -> None:
    for rows in (MARKS, [{"a": MARKS, "b": [[MARKS]]}], *MARKS):
        assert from_bytes("x.json", json.dumps(rows).encode(), encoding="utf-8") == rows
        assert from_bytes("x.json", asyncio.run(to_bytes("x.json", rows, indent=indent)), encoding="utf-8") == rows
    block.write_path("foreign.json", json.dumps(MARKS).encode())
    assert block.read_data("foreign.json") == MARKS
    block.write_data("own.json", MARKS, indent=indent)
    assert block.read_data("own.json") == MARKS


def test_rows_of_an_api_that_name_a_class_come_back_as_they_were(block: FsspecFileSystem) -> None:
    rows = [
        {"__class__": "datetime.datetime", "data": "2020-01-02T03:04:05"},
        {"__class__": "builtins.set", "data": [1, 2]},
        {"__class__": "builtins.dict", "data": [["__class__", "decimal.Decimal"], ["data", "1"]]},
        {"__class__": "com.example.Order", "id": 7, "data": {"__class__": "uuid.UUID", "data": str(uuid.UUID(int=1))}},
    ]
    block.write_data("rows.json", rows)
    assert block.read_data("rows.json") == rows


_marks = st.sampled_from([*NAMES, "datetime.date", "decimal.Decimal", "uuid.UUID", "builtins.set", "builtins.bytes"])
_scalars: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | _marks
    | st.binary(max_size=5) | st.decimals(allow_nan=False) | st.uuids() | st.dates() | st.datetimes() | st.times()
    | st.datetimes(timezones=st.just(dt.timezone(dt.timedelta(hours=5, minutes=30)))) | st.timedeltas()
    | st.frozensets(st.integers(), max_size=3) | st.sets(st.text(max_size=2), max_size=3) | st.ip_addresses()
)  # fmt: skip
_keys = st.sampled_from(["__class__", "data", "__exc_type__", "message"]) | st.text(max_size=3)
_marked = st.fixed_dictionaries({"__class__": _marks, "data": _scalars})
_values = st.recursive(
    _scalars | _marked,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_keys, inner, max_size=3)
        | st.fixed_dictionaries({"__class__": _marks | inner, "data": inner})
    ),
    max_leaves=8,
)


@given(_values)
def test_any_value_comes_back_from_json_as_what_it_was(value: Any) -> None:
    found = from_bytes("x.json", asyncio.run(to_bytes("x.json", value, indent=False)), encoding="utf-8")
    assert found == value
    assert repr(found) == repr(value) or type(found) is type(value)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    day: dt.date


class Line(pydantic.BaseModel):
    price: Decimal


def test_models_dataclasses_and_enums_are_read_as_their_plain_values(block: FsspecFileSystem) -> None:
    day = dt.date(2020, 1, 2)
    block.write_data("x.json", [{"order": Order(day), "line": Line(price=Decimal("1.10")), "colour": Colour.RED}])
    assert block.read_data("x.json") == [{"order": {"day": day}, "line": {"price": Decimal("1.10")}, "colour": "red"}]


def test_what_prefects_serializer_wrote_for_2x_is_read_with_its_values(block: FsspecFileSystem) -> None:
    from prefect.serializers import JSONSerializer

    values = [
        b"abc", {1}, frozenset({"a"}), deque([1]), dt.datetime(2020, 1, 2, 3, tzinfo=dt.UTC), dt.date(2020, 1, 2),
        dt.time(1, 2, 3, 4), dt.timedelta(days=1, microseconds=5), Decimal("1.10"), uuid.UUID(int=5),
        ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"), Path("/a/b"),
    ]  # fmt: skip
    block.write_path("old.json", JSONSerializer().dumps(values))
    found = block.read_data("old.json")
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]
    model = {"__class__": "app.models.Order", "data": {"at": {"__class__": "datetime.date", "data": "2020-01-02"}}}
    block.write_path("old.json", json.dumps([model]).encode())
    assert block.read_data("old.json") == [{"__class__": "app.models.Order", "data": {"at": dt.date(2020, 1, 2)}}]


def test_a_mark_with_data_that_does_not_fit_is_data() -> None:
    kinds = ["datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "decimal.Decimal"]
    kinds += ["uuid.UUID", "builtins.bytes", "builtins.set", "builtins.dict", "pathlib.PosixPath"]
    kinds += ["ipaddress.IPv4Address", "collections.deque", "builtins.frozenset"]
    junk: list[Any] = [
        None,
        True,
        {},
        {"a": 1},
        [{}],
        [[]],
        [[1]],
        [["a", 1, 2]],
        1e400,
        "no \x00",
        -1,
        10**30,
        "x" * 5000,
    ]
    for kind in kinds:
        for data in junk:
            mark = {"__class__": kind, "data": data}
            found = from_bytes("x.json", json.dumps(mark).encode(), encoding="utf-8")
            assert found == mark or not isinstance(found, dict) or kind == "builtins.dict"


def test_members_of_a_set_that_were_chosen_to_have_one_hash_cost_no_hours() -> None:
    for kind in ("builtins.set", "builtins.frozenset"):
        mark = {"__class__": kind, "data": [(2**61 - 1) * factor for factor in range(200_000)]}
        assert from_bytes("x.json", json.dumps(mark).encode(), encoding="utf-8") == mark
        mark["data"] += list(range(1, 250_000))  # most have hashes of their own
        assert from_bytes("x.json", json.dumps(mark).encode(), encoding="utf-8") == mark
    large = set(range(5000))
    assert from_bytes("x.json", asyncio.run(to_bytes("x.json", large, indent=False)), encoding="utf-8") == large


def test_secrets_and_open_files_are_refused_by_name(block: FsspecFileSystem, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedDataError, match=r"secret.*column 'a\.b'"):
        block.write_data("x.json", {"a": {"b": pydantic.SecretStr("s3cr3t")}})
    with (tmp_path / "open").open("w") as file, pytest.raises(UnsupportedDataError, match=r"column '\[\]\.file'"):
        block.write_data("x.json", [{"file": file}])
    with pytest.raises(UnsupportedDataError, match="key"):
        block.write_data("x.json", [{("a", "b"): 1}])
    round_: list[Any] = []
    round_.append(round_)
    with pytest.raises(UnsupportedDataError, match="nested"):
        block.write_data("x.json", round_)
    with pytest.raises(UnsupportedDataError, match="Two keys are the same"):
        block.write_data("x.json", [{1: "a", "1": "b"}])
    with pytest.raises(UnsupportedDataError, match=r"digits.*x\.json"):
        block.write_data("x.json", [10**5000])
    assert not block.exists("x.json")


def test_json_nested_without_end_is_a_typed_error(block: FsspecFileSystem) -> None:
    block.write_path("x.json", b'{"__class__":' * 100_000)
    with pytest.raises(CorruptFileError, match=r"x\.json"):
        block.read_data("x.json")


def test_a_run_record_is_read_as_a_record_whatever_class_it_names(base: Path) -> None:
    @asset("x.json")
    def rows() -> list[dict[str, int]]:
        return [{"a": 1}]

    rows.call_sync()
    (record,) = base.rglob("metadata.json")
    document = json.loads(record.read_text())
    known = document["data"]
    for name in NAMES:
        record.write_text(json.dumps({"__class__": name, "data": {**known, "__class__": name}}))
        run = DataAssetRun.read(known["asset_name"], known["asset_id"], known["id"])
        assert type(run) is DataAssetRun
        manifest = next(base.rglob("manifest.json"))
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "__class__": name, "data": {}}))
        found = rows.query_sync()
        assert found is not None
        assert found.fetchall() == [(1,)]


def test_a_capability_card_is_read_as_a_card_whatever_class_it_names() -> None:
    card = Card("format", "x", (".x",), None, None, 1, {}, ())
    for name in NAMES:
        document = {**json.loads(card.to_json()), "capabilities": {"__class__": name, "data": {}}, "__class__": name}
        assert Card.from_json(json.dumps(document)).capabilities == {"__class__": name, "data": {}}


def test_an_extension_type_that_a_parquet_file_names_is_read_as_its_storage(block: FsspecFileSystem) -> None:
    """`arrow.py_extension_type` had its class unpickled by pyarrow below 14.0.1."""
    pickled = b"\x80\x04ccanary_module\ncall\n)R."
    for extension in (b"arrow.py_extension_type", b"canary_module.call", b"pandas.period"):
        metadata = {b"ARROW:extension:name": extension, b"ARROW:extension:metadata": pickled}
        schema = pa.schema([pa.field("a", pa.int64(), metadata=metadata)], metadata={b"pandas": b'{"canary": 1}'})
        sink = pa.BufferOutputStream()
        pyarrow.parquet.write_table(pa.table({"a": [1]}, schema=schema), sink)
        block.write_path("x.parquet", sink.getvalue().to_pybytes())
        assert block.read_data("x.parquet") == [{"a": 1}]


def test_names_that_a_user_gives_to_a_new_plugin_are_no_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("copier")
    monkeypatch.chdir(tmp_path)
    hostile = ["{{7*7}}", "a\nb", 'a"b', "x\n", "../x", "a b", "{%set x=1%}", "__class__", "1a", "é", "", "import"]
    for name in hostile:
        assert run(["plugins", "new", "format", name]) != 0
    assert [path.name for path in tmp_path.iterdir()] == ["lurking"]
    folder = "{{ 7*7 }} '\" {% raw %}"
    assert run(["plugins", "new", "format", "harmless", folder]) == 0
    assert (tmp_path / folder / "pyproject.toml").is_file()
