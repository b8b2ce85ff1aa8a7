"""Secrets are nowhere (S46; promise 10)."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from mad_prefect_core import asset

SECRET = "hunter2-very-secret"


class Credentials(BaseModel):
    user: str
    password: SecretStr


class Client:
    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return f"Client(token={self.token!r})"

    def __mad_prefect_key__(self) -> str:
        return self.token


ARGUMENTS: dict[str, dict[str, Any]] = {
    "SecretStr": {"value": SecretStr(SECRET)},
    "SecretBytes": {"value": SecretBytes(SECRET.encode())},
    "a model": {"value": Credentials(user="u", password=SecretStr(SECRET))},
    "a list of secrets": {"value": [SecretStr(SECRET)]},
    "a dict of secrets": {"value": {"a": SecretStr(SECRET)}},
    "a plain api_key": {"api_key": SECRET},
    "a plain password": {"password": SECRET},
    "a plain token": {"token": SECRET},
    "an object that shows it": {"value": Client(SECRET)},
    "a dict with a password": {"value": {"password": SECRET}},
    "a URL with a password": {"value": f"https://user:{SECRET}@host.test/x"},
    "a URL with a key": {"value": f"https://host.test/x?api_key={SECRET}"},
}


def _everywhere(base: Path) -> str:
    files = [path for path in base.rglob("*") if path.is_file() and path.name != "x.json"]
    return "\n".join(f"{path}\n{path.read_bytes()!r}" for path in files)


@pytest.mark.parametrize("outcome", ["works", "fails", "fails with it", "is refused"])
@pytest.mark.parametrize("kind", ARGUMENTS)
async def test_s46_a_secret_argument_is_in_no_log_repr_record_manifest_or_error_of_ours(
    base: Path, caplog: pytest.LogCaptureFixture, kind: str, outcome: str
) -> None:
    caplog.set_level(logging.DEBUG)
    arguments = ARGUMENTS[kind]
    if outcome == "fails with it" and kind == "an object that shows it":
        pytest.skip("what an error says of an unknown object's insides can't be known to be secret")

    @asset("x.json", name="x", artifacts_dir="raw")
    def x(value: Any = None, api_key: str = "", password: str = "", token: str = "") -> Any:
        yield [{"a": 1}]
        if outcome == "fails":
            raise ValueError("it went wrong")
        if outcome == "fails with it":
            raise ValueError(f"401 for {SECRET}")
        if outcome == "is refused":
            yield [{"a": arguments}]

    bound = x.with_arguments(**arguments)
    shown = [repr(bound), str(bound), repr(bound.plan()), f"{bound.options!r}"]
    try:
        shown.append(repr(await bound()))
    except Exception as error:
        if outcome != "fails with it":  # the user's own exception says what the user made it say
            shown += [str(error), repr(error), *getattr(error, "__notes__", ())]
            shown += traceback.format_exception(error)
    shown += [_everywhere(base), caplog.text, *(str(record.__dict__) for record in caplog.records)]
    assert SECRET not in "\n".join(shown)


async def test_s46_a_responses_url_is_shown_without_its_query_and_password(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"https://user:{SECRET}@x.test/rows?api_key={SECRET}#{SECRET}"

    @asset("x.json")
    def x() -> Any:
        return httpx.Response(500, request=httpx.Request("GET", url))

    with pytest.raises(TypeError, match=r"https://x\.test/rows is 500") as caught:
        await x()
    assert SECRET not in "".join(traceback.format_exception(caught.value)) + caplog.text + _everywhere(base)


async def test_s46_a_secret_in_a_row_is_refused_without_showing_it(base: Path) -> None:
    @asset("x.json")
    def x() -> Any:
        return [{"a": {"key": SecretStr(SECRET)}}]

    with pytest.raises(TypeError, match="secret can't be stored") as caught:
        await x()
    assert caught.value.column == "a.key"  # type: ignore[attr-defined]
    assert SECRET not in str(caught.value)


async def test_s46_a_secret_in_a_path_is_never_its_value(base: Path) -> None:
    @asset("{key}/{key.get_secret_value}.json")
    def x(key: SecretStr) -> Any:
        return [{"a": 1}]

    try:
        await x(SecretStr(SECRET))
    except Exception as error:
        assert SECRET not in str(error)  # noqa: PT017
    assert SECRET not in "".join(str(path) for path in base.rglob("*"))


async def test_s46_the_arguments_of_a_record_are_short_and_tell_no_objects_repr(base: Path) -> None:
    @asset("x.json")
    def x(client: Client, n: int, text: str) -> Any:
        return [{"a": 1}]

    await x(Client("plain"), 5, "y" * 1000)
    [record] = base.rglob("metadata.json")
    text = record.read_text()
    assert "plain" not in text
    assert "y" * 250 not in text
    assert "5" in text
