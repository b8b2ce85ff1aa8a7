"""No digest that is stored tells a secret to those who guess (S46)."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel, SecretStr

from mad_prefect_core import asset
from mad_prefect_core.assets.identity import digest
from mad_prefect_core.errors import MadPrefectError, StorageError

PIN = "4711"


@dataclasses.dataclass
class Login:
    user: str
    password: str


class Account(BaseModel):
    user: str
    api_key: str


Card = namedtuple("Card", "number cvv")

HOLDERS: dict[str, Any] = {
    "a dict": lambda pin: {"value": {"password": pin}},
    "a dict in a list": lambda pin: {"value": [{"a": {"pin": pin}}]},
    "a dataclass": lambda pin: {"value": Login("u", pin)},
    "a model": lambda pin: {"value": Account(user="u", api_key=pin)},
    "a named tuple": lambda pin: {"value": Card(1, pin)},
    "a list of a secret name": lambda pin: {"tokens": [pin]},
    "a URL's password": lambda pin: {"value": f"https://u:{pin}@x.test"},
    "a URL's parameter": lambda pin: {"value": f"https://x.test?sig={pin}"},
    "a frame": lambda pin: {"value": pa.table({"password": [pin]})},
    "the argument": lambda pin: {"password": pin},
    "a number": lambda pin: {"pin": int(pin)},
    "a SecretStr": lambda pin: {"value": SecretStr(pin)},
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_an_id_can_not_be_guessed_without_the_key(
    base: Path, holder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = HOLDERS[holder]
    here = digest("x", **arguments(PIN))
    assert here == digest("x", **arguments(PIN))
    assert here != digest("x", **arguments("4712"))
    monkeypatch.setenv("FILESYSTEM_URL", f"file://{tmp_path}/elsewhere")
    assert here != digest("x", **arguments(PIN)), "the same without this base's key: it can be guessed"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "f8f0b6428dc2"),
        ({"a": 1, "b": "text", "c": None}, "f1093b1af792"),
        ({"a": {"x": [1, 2.5], "y": (True, b"z")}, "when": "https://x.test/y?page=2"}, "7b38ead4dde8"),
        ({"password": None, "token": "", "session": False}, "dfb9d6edf6f0"),
    ],
)
def test_ids_without_secrets_are_those_of_before(base: Path, arguments: dict[str, Any], expected: str) -> None:
    assert digest("name", "path.json", "", **arguments)[:12] == expected
    assert not list(base.rglob("_secret_key"))


async def test_no_plain_digest_of_a_secret_is_stored(base: Path) -> None:
    @asset("x.json", name="x")
    def x(pin: str, value: Any = None) -> Any:
        return [{"a": 1}]

    await x(PIN, {"password": PIN})
    stored = b"".join(str(path).encode() + path.read_bytes() for path in base.rglob("*") if path.is_file())
    for form, name in itertools.product((PIN, f'"{PIN}"', repr(PIN)), ("md5", "sha1", "sha256")):
        assert hashlib.new(name, form.encode()).hexdigest()[:16].encode() not in stored


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_only_its_user_reads_the_key_and_other_files_are_as_ever(base: Path) -> None:
    before = os.umask(0o022)
    try:
        digest(password=PIN)
        (base / "other").write_text("")
    finally:
        os.umask(before)
    [key] = base.rglob("_secret_key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    assert (base / "other").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in key.parent.iterdir()] == ["_secret_key"]


@pytest.mark.parametrize("bytes_", [b"", b"short", b"x" * 33])
async def test_a_key_of_another_length_is_an_error_that_names_it(base: Path, bytes_: bytes) -> None:
    digest(password=PIN)
    [key] = base.rglob("_secret_key")
    key.write_bytes(bytes_)

    @asset("x.json", name="x")
    def x(password: str) -> Any:
        return [{"a": 1}]

    with pytest.raises(StorageError, match=f"has {len(bytes_)} bytes") as caught:
        await x(PIN)
    assert caught.value.path == "_asset_metadata/_secret_key"
    assert caught.value.asset == "x"


def test_a_key_that_is_a_folder_or_unreadable_is_an_error_that_names_it(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest(password=PIN)
    [key] = base.rglob("_secret_key")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("mad_prefect_local.storage.LocalStore.read", refuse)
        with pytest.raises(StorageError, match=r"can't be read: Permission denied.*group") as caught:
            digest(password=PIN)
    assert caught.value.path == "_asset_metadata/_secret_key"
    key.unlink()
    key.mkdir()
    with pytest.raises(MadPrefectError, match="_secret_key"):
        digest(password=PIN)
    shutil.rmtree(key)
    digest(password=PIN)


async def test_a_secret_is_the_same_after_a_restart_and_records_show_a_keyed_digest(base: Path) -> None:
    runs = []

    @asset("x.json", name="x")
    def x(password: str) -> Any:
        runs.append(password)
        return [{"a": 1}]

    await x.cache_first()(PIN)
    await x.cache_first()(PIN)
    await x.cache_first()("4712")
    assert runs == [PIN, "4712"]
    records = [json.loads(path.read_text())["data"] for path in base.rglob("metadata.json")]
    shown = {json.loads(record["parameters"])["password"] for record in records}
    assert len(shown) == 2
    assert all(text.startswith("********** ") for text in shown)
