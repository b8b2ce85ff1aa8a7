"""No URL carries a secret into an error, a repr, a record or a log (S46)."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.fields import SecretDict

from mad_prefect_core import DataArtifact, asset
from mad_prefect_core.duckdb_files import MadFileSystem
from mad_prefect_core.errors import PathError
from mad_prefect_core.mounts import locate, mount
from mad_prefect_core.paths import split_url
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem
from mad_prefect_core.runs.catalogue import stored_assets
from mad_prefect_core.settings import Settings, use_settings

SECRET = "hunter2"
URLS = [
    f"s3://KEY:{SECRET}@bucket/x.json",
    f"S3://KEY:{SECRET}@bucket/x.json",
    f"s3://KEY:hun/{SECRET}@bucket/x.json",
    f"s3://KEY%3A{SECRET}%40bucket/x.json",
    f"gs://user:{SECRET}@bucket/x.json",
    f"file://user:{SECRET}@host/x.json",
    f"mad://user:{SECRET}@x.json",
    f"https://user:{SECRET}@host/x.json",
    f"sftp://user:{SECRET}@host/x.json",
    f"s3://bucket/x.json?X-Amz-Signature={SECRET}",
    f"s3://bucket/x.json%3Ftoken%3D{SECRET}",
    f"s3://bucket/x.json?a=b&sig={SECRET}",
    f"s3://bucket/x.json#token={SECRET}",
    f"s3://bucket/{{id}}.json?token={SECRET}",
]


async def _in_a_call(url: str) -> None:
    @asset("x.json", name="x", artifacts_dir=url)
    def x() -> Any:
        return [{"a": 1}]

    await x()


async def _as_a_path(url: str) -> None:
    @asset(url, name="x")
    def x(id: int = 1) -> Any:
        return [{"a": 1}]

    await x()


async def _as_a_base(url: str) -> None:
    settings = Settings(filesystem_url=url)
    assert SECRET not in repr(settings) + str(settings)
    with use_settings(settings):
        await _as_a_path("x.json")


async def _in_the_catalogue(url: str) -> None:
    with use_settings(Settings(filesystem_url=url)):
        list(stored_assets())


async def _used(use: Callable[[str], Any], url: str) -> None:
    if (waiting := use(url)) is not None:
        await waiting


USES: list[Callable[[str], Any]] = [
    _as_a_path,
    _in_a_call,
    _as_a_base,
    _in_the_catalogue,
    mount,
    locate,
    split_url,
    MadFileSystem,
    lambda url: DataArtifact(url, [{"a": 1}]).persist(),
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("url", URLS)
async def test_a_url_with_a_secret_is_refused_without_showing_it(
    base: Path, caplog: pytest.LogCaptureFixture, url: str, use: Callable[[str], Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(PathError, match="give secrets as options") as caught:
        await _used(use, url)
    shown = [str(caught.value), repr(caught.value), repr(vars(caught.value)), caplog.text]
    shown += traceback.format_exception(caught.value)
    shown += [f"{path}{path.read_bytes() if path.is_file() else ''}" for path in base.rglob("*")]
    assert SECRET not in "".join(line for line in shown if "URLS" not in line)


async def test_a_secret_that_an_argument_brings_into_a_url_is_refused(base: Path) -> None:
    @asset("s3://{where}/x.json", name="x")
    def x(where: str) -> Any:
        return [{"a": 1}]

    with pytest.raises(PathError) as caught:
        await x(f"KEY:{SECRET}@bucket")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(x.with_arguments(f"KEY:{SECRET}@bucket"))


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("sftp://user@host:22/x@y.json", ("sftp", "user@host:22/x@y.json")),
        ("s3://bucket/a:b@c.json", ("s3", "bucket/a:b@c.json")),
        ("s3://arn:aws:s3:eu-west-1:12:accesspoint/p/x", ("s3", "arn:aws:s3:eu-west-1:12:accesspoint/p/x")),
        ("s3://bucket/x?y=1.json", ("s3", "bucket/x?y=1.json")),
        ("mad:///a:b@c.json", ("mad", "/a:b@c.json")),
        ("user:pw@x.json", ("file", "user:pw@x.json")),
    ],
)
def test_an_ordinary_url_is_split(url: str, parts: tuple[str, str]) -> None:
    assert split_url(url) == parts


@pytest.mark.parametrize("url", [f"s3://{SECRET}@bucket/x", f"gs://{SECRET}@bucket/x", f"s3://bucket:{SECRET}/x"])
def test_a_bucket_is_not_taken_to_have_a_user(url: str) -> None:
    with pytest.raises(PathError) as caught:
        mount(url, {"endpoint_url": "http://127.0.0.1:9"})
    assert SECRET not in str(caught.value)


def test_the_password_of_a_blocks_base_is_among_what_prefect_encrypts() -> None:
    block = FsspecFileSystem(basepath=f"sftp://user:{SECRET}%2F@host/x")
    assert block.basepath == "sftp://user@host/x"
    assert block.storage_options.get_secret_value() == {"password": f"{SECRET}/"}
    assert SECRET not in repr(block) + str(block) + str(block.model_dump(mode="json"))
    loaded = FsspecFileSystem.model_validate({"basepath": f"sftp://user:{SECRET}@host/x", "storage_options": {}})
    assert loaded.basepath == "sftp://user@host/x"
    assert loaded.storage_options == SecretDict({"password": SECRET})
    assert SECRET not in repr(block._fs)


def test_an_own_password_of_a_block_goes_before_that_of_its_base() -> None:
    block = FsspecFileSystem(basepath="sftp://user:old@host/x", storage_options={"password": "new"})
    assert block.storage_options.get_secret_value() == {"password": "new"}


def test_a_block_whose_base_has_a_signature_is_refused() -> None:
    with pytest.raises(PathError) as caught:
        FsspecFileSystem(basepath=f"az://container/x?sig={SECRET}")
    assert SECRET not in str(caught.value)
