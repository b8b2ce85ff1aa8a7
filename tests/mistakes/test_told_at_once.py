"""Mistakes of a careless user: each is told where it is made, with what is wrong, where, and what to do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mad_prefect_core import DataAsset, DataAssetOptions, Retention, asset
from mad_prefect_core.errors import (
    ArgumentError,
    MadPrefectError,
    OptionError,
    OptionWarning,
    PathError,
    QueryError,
    SharedPathWarning,
    TemplateError,
    UnknownFormatError,
)
from mad_prefect_core.mounts import mount
from mad_prefect_csv import ReadCSVOptions, WriteCSVOptions
from mad_prefect_json import ReadJsonOptions


def rows() -> list[dict[str, int]]:
    return [{"n": 1}]


def of_day(day: int) -> list[dict[str, int]]:
    return [{"day": day}]


class Shop:
    def orders(self) -> list[dict[str, int]]:
        return [{"n": 1}]

    @classmethod
    def all(cls) -> list[dict[str, int]]:
        return [{"n": 1}]

    def __call__(self) -> list[dict[str, int]]:
        return [{"n": 1}]


class Mistake(NamedTuple):
    """Something that is refused, the class of the error, and what its text has to say."""

    what: str
    made: Callable[[], Any]
    error: type[MadPrefectError]
    words: tuple[str, ...]


def option(name: str, value: Any, *words: str, error: type[MadPrefectError] = OptionError) -> Mistake:
    """An option's value that can't be: the text names it, the asset and the value."""
    shown = f"{value!r:.40}" if isinstance(value, int | float | str | timedelta | type(None)) else ""
    where = ("test_told_at_once.rows", name, shown, *words) if name != "name" else (name, shown, *words)
    return Mistake(f"{name}={value!r:.40}", lambda: asset("x.parquet", **{name: value})(rows), error, where)


def path(value: Any, error: type[MadPrefectError], *words: str) -> Mistake:
    return Mistake(f"path={value!r}", lambda: asset(value)(rows), error, ("test_told_at_once.rows", *words))


def function(fn: Any, *words: str) -> Mistake:
    shown = getattr(fn, "__qualname__", None) or f"{type(fn).__name__} {fn!r:.20}".partition(" at 0x")[0]
    return Mistake(f"{shown} as a function", lambda: asset("x.parquet")(fn), OptionError, ("function", *words))


MISTAKES = [
    # the decorator
    Mistake("@asset without parentheses", lambda: asset(rows), OptionError, ("'rows'", '@asset("orders.parquet")')),  # type: ignore[arg-type]
    Mistake("@asset() without a path", lambda: asset()(rows), OptionError, ("path", '@asset("orders.parquet")')),
    Mistake(
        "an option that is misspelt",
        lambda: asset("x.parquet", cache_expiraton=timedelta(1))(rows),
        OptionError,
        ("rows", "no option 'cache_expiraton'", "Did you mean 'cache_expiration'?"),
    ),
    Mistake(
        "an option of something else",
        lambda: asset("x.parquet", retries=3)(rows),
        OptionError,
        ("no option 'retries'", "fragment_rows"),
    ),
    Mistake(
        "with_options of one that is misspelt",
        lambda: asset("x.parquet")(rows).with_options(snapshot_artefacts=True),
        OptionError,
        ("rows", "snapshot_artefacts", "Did you mean 'snapshot_artifacts'?"),
    ),
    Mistake(
        "with_options of a value that can't be",
        lambda: asset("x.parquet")(rows).with_options(retention=5),
        OptionError,
        ("rows", "retention", "5", "Retention(keep_last=5)"),
    ),
    Mistake(
        "DataAssetOptions of a value that can't be",
        lambda: DataAssetOptions(cache_expiration=60),  # type: ignore[arg-type]
        OptionError,
        ("cache_expiration", "60", "timedelta(seconds=60)"),
    ),
    Mistake(
        "DataAsset with options that are none",
        lambda: DataAsset(rows, "x.parquet", None, {"fragment_rows": 5}),  # type: ignore[arg-type]
        OptionError,
        ("rows", "options", "DataAssetOptions"),
    ),
    Mistake(
        "an argument that the function does not take",
        lambda: asset("{day}.parquet")(of_day).with_arguments(dya=1),
        ArgumentError,
        ("of_day", "'dya'", "Did you mean 'day'?"),
    ),
    Mistake(
        "a call with too many arguments",
        lambda: asset("x.parquet")(rows).call_sync(1),
        ArgumentError,
        ("rows", "too many", "It takes: none"),
    ),
    *(
        Mistake(
            f"a query of {type(given['query_str']).__name__} with {sorted(given)}",
            lambda given=given: asset("x.parquet")(rows).query_sync(**given),  # type: ignore[misc]
            QueryError,
            ("rows", *words),
        )
        for given, *words in (
            ({"query_str": 5}, "text, not int"),
            ({"query_str": "FROM df", "tables": [1]}, "tables={'df': df}"),
        )
    ),
    # the path
    path(None, OptionError, "path", "orders.parquet"),
    path(5, OptionError, "path"),
    path(b"x.parquet", OptionError, "bytes"),
    path("", OptionError, "path", "orders.parquet"),
    path("  ", OptionError, "path"),
    path("x", UnknownFormatError, "no file suffix", ".parquet"),
    path("x.", UnknownFormatError, "no file suffix"),
    path(".parquet", UnknownFormatError, "no file suffix"),
    path("orders/", PathError, "folder", "Name a file"),
    path("bronze\\orders.parquet", PathError, "backslashes", "Did you mean 'bronze/orders.parquet'?"),
    path("~/orders.parquet", PathError, "below the base", "'orders.parquet'"),
    path("$HOME/orders.parquet", PathError, "variable"),
    path("x.parquet|parquet", OptionError, "twice", "once"),
    path("x.parquet|x.csv", OptionError, "a format, not a path", "'x.parquet|csv'"),
    path("file:///C:/x.parquet", PathError, "Windows"),
    Mistake("../raw", lambda: asset("x.parquet", artifacts_dir="../raw")(rows), PathError, ("artifacts_dir", "climb")),
    Mistake(
        "s3:/bucket/raw",
        lambda: asset("x.parquet", artifacts_dir="s3:/bucket/raw")(rows),
        PathError,
        ("rows", "artifacts_dir", "Did you mean 's3://bucket/raw'?"),
    ),
    path("../x.parquet", PathError, "climb", "base"),
    path("a\n.parquet", PathError, "control characters"),
    path("x.parqet", UnknownFormatError, "Did you mean 'parquet'?"),
    path("x.cvs", UnknownFormatError, "Did you mean 'csv'?"),
    path("x_{rows}.jsno", UnknownFormatError, "Did you mean 'json'?"),
    path("x.parquet|cvs", UnknownFormatError, "Did you mean 'csv'?"),
    path("x_{day.parquet", TemplateError, "'}'", "brace"),
    path("s3:/bucket/x.parquet", PathError, "Did you mean 's3://bucket/x.parquet'?"),
    path("S3://bucket/x.parquet", PathError, "Did you mean 's3://bucket/x.parquet'?"),
    path("file://localhost/x.parquet", PathError, "Did you mean 'file:///x.parquet'?"),
    path("simplecache::/lake/x.parquet", PathError, "Did you mean 'simplecache::file:///lake/x.parquet'?"),
    path("C:\\lake\\x.parquet", PathError, "Windows"),
    Mistake(
        "a field that no parameter fills in",
        lambda: asset("x_{dya}.parquet")(of_day),
        TemplateError,
        ("of_day", "'dya'", "Did you mean 'day'?"),
    ),
    Mistake(
        "a field of a name that no parameter fills in",
        lambda: asset("x_{day}.parquet", name="x_{region}")(of_day),
        TemplateError,
        ("'region'", "It has: day"),
    ),
    # the other options
    option("cache_expiration", 3600, "timedelta(seconds=3600)"),
    option("cache_expiration", "1h", "timedelta"),
    option("cache_expiration", True, "timedelta"),
    option("cache_expiration", timedelta(-1), "less than zero"),
    option("retention", 5, "Retention(keep_last=5)"),
    option("retention", timedelta(days=30), "Retention(max_age="),
    option("retention", {"keep_last": 5}, "dict", "Retention("),
    option("retention", Retention, "Retention("),
    option("snapshot_artifacts", "no", "True or False"),
    option("snapshot_artifacts", 0, "True or False"),
    option("artifact_filetype", "parqet", "Did you mean 'parquet'?", error=UnknownFormatError),
    option("artifact_filetype", 5, '"json"'),
    option("artifact_filetype", "", '"json"'),
    option("artifacts_dir", 5, "folder"),
    option("name", "", "Leave it out"),
    option("name", "a\0b", "control characters"),
    option("name", 5, "text"),
    option("name", "x" * 300, "200 bytes"),
    option("on_running", "Wait", "wait, reuse, fail"),
    option("on_running", None, "wait, reuse, fail"),
    option("fragment_rows", 0, "1 or more"),
    option("fragment_rows", "10000", "1 or more"),
    option("fragment_rows", True, "1 or more"),
    option("cache_on", "code", '("code",)'),
    option("cache_on", ("cod",), "code, upstream"),
    option("read_options", {"delim": ";"}, "dict", "ReadCSVOptions"),
    option("read_options", ReadCSVOptions, "class", "ReadCSVOptions(...)"),
    option("read_options", WriteCSVOptions(), "WriteCSVOptions", "ReadCSVOptions"),
    option("write_options", ReadCSVOptions(), "ReadCSVOptions", "WriteCSVOptions"),
    option("write_options", WriteCSVOptions(), "WriteCSVOptions", "json, parquet"),
    option("read_csv_options", ReadJsonOptions(), "ReadJsonOptions", "ReadCSVOptions"),
    option("read_json_options", {"columns": {}}, "dict", "ReadJsonOptions"),
    # options of formats
    Mistake("a read option that is misspelt", lambda: ReadCSVOptions(delimm=";"), OptionError, ("delimm", "'delim'")),  # type: ignore[call-arg]
    Mistake("a read option by position", lambda: ReadCSVOptions(";"), OptionError, ("by name", "delim")),  # type: ignore[misc]
    Mistake("a read option of a wrong kind", lambda: ReadCSVOptions(header=[1]), OptionError, ("header", "names")),  # type: ignore[arg-type]
    Mistake("a retention by position", lambda: Retention(5), OptionError, ("5", "Retention(keep_last=")),  # type: ignore[misc]
    Mistake("a retention of nothing", lambda: Retention(keep_last=0), OptionError, ("keep_last", "newest")),
    Mistake("a retention without a rule", lambda: Retention(), OptionError, ("at least one rule", "keep_last")),
    # the function
    function(Shop, "class Shop"),
    function(Shop.orders, "Shop.orders", "self", "@staticmethod"),
    function(Shop.__dict__["all"], "classmethod"),
    function(Shop(), "Shop object"),
    function("rows", "str"),
    function(None, "NoneType"),
    function(asset("stacked.parquet")(rows), "asset already", "once"),
    # the base
    *(
        Mistake(f"the base {url!r}", lambda url=url: mount(url), PathError, ("base", *words))  # type: ignore[misc]
        for url, *words in (
            ("s3:/bucket", "Did you mean 's3://bucket'?"),
            ("s3:bucket/lake", "Did you mean 's3://bucket/lake'?"),
            ("s3//bucket", "Did you mean 's3://bucket'?"),
            ("s3;//bucket", "Did you mean 's3://bucket'?"),
            ("s3:\\\\bucket", "Did you mean 's3://bucket'?"),
            ("S3://bucket", "Did you mean 's3://bucket'?"),
            ("FILE:///data", "Did you mean 'file:///data'?"),
            ("file://localhost/data", "Did you mean 'file:///data'?"),
            ("file:data", "Did you mean 'file:///data'?"),
            ("file://", "names no folder"),
            ("filecache::/lake", "Did you mean 'filecache::file:///lake'?"),
            ("://bucket", "Did you mean"),
            ("gs//bucket", "Did you mean 'gs://bucket'?"),
            ("GS:bucket", "Did you mean 'gs://bucket'?"),
            ("az:container", "Did you mean 'az://container'?"),
            ("HTTPS//host", "Did you mean 'https://host'?"),
            ("mad//x", "Did you mean 'mad://x'?"),
            ("user@host:/data", "nearly a URL"),
            ("", "file:///data/lake"),
            (" ", "file:///data/lake"),
            ("None", "file:///data/lake"),
            (" s3://bucket", "Did you mean 's3://bucket'?"),
            ('"s3://bucket"', "Did you mean 's3://bucket'?"),
            ("C:\\data", "Windows"),
            ("C:/data", "Windows"),
            ("file:///C:/data", "Windows"),
            ("\\\\server\\data", "backslashes"),
            ("$HOME/lake", "variable"),
            ("s3://${BUCKET}/lake", "variable"),
            ("~nobody-of-this-name/lake", "home"),
        )
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_a_mistake_is_told_with_what_where_and_what_to_do(base: Path, mistake: Mistake) -> None:
    with pytest.raises(mistake.error) as raised:
        mistake.made()
    text = str(raised.value)
    assert not [word for word in mistake.words if word not in text], text
    assert raised.value.hint
    assert not list(base.parent.rglob("*.*")), "nothing is written anywhere"


def test_there_are_sixty_mistakes() -> None:
    assert len({mistake.what for mistake in MISTAKES}) == len(MISTAKES) >= 60


@pytest.mark.parametrize("url", ["s3://", "s3:///", "gs://", "gs:///"])
def test_a_url_without_a_bucket_is_told(url: str) -> None:
    with pytest.raises(PathError, match=r"no bucket.*Write (s3|gs)://bucket"):
        mount(url)


def test_what_is_no_mistake_is_taken(base: Path) -> None:
    class Orders:
        @asset("static.parquet")
        @staticmethod
        def of() -> list[dict[str, int]]:
            return [{"n": 5}]

    assert Orders.of.query_sync().fetchall() == [(5,)]  # type: ignore[union-attr]
    assert asset(Path("a") / "x.parquet", artifacts_dir=Path("raw"))(rows).path == "a/x.parquet"
    assert asset("usual.parquet", artifacts_dir=None)(rows).artifacts_dir == "", "as in 2.x"  # type: ignore[arg-type]
    assert asset("bound.parquet")(Shop().orders).query_sync().fetchall() == [(1,)]  # type: ignore[union-attr]
    assert asset("classes.parquet")(Shop.all).query_sync().fetchall() == [(1,)]  # type: ignore[union-attr]
    assert asset("lambda.parquet")(lambda: [{"n": 2}]).query_sync().fetchall() == [(2,)]  # type: ignore[union-attr]
    part = asset("part.parquet")(functools.partial(of_day, 3))
    assert part.query_sync().fetchall() == [(3,)]  # type: ignore[union-attr]
    assert asset("zero.parquet", cache_expiration=timedelta(0))(rows).options.cache_expiration == timedelta(0)
    assert asset("list.parquet", cache_on=["upstream", "code"])(rows).options.cache_on == ("code", "upstream")  # type: ignore[arg-type]


def test_read_options_that_no_own_file_is_read_with_are_told(base: Path) -> None:
    """A warning and no error: 2.x took them, and they count for artifacts that the function gives."""
    with pytest.warns(OptionWarning, match="ReadCSVOptions has no effect") as told:
        asset("warned.parquet", read_csv_options=ReadCSVOptions(delim=";"))(rows)
    assert "artifact_filetype" in str(told[0].message)
    assert told[0].filename == __file__
    given = [ReadCSVOptions(delim=";"), ReadJsonOptions(maximum_depth=2)]
    with pytest.warns(OptionWarning, match="^ReadCSVOptions and ReadJsonOptions have no effect .* of such a format"):
        asset("both.parquet", artifact_filetype="parquet", read_options=given)(rows)


class Client:
    pass


def _left_out() -> dict[str, Callable[..., Any]]:
    def plain(day): ...  # type: ignore[no-untyped-def]

    def annotated(region: str, day: int | None): ...  # type: ignore[no-untyped-def]

    return {"plain": plain, "annotated": annotated}


@pytest.mark.parametrize("kind", list(_left_out()))
def test_a_path_that_leaves_out_what_each_call_gives_is_told(base: Path, kind: str) -> None:
    with pytest.warns(SharedPathWarning, match="leaves out '") as told:
        asset(f"{kind}.parquet")(_left_out()[kind])
    assert "={" in str(told[0].message)
    assert told[0].filename == __file__


def _kept_in() -> dict[str, tuple[str, Callable[..., Any]]]:
    def default(day: int = 0): ...  # type: ignore[no-untyped-def]

    def named(day: int): ...  # type: ignore[no-untyped-def]

    def secret(token: str): ...  # type: ignore[no-untyped-def]

    def client(client: Client): ...  # type: ignore[no-untyped-def]

    def untyped(client, db_connection, http, engine): ...  # type: ignore[no-untyped-def]

    def source(source): ...  # type: ignore[no-untyped-def]

    def more(*args, **kwargs): ...  # type: ignore[no-untyped-def]

    return {
        "a default": ("default.parquet", default),
        "in the path": ("{day:03d}/x.parquet", named),
        "a secret": ("secret.parquet", secret),
        "a client": ("client.parquet", client),
        "a client without a type": ("untyped.parquet", untyped),
        "an asset's own argument": ("{region}.parquet", source),
        "no names": ("more.parquet", more),
    }


@pytest.mark.parametrize("kind", list(_kept_in()))
def test_a_path_that_leaves_out_nothing_is_not_told(base: Path, kind: str, recwarn: pytest.WarningsRecorder) -> None:
    template, fn = _kept_in()[kind]
    asset(template)(fn)
    assert not [told for told in recwarn if issubclass(told.category, SharedPathWarning)]


async def test_a_future_or_a_coroutine_as_an_argument_says_what_to_pass(base: Path) -> None:
    import asyncio

    class PrefectConcurrentFuture:
        pass

    of = asset("of.parquet")(of_day)
    with pytest.raises(ArgumentError, match=r"'day'.*PrefectConcurrentFuture.*\.result\(\)"):
        await of(PrefectConcurrentFuture())
    with pytest.raises(ArgumentError, match="await"):
        await of(asyncio.get_running_loop().create_future())
    waiting = of(1)
    with pytest.raises(ArgumentError, match="`await` it"):
        await of(waiting)
    await waiting
