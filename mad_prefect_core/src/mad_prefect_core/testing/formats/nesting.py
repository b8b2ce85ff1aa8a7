"""Every scalar type in every kind of nesting, made mechanically: its least and greatest values, and special ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice, pairwise
from typing import Any

from mad_prefect_core.batch import ColumnBatch
from mad_prefect_core.contracts import BatchFormat
from mad_prefect_core.errors import UnsupportedValueError
from mad_prefect_core.session import quote, schema_of
from mad_prefect_core.testing.formats.bench import Bench

__all__ = ["NESTINGS", "SCALARS", "wrong_in"]

SCALARS: dict[str, list[str]] = {
    "BOOLEAN": ["true", "false"],
    **{
        f"{kind}INT": [f"({-(2 ** (bits - 1))})", str(2 ** (bits - 1) - 1), "0"]
        for kind, bits in {"TINY": 8, "SMALL": 16, "BIG": 64}.items()
    },
    "INTEGER": ["(-2147483648)", "2147483647", "0"],
    "HUGEINT": ["'-170141183460469231731687303715884105728'", "'170141183460469231731687303715884105727'", "0"],
    "UTINYINT": ["0", "255"],
    "USMALLINT": ["0", "65535"],
    "UINTEGER": ["0", "4294967295"],
    "UBIGINT": ["0", "18446744073709551615"],
    "UHUGEINT": ["0", "'340282366920938463463374607431768211455'"],
    "FLOAT": ["'-3.4028235e38'", "'1e-45'", "'-0.0'", "'nan'", "'-inf'", "'inf'", "'16777217'"],
    "DOUBLE": ["'-1.7976931348623157e308'", "'5e-324'", "'-0.0'", "'nan'", "'-inf'", "'inf'", "'9007199254740993'"],
    **{
        f"DECIMAL(38,{scale})": [f"'-{_digits}'", f"'{_digits}'", f"'{_least}'"]
        for scale in range(39)
        for _digits in ["9" * (38 - scale) + "." + "9" * scale]
        for _least in ["0." + "0" * (scale - 1) + "1" if scale else "1"]
    },
    "DECIMAL(4,1)": ["'-999.9'", "'999.9'", "'0.1'"],
    "DECIMAL(9,4)": ["'-99999.9999'", "'99999.9999'", "'0.0001'"],
    "DECIMAL(18,3)": ["'-999999999999999.999'", "'999999999999999.999'", "'0.001'"],
    "VARCHAR": ["''", "'NULL'", "' a, b]'", "e'\"\\n\\'\\\\'", "'é😀'", "'007'", "'1.50'", "'2024-01-01'",
                "'{}'", "'nan'"],
    "BLOB": [r"'\x00\xFF'", "''", "'abc'"],
    "BIT": ["'0'", "'0101'"],
    "DATE": ["'0001-01-01'", "'9999-12-31'", "'1969-12-31'", "'infinity'"],
    "TIME": ["'00:00:00'", "'23:59:59.999999'"],
    "TIMESTAMP": ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'"],
    "TIMESTAMP_S": ["'1677-09-22 00:00:00'", "'9999-12-31 23:59:59'"],
    "TIMESTAMP_MS": ["'1677-09-22 00:00:00'", "'9999-12-31 23:59:59.999'"],
    "TIMESTAMP_NS": ["'1677-09-22 00:00:00'", "'2262-04-11 23:47:16.854775806'", "'1969-12-31 23:59:59.999999999'"],
    "TIMESTAMPTZ": ["'0001-01-01 00:00:00+00'", "'9999-12-31 23:59:59.999999+00'", "'2024-02-29 12:00:00+05:30'"],
    "INTERVAL": ["'1 year 2 months 3 days 04:05:06.789'", "'0 days'"],
    "UUID": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "ENUM('a b', '', 'NULL')": ["'a b'", "''", "'NULL'"],
    "JSON": ["""'{"a":[1,null]}'""", "'\"x\"'"],
}  # fmt: skip
"""By type: values as SQL, which are cast to it."""

NESTINGS: dict[str, str] = {
    "alone": "{a}",
    "in a list": "[{a}, NULL, {b}]",
    "in a list of lists": "[[{a}], NULL, [{b}, {a}]]",
    "in an array": "[{a}, {b}]::{kind}[2]",
    "in a struct": "{{'x': {a}, 'y': {b}, 'z': NULL::{kind}}}",
    "in a list of structs": "[{{'x': {a}}}, NULL, {{'x': {b}}}]",
    "in a map": "MAP {{'k': {a}, 'l': {b}}}",
    "as a map's key": "MAP {{{a}: 1}}",
}
"""By what it is called: the SQL of a value, of two of the type."""


def wrong_in(bench: Bench, kinds: Sequence[str]) -> list[str]:
    """What does not come back as it was, of scalar types in each nesting, in words. What is refused by its column is
    left out. All are tried in one file."""
    columns: dict[str, list[str]] = {}
    rows = max(len(SCALARS[kind]) for kind in kinds)
    for kind in kinds:
        cast = [f"CAST({value} AS {kind})" for value in islice(cycle(SCALARS[kind]), rows + 1)]
        for name, sql in NESTINGS.items():
            columns[f"{kind} {name}"] = [sql.format(a=a, b=b, kind=kind) for a, b in pairwise(cast)]
    wrong = list(_differences(bench, columns, arrow=False))
    if isinstance(bench.format, BatchFormat):
        wrong += [f"{each} (written as a batch)" for each in _differences(bench, columns, arrow=True)]
    return wrong


def _differences(bench: Bench, columns: Mapping[str, list[str]], *, arrow: bool) -> Iterator[str]:
    """All columns are tried in one file, and each by itself only where that fails."""
    left = dict(columns)
    while left:
        try:
            yield from _of_file(bench, left, arrow=arrow)
            return
        except UnsupportedValueError as error:
            # A place in a column, such as `list[]`, names it too.
            refused = [name for name in left if re.fullmatch(rf"{re.escape(name)}([\[.].*)?", error.column or "")]
            if not refused:
                yield f"{', '.join(left)}: refused without naming the column: {error}"
                return
            del left[refused[0]]
        except Exception as error:
            if len(left) == 1:
                yield f"{next(iter(left))}: neither kept nor refused by UnsupportedValueError: {error!r}"
                return
            for name, values in left.items():
                yield from _differences(bench, {name: values}, arrow=arrow)
            return


def _of_file(bench: Bench, columns: Mapping[str, list[str]], *, arrow: bool) -> list[str]:
    session = bench.session
    rows = [f"SELECT {', '.join(values)}" for values in zip(*columns.values(), strict=True)]
    rows.append(f"SELECT {', '.join(['NULL'] * len(columns))}")
    names = ", ".join(map(quote, columns))
    numbered = f"SELECT * FROM ({' UNION ALL '.join(rows)}) AS r({names})"  # noqa: S608  values of our own
    session.execute(f"CREATE OR REPLACE TEMP TABLE original AS {numbered}")
    source: Any = "FROM original"
    if arrow:
        source = session.sql(source).to_arrow_table()
        schema = schema_of(session.sql(f"FROM {session.view(source, 'original_arrow')}"))
        path = bench.write(ColumnBatch(source))
    else:
        path, schema = bench.export(source)
    expected = _as_text(bench, "original_arrow" if arrow else "original", schema)
    found = bench.scan(path, schema=schema)
    if schema_of(found) != schema:
        kinds = schema_of(found)
        return [
            f"{name}: {kind} comes back as {kinds.get(name)}"
            for name, kind in schema.items()
            if kind != kinds.get(name)
        ]
    view = session.view(found)
    try:
        returned = _as_text(bench, view, schema)
    finally:
        session.forget(view)
    wrong = []
    for number, name in enumerate(columns):
        before, after = [row[number] for row in expected], [row[number] for row in returned]
        differ = [f"{one} comes back as {other}" for one, other in zip(before, after, strict=False) if one != other]
        if len(before) != len(after):
            differ.append(f"{len(before)} rows come back as {len(after)}")
        wrong += [f"{name}: {each}" for each in differ]
    return wrong


def _as_text(bench: Bench, table: str, schema: Mapping[str, str]) -> list[tuple[str | None, ...]]:
    """As text: to DuckDB 0.0 and -0.0 are equal."""
    columns = ", ".join(f"{quote(name)}::VARCHAR" for name in schema)
    return bench.session.sql(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608  quoted
