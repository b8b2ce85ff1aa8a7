"""The block `FsspecFileSystem`, as its users call it: awaited on an event loop, plainly elsewhere."""

from __future__ import annotations

import datetime
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prefect.blocks.fields import SecretDict

from mad_prefect_core.errors import OptionError, PathError, TemplateError, UnknownStorageError, UnsupportedDataError
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem, get_fs


@pytest.fixture
def block(tmp_path: Path) -> FsspecFileSystem:
    return FsspecFileSystem(basepath=f"file://{tmp_path}/base")


# -- called either way -------------------------------------------------------------------------------------------


async def test_on_an_event_loop_every_method_is_awaited(block: FsspecFileSystem, tmp_path: Path) -> None:
    assert await block.write_path("a/x.txt", b"1") == "a/x.txt"
    assert await block.read_path("a/x.txt") == b"1"
    assert await block.move_path("a/x.txt", "b/y.txt") == f"{tmp_path}/base/b/y.txt"
    assert await block.write_data("z.json", [{"a": 1}]) == "z.json"
    assert await block.read_data("z.json") == [{"a": 1}]
    with await block.open("b/y.txt") as file:
        assert file.read() == b"1"
    await block.get_directory(local_path=str(tmp_path / "copy"))
    assert (tmp_path / "copy/b/y.txt").read_bytes() == b"1"
    await block.put_directory(local_path=str(tmp_path / "copy"), to_path="again")
    assert block.exists("again/b/y.txt")
    await block.delete_path("again", recursive=True)
    assert not block.exists("again")


def test_without_an_event_loop_every_method_is_just_called(block: FsspecFileSystem, tmp_path: Path) -> None:
    assert block.write_path("a/x.txt", b"1") == "a/x.txt"
    assert block.read_path("a/x.txt") == b"1"
    assert block.move_path("a/x.txt", "b/y.txt") == f"{tmp_path}/base/b/y.txt"
    assert block.write_data("z.json", [{"a": 1}]) == "z.json"
    assert block.read_data("z.json") == [{"a": 1}]
    with block.open("b/y.txt") as file:
        assert file.read() == b"1"
    block.delete_path("b", recursive=True)
    assert not block.exists("b")


async def test_prefect_gets_a_plain_answer_on_an_event_loop_where_it_asks_for_it(block: FsspecFileSystem) -> None:
    assert block.write_path("x", content=b"1", _sync=True) == "x"
    assert block.read_path("x", _sync=True) == b"1"


# -- files -------------------------------------------------------------------------------------------------------


def test_what_is_not_a_file_can_not_be_read(block: FsspecFileSystem) -> None:
    block.write_path("d/x", b"")
    for call in (block.read_path, block.open, block.read_data):
        with pytest.raises(ValueError, match=r"none\.json.* does not exist"):
            call("none.json")
        with pytest.raises(ValueError, match="not a file"):
            call("d")


@pytest.mark.parametrize("name", ["it's.json", 'a"b.json', "[x].json", "a*?.json", "{}.json", "ünï b.json"])
def test_a_name_with_special_characters_is_that_file_and_no_other(block: FsspecFileSystem, name: str) -> None:
    block.write_path(f"d [x]/{name}", b"mine")
    block.write_path("d [x]/x.json", b"other")
    block.write_path("d [x]/ab.json", b"other")
    assert block.read_path(f"d [x]/{name}") == b"mine"
    block.delete_path(f"d [x]/{name}")
    assert sorted(block.glob("d [[]x]/*.json")) == ["d [x]/ab.json", "d [x]/x.json"]


def test_a_pattern_finds_paths_relative_to_a_base_that_has_special_characters_itself(tmp_path: Path) -> None:
    block = FsspecFileSystem(basepath=f"file://{tmp_path}/a[b]*c")
    block.write_path("x/a[b]*c/y.txt", b"")
    assert block.glob("**/*.txt") == ["x/a[b]*c/y.txt"]
    assert block.glob("**") == ["x", "x/a[b]*c", "x/a[b]*c/y.txt"]


def test_folders_are_made_and_made_again_only_where_that_is_allowed(block: FsspecFileSystem) -> None:
    block.mkdirs("a/b")
    block.mkdirs("a/b", exist_ok=True)
    with pytest.raises(FileExistsError):
        block.mkdirs("a/b")
    assert block.exists("a/b")
    assert block.exists("")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "a/.."])
def test_nothing_above_the_base_is_read_written_or_deleted(block: FsspecFileSystem, path: str) -> None:
    block.write_path("a/x", b"")
    calls: list[Any] = [block.read_path, block.delete_path, block.open, block.exists, block.mkdirs, block.glob]
    calls += [block.read_data, block.get_directory, block._resolve_path]
    calls += [lambda p: block.write_path(p, b""), lambda p: block.write_data(p, {}), lambda p: block.open(p, "w")]
    calls += [lambda p: block.move_path("a/x", p), lambda p: block.move_path(p, "y")]
    calls += [lambda p: block.put_directory(".", p), lambda p: block.delete_path(p, recursive=True)]
    for call in calls:
        with pytest.raises(PathError, match="may not climb"):
            call(path)


@pytest.mark.parametrize("path", ["", "/", ".", "./", "//"])
def test_the_base_itself_is_never_deleted_or_moved(block: FsspecFileSystem, path: str) -> None:
    block.write_path("x", b"")
    for target in (path, block._fs_url):
        with pytest.raises(PathError, match="empty"):
            block.delete_path(target, recursive=True)
        with pytest.raises(PathError, match="empty"):
            block.move_path(target, "y")
    assert block.exists("x")


def test_a_folder_is_deleted_only_if_that_is_said(block: FsspecFileSystem) -> None:
    block.write_path("d/e/x", b"")
    block.write_path("d2/x", b"")
    with pytest.raises(ValueError, match="recursive=True"):
        block.delete_path("d")
    block.delete_path("d*", recursive=True)  # no pattern, so nothing
    block.delete_path("none")
    block.delete_path("d", recursive=True)
    assert block.glob("**") == ["d2", "d2/x"]


def test_a_link_to_a_folder_is_deleted_and_not_what_it_leads_to(block: FsspecFileSystem, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").write_bytes(b"")
    block.mkdirs("")
    os.symlink(tmp_path / "elsewhere", tmp_path / "base/link")
    block.delete_path("link", recursive=True)
    assert (tmp_path / "elsewhere/x").exists()
    assert not block.exists("link")


def test_a_move_replaces_a_file_and_never_loses_one(block: FsspecFileSystem) -> None:
    block.write_path("x", b"new")
    block.write_path("y", b"old")
    block.move_path("x", "y")
    assert (block.exists("x"), block.read_path("y")) == (False, b"new")
    block.move_path("y", "/y")
    assert block.read_path("y") == b"new"
    block.write_path("d/x", b"1")
    block.move_path("d", "e/f")
    assert (block.exists("d"), block.read_path("e/f/x")) == (False, b"1")
    with pytest.raises(ValueError, match="does not exist"):
        block.move_path("none", "z")


def test_an_opened_file_appears_when_it_is_closed(block: FsspecFileSystem) -> None:
    block.write_path("x.txt", b"old")
    with block.open("x.txt", "w") as file:
        file.write("new")
        assert block.read_path("x.txt") == b"old"
    assert block.read_path("x.txt") == b"new"
    file = block.open("deep/y", "xb")
    file.write(b"1")
    file.close()
    file.close()
    assert block.read_path("deep/y") == b"1"
    with pytest.raises(FileExistsError, match="deep/y"):
        block.open("deep/y", "xb")


def test_a_file_whose_writing_failed_stays_as_it_was(block: FsspecFileSystem, tmp_path: Path) -> None:
    block.write_path("x.txt", b"old")
    with pytest.raises(ZeroDivisionError), block.open("x.txt", "w") as file:
        file.write(f"half{1 // 0}")
    assert [found.name for found in (tmp_path / "base").iterdir()] == ["x.txt"]
    assert block.read_path("x.txt") == b"old"


# -- folders -----------------------------------------------------------------------------------------------------


def test_a_folder_is_put_and_got_but_for_what_is_ignored(
    block: FsspecFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    for name in ("flow.py", "sub/[x].txt", "sub/skip.log", ".hidden"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / ".prefectignore").write_text("*.log\n.prefectignore\n")
    monkeypatch.chdir(source)
    block.put_directory(to_path="code", ignore_file=".prefectignore")
    assert sorted(block.glob("code/**/*.*")) == ["code/.hidden", "code/flow.py", "code/sub/[x].txt"]

    target = tmp_path / "target"
    target.mkdir()
    monkeypatch.chdir(target)
    block.get_directory("code")
    assert (target / "sub/[x].txt").read_text() == "sub/[x].txt"
    with pytest.raises(ValueError, match="'none' does not exist"):
        block.get_directory("none")


def test_a_base_within_the_folder_that_is_put_is_not_put_into_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = FsspecFileSystem(basepath="file://./.tmp/storage")
    (tmp_path / "flow.py").write_text("")
    for _ in range(2):
        block.put_directory()
    assert block.glob("**") == ["flow.py"]
    FsspecFileSystem(basepath="file://.").get_directory()  # of the working folder to itself


# -- data --------------------------------------------------------------------------------------------------------

ROWS = [{"id": 1, "name": "a,\"b\n'", "ok": True, "x": 1.5}, {"id": 2, "name": "", "ok": False, "late": "NA"}]


def test_rows_come_back_as_rows_with_every_column(block: FsspecFileSystem) -> None:
    full = [{"id": 1, "name": "a,\"b\n'", "ok": True, "x": 1.5, "late": None},
            {"id": 2, "name": "", "ok": False, "x": None, "late": "NA"}]  # fmt: skip
    for suffix, expected in (("parquet", full), ("csv", full), ("PARQUET", full), ("json", ROWS), ("other", ROWS)):
        block.write_data(f"rows.{suffix}", ROWS)
        assert block.read_data(f"rows.{suffix}") == expected


def test_parquet_keeps_what_text_can_not(block: FsspecFileSystem) -> None:
    rows = [{"d": datetime.date(2020, 1, 2), "m": Decimal("1.10"), "l": [1, 2], "s": {"a": None, "b": "x"}}]
    block.write_data("x.parquet", rows)
    assert block.read_data("x.parquet") == rows
    block.write_data("x.csv", rows)
    assert block.read_data("x.csv") == [
        {"d": datetime.date(2020, 1, 2), "m": 1.1, "l": "[1,2]", "s": '{"a":null,"b":"x"}'}
    ]


def test_columns_one_dict_and_arrow_are_tables_too(block: FsspecFileSystem) -> None:
    for data in ({"a": [1, 2]}, pa.table({"a": [1, 2]})):
        block.write_data("x.csv", data)
        assert block.read_data("x.csv") == [{"a": 1}, {"a": 2}]
    block.write_data("x.parquet", {"a": 1, "b": "y"})
    assert block.read_data("x.parquet") == [{"a": 1, "b": "y"}]
    with pytest.raises(UnsupportedDataError, match="list of dicts"):
        block.write_data("x.csv", [1, 2])


def test_text_in_another_encoding_is_read(block: FsspecFileSystem) -> None:
    block.write_path("x.csv", "a\nü\n".encode("latin-1"))
    assert block.read_data("x.csv", encoding="latin-1") == [{"a": "ü"}]


def test_a_path_is_filled_from_the_data_and_a_value_adds_no_folder(block: FsspecFileSystem) -> None:
    assert block.write_data("orders/{id}-{day:%Y}.json", {"id": "a/b{x}"}, day=datetime.date(2020, 1, 1)) == (
        "orders/a%2Fb{x}-2020.json"
    )
    assert block.read_data("orders/a%2Fb{x}-2020.json") == {"id": "a/b{x}"}
    assert block.write_data("{data[0][id]}.json", [{"id": 7}]) == "7.json"


@pytest.mark.parametrize("value", ["..", "../x", "a/../..", "/etc", "", "a\x00b"])
def test_a_value_that_would_climb_is_refused(block: FsspecFileSystem, value: str) -> None:
    with pytest.raises(PathError):
        block.write_data("orders/{id}/x.json", {"id": value})
    assert not block.exists("orders")


def test_a_field_that_is_not_there_or_private_is_refused(block: FsspecFileSystem) -> None:
    with pytest.raises(TemplateError, match=r"'none', which is not in the data\. It has: a, b"):
        block.write_data("{none}.json", {"a": 1}, b=2)
    with pytest.raises(TemplateError, match="private attributes"):
        block.write_data("{a.__class__}.json", {"a": 1})


# -- the block itself --------------------------------------------------------------------------------------------


def test_secrets_are_in_no_repr_and_no_error(tmp_path: Path) -> None:
    blocks = [
        FsspecFileSystem(basepath=f"file://{tmp_path}", storage_options={"key": "s3cr3t"}),
        FsspecFileSystem(basepath=f"file://{tmp_path}", storage_options=SecretDict({"key": "s3cr3t"})),
        FsspecFileSystem(basepath=f"file://{tmp_path}", key="s3cr3t"),
        FsspecFileSystem(basepath="nowhere://user:s3cr3t@host/x"),
    ]
    for block in blocks:
        assert "s3cr3t" not in f"{block!r} {block} {block.storage_options!r}"
        with pytest.raises((OptionError, UnknownStorageError)) as raised:
            block.exists("x")
        assert "s3cr3t" not in str(raised.value)
    with pytest.raises(ValueError, match="basepath") as invalid:
        FsspecFileSystem(basepath=["s3cr3t"])  # type: ignore[arg-type]
    assert "s3cr3t" not in str(invalid.value)


def test_options_reach_the_filesystem_however_they_are_given(tmp_path: Path) -> None:
    for options in ({"storage_options": {"auto_mkdir": True}}, {"auto_mkdir": True}):
        block = FsspecFileSystem(basepath=f"file://{tmp_path}", **options)
        assert block._fs.auto_mkdir is True
        assert block._fs_url == str(tmp_path)
        assert block.basepath == f"file://{tmp_path}"


async def test_the_base_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        monkeypatch.setenv("FILESYSTEM_URL", f"file://{tmp_path}/{name}")
        fs = await get_fs()
        await fs.write_path("x", name.encode())
        assert (tmp_path / name / "x").read_text() == name
