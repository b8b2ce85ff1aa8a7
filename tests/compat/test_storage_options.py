"""Options of fsspec in 2.x's blocks: they mean what they did, or are named as ignored. None fails, none is hidden."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from mad_prefect.filesystems import FsspecFileSystem
from mad_prefect_core import mounts
from mad_prefect_core.errors import OptionError, OptionWarning
from mad_prefect_gcs.options import GCSOptions
from mad_prefect_s3.options import S3Options


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_told", set())


@pytest.mark.parametrize("by", ["keywords", "storage_options", "both, as 2.x stored them"])
def test_options_that_mean_nothing_here_are_ignored_and_named_once(by: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"default_block_size": 1 << 20, "use_listings_cache": False, "auto_mkdir": True}
    options = {"keywords": given, "storage_options": {"storage_options": given}}.get(
        by, {"storage_options": given, **given}
    )
    block = FsspecFileSystem(basepath=f"file://{tmp_path}", **options)
    with pytest.warns(OptionWarning, match=r"'local' and are ignored: default_block_size, use_listings_cache") as told:
        block.write_data("x.json", 1)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert block.read_data("x.json") == 1
    assert block._fs.auto_mkdir is True


def test_a_misspelt_option_is_refused_still(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="auto_mkdri"):
        FsspecFileSystem(basepath=f"file://{tmp_path}", auto_mkdri=True).exists("x")


@pytest.mark.parametrize(
    "name", ["default_block_size", "default_fill_cache", "default_cache_type", "cache_regions", "max_concurrency",
             "fixed_upload_size", "version_aware", "asynchronous", "skip_instance_cache"],
)  # fmt: skip
def test_every_option_of_s3fs_without_a_meaning_is_known(name: str) -> None:
    assert name in mounts._OF_FSSPEC | S3Options.without_effect


def test_options_of_s3fs_mean_what_they_did() -> None:
    options = S3Options.model_validate(
        {"username": "k", "password": "s", "use_ssl": False, "client_kwargs": {"endpoint_url": "http://localhost:9000"}}
    )
    assert options.key is not None
    assert options.secret is not None
    assert (options.key.get_secret_value(), options.secret.get_secret_value()) == ("k", "s")
    assert S3Options.model_validate({"use_ssl": True, "anon": True}).anon is True
    with pytest.raises(OptionError, match="use_ssl=False needs the server's URL"):
        S3Options(use_ssl=False)


def test_a_service_account_may_be_a_dict() -> None:
    token = GCSOptions.model_validate({"token": {"type": "service_account"}}).token
    assert token is not None
    assert token.get_secret_value() == '{"type": "service_account"}'
