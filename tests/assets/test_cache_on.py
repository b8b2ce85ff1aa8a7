"""What else makes a cached call run again: a change of the code, and newer results of the assets it read."""

from __future__ import annotations

import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mad_prefect_core import DataAsset, asset
from mad_prefect_core.assets.code import code_digest
from mad_prefect_core.errors import OptionError

HOUR = timedelta(hours=1)

SOURCE = """
from dataclasses import dataclass
from functools import partial

RATE = 2
UNUSED = 1

def helper(n):
    return n * RATE

class Cleaner:
    def clean(self, n):
        return n

def outer(k):
    def inner(n=1):
        # a comment
        return [{"n": helper(n) + k + Cleaner().clean(n)} for n in range(n)]
    return inner

fn = outer(3)
"""


def digest_of(folder: Path, source: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "users_code.py"
    path.write_text(textwrap.dedent(source))
    namespace: dict[str, Any] = {"__name__": "users_code"}
    exec(compile(path.read_text(), str(path), "exec"), namespace)  # noqa: S102  as an import, at one path each time
    return code_digest(namespace["fn"])


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("return n * RATE", "return n + RATE", True),
        ("RATE = 2", "RATE = 3", True),
        ("outer(3)", "outer(4)", True),
        ("inner(n=1)", "inner(n=2)", True),
        ("clean(self, n):\n        return n", "clean(self, n):\n        return n + 1", True),
        ("fn = outer(3)", "fn = partial(outer(3), n=5)", True),
        ("# a comment", "# another one\n", False),
        ("UNUSED = 1", "UNUSED = 2", False),
        ("RATE = 2", "\n\nRATE = 2", False),
    ],
)
def test_what_the_code_does_counts_and_nothing_else(tmp_path: Path, before: str, after: str, changes: bool) -> None:
    assert before in SOURCE
    first, second = digest_of(tmp_path, SOURCE), digest_of(tmp_path, SOURCE.replace(before, after))
    assert (first != second) == changes
    assert first == digest_of(tmp_path, SOURCE)


def test_code_that_refers_to_itself_or_to_what_has_no_value_has_a_digest() -> None:
    lock = __import__("threading").Lock()

    def even(n: int) -> bool:
        with lock:
            return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    assert code_digest(even) == code_digest(even) != code_digest(odd)


async def test_s43_a_change_of_the_code_is_no_hit_where_that_was_asked_for(base: Path) -> None:
    def make(n: int, **options: Any) -> DataAsset[..., Any]:
        @asset("x.json", name="x", cache_expiration=HOUR, **options)
        def x() -> Any:
            return [{"n": n}]

        return x

    await make(1, cache_on=("code",))()
    assert (await make(1, cache_on=("code",)).explain()).hit
    assert (await make(2, cache_on=("code",)).explain()).reason == "options"
    await make(1)()
    assert (await make(2).explain()).hit, "as in 2.x"


@pytest.mark.parametrize("by", ["call", "argument", "sql", "task"])
async def test_a_newer_result_of_an_asset_that_was_read_is_no_hit_where_that_was_asked_for(base: Path, by: str) -> None:
    import asyncio

    @asset("up.json", name="up_of_this_test", cache_expiration=HOUR)
    def up() -> Any:
        return [{"n": 1}]

    @asset("down.json", name="down", cache_expiration=HOUR, cache_on=("upstream",))
    async def down(source: Any = None) -> Any:
        if by == "call":
            yield await up.query()
        elif by == "argument":
            yield source
        elif by == "sql":
            yield await other.query("SELECT up_of_this_test.n FROM data, up_of_this_test")
        else:
            yield await asyncio.create_task(up.query())

    @asset("other.json", name="other", cache_expiration=HOUR)
    def other() -> Any:
        return [{"x": 1}]

    bound = down.with_arguments(up) if by == "argument" else down
    artifact = await bound()
    assert "up_of_this_test" in {read.asset_name for read in artifact.run.upstream}
    assert (await bound.explain()).hit
    await up.with_options(cache_expiration=None)()
    told = await bound.explain()
    assert (told.reason, told.text) == ("upstream", "It runs: up_of_this_test has a newer result than it read.")
    assert not (await bound()).from_cache
    assert (await bound.explain()).hit


@pytest.mark.parametrize("wrong", ["code", ("codes",)])
def test_a_cache_on_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(OptionError, match=r"cache_on can't be.*code, upstream"):
        asset("x.json", cache_on=wrong)
