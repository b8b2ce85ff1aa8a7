"""No template makes a huge text, and none makes one file of all secrets (S46)."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from mad_prefect_core import asset
from mad_prefect_core.errors import ConfigurationError, TemplateError
from mad_prefect_core.prefect_support.blocks import FsspecFileSystem

BOMBS: list[tuple[str, Any]] = [
    ("{a:>5000000000}", 1),
    ("{a:05000000000}", 1),
    ("{a:.5000000000f}", 1.5),
    ("{a:.5000000000f}", Decimal("1.5")),
    ("{a:.5000000000e}", 1),
    ("{a:,.5000000000f}", 1.0),
    ("{a!r:x<5000000000}", "x"),
    ("{a!s:>256}", "x"),
    ("{a:>99999999999999999999}", "x"),
    ("{a:f}", Decimal("1e999999999")),
    ("{a:%}", Decimal("1e-999999999")),
    ("{a:,}", Decimal("1e999999")),
    ("{a:f}", Fraction(10**100_000)),
    ("{a}", 10**5000),
    ("{a:b}", 10**5000),
    ("{a:%5000000000Y}", dt.date(2024, 1, 1)),
    ("{a:%-5000000000d}", dt.datetime(2024, 1, 1)),
    ("{a:" + "%Y" * 1000 + "}", dt.date(2024, 1, 1)),
    ("{a:>٥٠٠٠٠٠٠٠٠٠}", "x"),
]


async def _call(base: Path, template: str, value: Any, kind: str) -> None:
    if kind == "block":
        await FsspecFileSystem(basepath=f"file://{base}").write_data(f"{template}.json", {"a": value})
        return

    @asset(**{"path": "x.json", "artifacts_dir": "", "name": "x", kind: f"{template}.json"})
    def x(a: Any) -> Any:
        return [{"n": 1}]

    await x(value)


@pytest.mark.parametrize("kind", ["path", "artifacts_dir", "name", "block"])
@pytest.mark.parametrize(("template", "value"), BOMBS, ids=range(len(BOMBS)))
async def test_a_format_that_makes_a_huge_text_is_refused(base: Path, template: str, value: Any, kind: str) -> None:
    with pytest.raises(TemplateError):
        await _call(base, template, value, kind)


async def test_a_width_that_data_bring_is_refused(base: Path) -> None:
    block = FsspecFileSystem(basepath=f"file://{base}")
    for width in ("5000000000", 5000000000, ">5000000000"):
        with pytest.raises(TemplateError):
            await block.write_data("{a:{b}}.json", {"a": 1, "b": width})


@pytest.mark.parametrize(
    ("template", "value", "name"),
    [
        ("{a:>5}", "x", "    x"),
        ("{a:04d}", 7, "0007"),
        ("{a:.2f}", 1.234, "1.23"),
        ("{a:.2f}", Decimal("1.234"), "1.23"),
        ("{a:%Y-%m-%d}", dt.date(2024, 1, 2), "2024-01-02"),
        ("{a:year 2024}", dt.date(2024, 1, 2), "year 2024"),
        ("{a!r}", "x", "'x'"),
        ("{a}", 10**100, "1" + "0" * 100),
        ("{a}", None, "None"),
    ],
)
async def test_an_ordinary_format_is_as_ever(base: Path, template: str, value: Any, name: str) -> None:
    @asset(f"{template}.json", name="x")
    def x(a: Any) -> Any:
        return [{"n": 1}]

    await x(value)
    assert (base / f"{name}.json").exists()
    block = FsspecFileSystem(basepath=f"file://{base}/block")
    await block.write_data(f"{template}.json", {"a": value})
    assert (base / "block" / f"{name}.json").exists()


@pytest.mark.parametrize(
    "template",
    ["{a:d}", "{a!x}", "{a:{b}}", "{", "}", "{a", "{a:%", "{a[²]}", "{a!}", "{²}", "{a:Q}", "{a[" + "9" * 5000],
)
async def test_a_template_that_means_nothing_is_a_typed_error(base: Path, template: str) -> None:
    async def call() -> None:
        @asset(f"{template}.json", name="x", artifacts_dir=template)
        def x(a: Any) -> Any:
            return [{"n": 1}]

        await x("text")

    with pytest.raises(ConfigurationError):
        await call()


@pytest.mark.parametrize("value", ["}", "{", "{x}", "}{", "{{"])
async def test_a_brace_in_a_value_is_just_a_character(base: Path, value: str) -> None:
    @asset("{a}/x.json|parquet", name="x_{a}", artifacts_dir="raw/{a}")
    def x(a: str) -> Any:
        return [{"n": 1}]

    await x(value)
    assert (base / value / "x.parquet").exists()
    assert repr(x.with_arguments(value))


@dataclasses.dataclass
class Login:
    user: str
    password: SecretStr


class Account(BaseModel):
    user: str
    key: SecretStr


SECRETS: list[tuple[str, Any]] = [
    ("{a}", SecretStr("hunter2")),
    ("{a}", SecretBytes(b"hunter2")),
    ("{a!s}", SecretStr("hunter2")),
    ("{a!r}", SecretStr("hunter2")),
    ("{a!r:>30}", SecretStr("hunter2")),
    ("{a.password}", Login("u", SecretStr("hunter2"))),
    ("{a}", Login("u", SecretStr("hunter2"))),
    ("{a}", Account(user="u", key=SecretStr("hunter2"))),
    ("{a.key}", Account(user="u", key=SecretStr("hunter2"))),
    ("{a[key]}", {"key": SecretStr("hunter2")}),
    ("{a}", {"key": SecretStr("hunter2")}),
    ("{a}", [SecretStr("hunter2")]),
    ("{a[0]}", [SecretStr("hunter2")]),
]


@pytest.mark.parametrize("kind", ["path", "artifacts_dir", "name", "block"])
@pytest.mark.parametrize(("template", "value"), SECRETS, ids=range(len(SECRETS)))
async def test_two_secrets_never_share_a_file(base: Path, template: str, value: Any, kind: str) -> None:
    with pytest.raises(TemplateError, match="secret") as caught:
        await _call(base, template, value, kind)
    assert "hunter2" not in str(caught.value)
    assert not any(path.is_file() for path in base.rglob("*"))


async def test_what_is_no_secret_of_a_value_that_has_one_may_be_in_a_path(base: Path) -> None:
    @asset("{a.user}.json", name="x")
    def x(a: Login) -> Any:
        return [{"n": 1}]

    await x(Login("ada", SecretStr("hunter2")))
    assert (base / "ada.json").exists()
