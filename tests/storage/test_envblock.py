"""`EnvBlock`: credentials from the environment, or from a saved block."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest
from pydantic import Field, SecretStr

from mad_prefect_core.prefect_support.envblock import EnvBlock


async def test_fields_come_from_variables_with_their_types() -> None:
    class Warehouse(EnvBlock):
        url: str
        token: SecretStr
        port: int | None = None
        secure: bool = True
        hosts: list[str] = Field(default_factory=list)
        mode: Literal["r", "w"] = "r"
        number: int | str = 0

    block = await Warehouse.from_env(
        {
            "WAREHOUSE_URL": "https://host",
            "WAREHOUSE_TOKEN": "s3cr3t",
            "WAREHOUSE_PORT": "5432",
            "WAREHOUSE_SECURE": "false",
            "WAREHOUSE_HOSTS": '["a", "b"]',
            "WAREHOUSE_NUMBER": "no",
        }
    )
    assert block.token.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in repr(block)
    assert (block.port, block.secure, block.hosts, block.mode, block.number) == (5432, False, ["a", "b"], "r", "no")


async def test_the_environment_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Creds(EnvBlock):
        token: str

    for token in ("one", "two"):
        monkeypatch.setenv("CREDS_TOKEN", token)
        assert (await Creds.from_env()).token == token


async def test_a_subclass_is_a_block_of_its_own() -> None:
    class Parent(EnvBlock):
        token: str

    class Child(Parent):
        pass

    await Parent.from_env({"PARENT_TOKEN": "p"})
    assert (await Child.from_env({"CHILD_TOKEN": "c"})).token == "c"


async def test_a_prefix_replaces_the_name_of_the_class() -> None:
    class Prefixed(EnvBlock):
        prefix: ClassVar[str | None] = "acme"
        token: str

    assert Prefixed.resolve_prefix() == "ACME"
    assert (await Prefixed.from_env({"ACME_TOKEN": "t"})).token == "t"


async def test_what_is_missing_or_wrong_is_named_and_never_shown() -> None:
    class Strict(EnvBlock):
        token: str
        pin: int

    with pytest.raises(ValueError, match="Environment variable STRICT_TOKEN is required"):
        await Strict.from_env({})
    with pytest.raises(ValueError, match="Environment variable STRICT_PIN can't be") as raised:
        await Strict.from_env({"STRICT_TOKEN": "t", "STRICT_PIN": "s3cr3t"})
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__context__ is None


async def test_a_value_that_a_field_refuses_is_not_shown() -> None:
    class Short(EnvBlock):
        token: str = Field(min_length=10)

    with pytest.raises(ValueError, match=r"SHORT_\*.*token.*string_too_short") as raised:
        await Short.from_env({"SHORT_TOKEN": "hunter2"})
    assert "hunter2" not in repr(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None
