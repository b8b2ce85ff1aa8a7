"""A README is checked against its plugin: what it leaves out or says otherwise is told."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from mad_prefect_core.contracts import Options, ReadOptions
from mad_prefect_core.testing import readme_faults
from mad_prefect_json import JsonFormat
from mad_prefect_local import LocalStorage


class Write(Options):
    level: int = Field(3, description="How hard it tries.")
    key: str | None = None


class Zipped(JsonFormat):
    suffixes = (".zipped", ".zz")
    read_options = ReadOptions
    write_options = Write
    capabilities = replace(JsonFormat.capabilities, refuses={"TIME WITH TIME ZONE of others": "no"})


class WriteBatches(Write):
    level: int = 4096


class Batched(Zipped):
    write_options = WriteBatches


class Limited(LocalStorage):
    options = Options
    capabilities = replace(LocalStorage.capabilities, refused_characters="\\", largest_object=1000)


def test_a_readme_that_says_all_has_no_fault() -> None:
    options = "| option | default | |\n|---|---|---|\n| `level` | `3` | x |\n| `key` |  | x |\n"
    assert readme_faults(f"`.zipped` and `.zz`, no TIME WITH TIME ZONE\n\n{options}", Zipped()) == []
    options = options.replace("`3`", "`4,096`")
    assert readme_faults(f"`.zipped` and `.zz`, no TIME WITH TIME ZONE\n\n{options}", Batched()) == []
    assert readme_faults("file:// local:// without `\\`, up to 1,000 bytes", Limited()) == []


def test_what_a_readme_leaves_out_or_says_otherwise_is_told() -> None:
    faults = readme_faults("| `level` | `9` | x |\n| `speed` | `1` | x |\n`.zipped`", Zipped())
    assert set(faults) == {
        "The option level is 3 unless given, and not 9",
        "The option key is left out",
        "There is no option speed",
        ".zz is left out",
        "TIME WITH TIME ZONE is left out",
    }
    known = "`.zipped`, `.zz`, TIME WITH TIME ZONE\n| `key` | none | x |\n| `UUID` | as text | x |\n"
    assert readme_faults(f"{known}| `level` | 3, or less | x |", Zipped()) == [
        "The option level has no default in backticks in its row: write `3`"
    ]
    assert readme_faults("file:// local://", Limited()) == ["`\\` is left out", "1,000 is left out"]
