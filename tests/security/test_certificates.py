"""Certificates are checked unless that is switched off knowingly, and then a line in the log says so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core.errors import OptionError
from mad_prefect_core.mounts import mount
from mad_prefect_s3 import S3Options

KEYS = {"key": "s3cr3t-k", "secret": "s3cr3t-s"}


def _mount(**options: Any) -> Any:
    return mount("s3://bucket/lake", {**KEYS, **options})


@pytest.mark.parametrize("value", ["false", "False", "true", "0", "no", "off", "", ".", "/no/such/file", "none"])
@pytest.mark.parametrize("within", [False, True])
def test_a_word_for_no_is_an_error_and_not_the_name_of_a_file(value: str, within: bool) -> None:
    options: dict[str, Any] = {"client_kwargs": {"verify": value}} if within else {"verify": value}
    with pytest.raises(OptionError, match="verify is True, False or the path of a file of authorities"):
        _mount(**options)


@pytest.mark.parametrize("options", [{"verify": False}, {"client_kwargs": {"verify": False}}])
def test_switching_the_check_off_is_said_once_with_the_server_and_without_secrets(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            _mount(endpoint_url="https://user:s3cr3t@minio.example:9000/?sig=s3cr3t", **options)
    (line,) = [record.getMessage() for record in caplog.records if "certificate" in record.getMessage()]
    assert "'s3'" in line
    assert "minio.example:9000" in line
    assert "s3cr3t" not in caplog.text


def test_a_check_by_ones_own_authorities_or_the_usual_ones_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ca.pem").write_text("")
    with caplog.at_level(logging.WARNING):
        for verify in (True, str(tmp_path / "ca.pem")):
            S3Options(verify=verify, **KEYS)
        _mount(endpoint_url="https://minio.example:9001")
    assert "certificate" not in caplog.text


def test_an_error_about_options_says_what_is_wrong_and_never_a_value() -> None:
    with pytest.raises(OptionError, match="key and secret belong together"):
        mount("s3://bucket/lake", {"secret": "s3cr3t"})
    with pytest.raises(OptionError, match="can't take these options: attempts, nonsense") as raised:
        _mount(attempts="s3cr3t", nonsense="s3cr3t")
    assert "s3cr3t" not in str(raised.value)
