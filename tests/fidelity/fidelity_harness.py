"""Takes a kind of value through a real run of an asset, and says what became of it; makes the docs page of that."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby, product
from pathlib import Path
from typing import Any

from fidelity_kinds import KINDS, Kind

from mad_prefect_core import DataArtifact, DataAsset, asset
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.runs.targets import result_file
from mad_prefect_csv import ReadCSVOptions
from mad_prefect_json import ReadJsonOptions

__all__ = ["COMBINATIONS", "PAGE", "Outcome", "differences", "frame", "outcomes", "row"]

FORMATS = ("json", "parquet", "csv", "avro")
COMBINATIONS = list(product(FORMATS, FORMATS))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "types.md"


@dataclass(frozen=True)
class Outcome:
    """What became of a kind, with one format of fragments and one of results."""

    fragment: str
    result: str
    wrong: str | None = None
    """How it came back differently; None if it did not."""
    error: Exception | None = None


async def outcomes(kind: Kind) -> list[Outcome]:
    """Of all combinations of formats."""
    found = await asyncio.gather(*(_outcomes(kind, fragment) for fragment in FORMATS))
    return [outcome for several in found for outcome in several]


async def _outcomes(kind: Kind, fragment: str) -> list[Outcome]:
    """Of one format of fragments: by one run with a result in each format, or by a run for each where that is refused,
    since one of them may be the reason."""
    values = _values(kind, fragment, *FORMATS)
    formats = values.options.formats()
    try:
        results = (await values()).run.results
        artifacts = [DataArtifact.of_file(result.path, result_file(result), formats) for result in results]
        relations = [await artifact.query(kind.query) for artifact in artifacts]
        return [_came_back(kind, fragment, *found) for found in zip(FORMATS, relations, strict=True)]
    except Exception:
        return list(await asyncio.gather(*(_outcome(kind, fragment, result) for result in FORMATS)))


async def _outcome(kind: Kind, fragment: str, result: str) -> Outcome:
    try:
        return _came_back(kind, fragment, result, await _values(kind, fragment, result).query(kind.query))
    except MadPrefectError as error:
        return Outcome(fragment, result, error=error)
    except Exception as error:
        return Outcome(fragment, result, wrong=f"{type(error).__name__}, which is none of ours: {error}"[:500])


def _values(kind: Kind, fragment: str, *results: str) -> DataAsset[[], Any]:
    name = "_".join([re.sub(r"\W+", "_", kind.name), fragment, *results])

    @asset(
        f"{name}.{'|'.join(results)}",
        name=name,
        artifact_filetype=fragment,
        read_json_options=ReadJsonOptions(auto_detect=False) if "json" in (fragment, *results) else None,
        read_csv_options=ReadCSVOptions(auto_detect=False) if "csv" in (fragment, *results) else None,
    )
    def values() -> Any:
        return kind.make()

    return values


def _came_back(kind: Kind, fragment: str, result: str, relation: Any) -> Outcome:
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    types = {name: str(type) for name, type in zip(relation.columns, relation.types, strict=True)}
    return Outcome(fragment, result, wrong=differences(kind, rows, types))


def differences(kind: Kind, rows: list[dict[str, Any]], types: dict[str, str]) -> str | None:
    """How rows differ from those expected; None if they don't."""
    names = list(dict.fromkeys(name for row in kind.expected for name in row))
    if list(types) != names:
        return f"columns {list(types)}, not {names}"
    if len(rows) != len(kind.expected):
        return f"{len(rows)} rows, not {len(kind.expected)}"
    for expected, row in zip(kind.expected, rows, strict=True):
        for name in names:
            if not same(expected.get(name), row[name]):
                return f"{name}: {str(row[name])[:80]!r} ({types[name]}), not {str(expected.get(name))[:80]!r}"
    for name, wanted in (kind.types or {}).items():
        if types[name] != wanted:
            return f"{name} is {types[name]}, not {wanted}"
    return None


def same(expected: Any, value: Any) -> bool:
    """Whether a value is what was expected: equal, and of the same type."""
    if isinstance(expected, int) and abs(expected) >= 2**63 and isinstance(value, Decimal):
        return value == expected  # DuckDB has no other type for it
    if isinstance(expected, int) and isinstance(value, Decimal):
        return type(expected) is int and value == expected and value.as_tuple().exponent == 0
    if type(expected) is not type(value):
        return False
    if isinstance(expected, float):
        return expected.hex() == value.hex()  # tells nan and the zeros apart, too
    if isinstance(expected, list | tuple):
        return len(expected) == len(value) and all(map(same, expected, value))
    if isinstance(expected, dict):
        if not expected.keys() <= value.keys():
            return False
        return all(same(expected.get(key), item) for key, item in value.items())
    if isinstance(expected, dt.datetime) and expected.tzinfo is not None:
        # In UTC, since Python takes two datetimes of one zone for equal where only their `fold` differs.
        return value.tzinfo is not None and expected.astimezone(dt.UTC) == value.astimezone(dt.UTC)
    return bool(expected == value)


# -- the page ----------------------------------------------------------------------------------------------------

_INTRODUCTION = """\
# Which values come back exactly

An asset's rows go through a fragment file and a result file. What a run stored is recorded with it, so a value comes
back with the value and the type that it had, whatever the two formats are, or the run is refused with an error that
names the column. Nothing is changed on the way without a word.

## How types are chosen

A column's type is decided by all of its values, and not by how they came: the same rows have the same types, and are
refused alike, in one batch or in many, in any order of batches. Only a batch of rows none of which has a key is refused
by itself. For numbers:

| a column holds | it is |
|---|---|
| integers | `BIGINT`; `UBIGINT` if none is negative and one is beyond it; `DECIMAL(38,0)` if one is beyond both |
| integers and floats | `DOUBLE`; refused if an integer is beyond 2**53 |
| decimals, also with integers | `DECIMAL` with the most digits any has before, and after, the point: 38 at most |
| floats and decimals | refused |

Columns that came as columns (Arrow, a frame) count with all that their type can hold.

A dict is a `STRUCT` of all keys that dicts at its place have. Where keys are data, such as prices by article, that
grows without bound, so it is a `MAP(VARCHAR, …)` if the run's dicts at that place have more than 100 different keys,
and each has less than a tenth of them on average. The values' type is decided as a column's is; values that have no
type for all are `JSON`. The log says so, once for a run. `map_inference_threshold` of `ReadJsonOptions` decides instead
where it is set: more different keys than that, or -1 for never; so does the type of the column in `columns`. From JSON
fragments, a key whose value is None stays in the map; other formats don't tell it from one that is not there. Structs
that came as columns stay structs.

## What comes as columns

Frames, Arrow data and relations go to the file as columns. Each type is kept, converted to one that holds the same
values, or refused by the name of the column and the place in it. Types alone decide wherever they can, so plain columns
cost nothing; text is checked for being UTF-8, dates and times for being within DuckDB's range, maps for keys twice.

| what comes | is |
|---|---|
| `halffloat`, other decimals of up to 38 digits, `date64`, `duration[ns]` | what DuckDB has, if it keeps every digit |
| run-end encoded, dictionaries, list views, unions of any kind | their values, as lists and unions |
| `arrow.uuid`, `arrow.json`, `arrow.bool8` | `UUID`, `JSON`, `BOOLEAN` |
| other extension types: tensors, geometries, Period, Interval | refused: a file would hold their storage alone |
| an instant with a time zone | the same instant; DuckDB keeps no zone's name |
| HUGEINT of a relation, `Int128` of polars | `DECIMAL(38,0)` |
| BIT, BIGNUM, GEOMETRY, TIME WITH TIME ZONE, TUPLE, VARIANT of a relation | refused, with what to select instead |
| Python objects in a frame | by the rules of rows; in pandas, integers of more than 64 bits are refused |
| an index of pandas that has a name, several levels, or text or times | columns after the others, as in `to_parquet` |
| a level of it without a name | the column `__index_level_0__`, for the first |
| an index of numbers without a name | no column: pandas has numbered the rows |
| numbers as column names of pandas | their text |
| a column name that is empty, there twice but for case, or has a NUL or carriage return | refused |

## Where files meet

The same rule holds for the batches of a run, for artifacts that it yields, and for the files of a `DataArtifactQuery`,
whoever wrote them: a column whose types differ gets the narrowest type that keeps every value of all of them. Where
there is none, the query or run is refused with a `SchemaError` that names the column, both types and the file.

| one file has | another has | together |
|---|---|---|
| integers | wider integers, decimals, floats | the wider type; refused if it would not hold one of them |
| a date | a timestamp without a zone | `TIMESTAMP` |
| a timestamp | one with finer digits | the finer type; refused if a moment is beyond its range |
| no value at all | anything | the other type |
| structs, lists, maps | others of the same kind | member by member, by these rules |
| text | dates, numbers, booleans, bytes | refused; CSV files of others keep the text |
| decimals | floats | refused |
| a timestamp without a zone | one with a zone | refused |

Columns are found by name, in any order and case.

A column that never had a value has no type: DuckDB shows it as `"NULL"`, and every query finds NULL in it. It takes the
type of the others where it meets some: in a later batch, in the result of other arguments, in a diff. So do lists that
were all empty, dicts that never had a key, and a column declared as text, by a frame or file, that has no value.
What was recorded as `JSON` by earlier versions is read as that.

## What text is taken for

JSON and CSV hold dates and times as text, and mad-prefect 2.x let DuckDB infer them. The same is done still, unless
you switch it off: a column of Python strings *all* of which look like one type is of that type in the result.

| strings that all look like | become, from JSON fragments | from CSV fragments |
|---|---|---|
| `2020-01-31` | `DATE` | `DATE` |
| `2020-01-31 12:00:00`, `2020-01-31T12:00:00.5` | `TIMESTAMP` | `TIMESTAMP` |
| `2020-01-31T12:00:00Z`, `…+02:00`, `…+02` | `TIMESTAMP WITH TIME ZONE` | `TIMESTAMP WITH TIME ZONE` |
| `12:00:00` | `TIME` | `TIME` |
| `12345678-1234-5678-1234-567812345678` | `UUID` | stay text |
| `42`, `-1` | stay text | `BIGINT` |
| `1.5`, `1e-05` | stay text | `DOUBLE` |
| `true`, `false`, also `True`, `TRUE` … | stay text | `BOOLEAN` |

Only what can be read in one way, and is the same text when written again up to the `T` and trailing zeros, counts.
These stay text:

- dates that can be read in two ways, or are not written in full: `01-02-2020`, `01/02/20`, `10-1-1`, `2020-02-30`;
- times that are not written in full, are beyond a day, or have more digits than microseconds: `12:00`, `24:00:00`,
  `2020-01-01 00:00:00.123456789`; times with and without a zone in one column;
- codes: `007`, `0x1A`, `1e5`, `1,234`, `1_000`, `+1`, `-0`, `T`, `yes`, digits other than ASCII's;
- words: `epoch`, `infinity`, `inf`, `nan`;
- numbers that a type can't hold exactly: integers beyond 64 bits, `1e400`, and fractions of more than 15 digits,
  unless they are what a double of all digits is written as (`0.30000000000000004`).

One value that looks otherwise, in any row of any batch, leaves the whole column text. Parquet fragments hold text as
text, and so does everything that came as columns (Arrow, a frame, a relation).

CSV files that others wrote follow the same rule, value by value: [CSV files of others](../reference/csv-of-others.md).

JSON files that others wrote follow the same rules, all of their rows together; the README of mad-prefect-json says
what their numbers, mixed values and objects with data as keys become.

To keep all strings as they are:

```python
@asset(
    "orders.parquet",
    read_json_options=ReadJsonOptions(auto_detect=False),
    read_csv_options=ReadCSVOptions(auto_detect=False),
)
```

The tables below are made with exactly these options, by the tests themselves (`tests/fidelity`), which fail if a
value comes back differently or if this page is not what they found. `json→csv` means fragments in JSON and the
result in CSV. An integer beyond 64 bits comes back as a `Decimal` without a fraction, an enum as its value, a tuple
as a list, an aware datetime as the same instant, a dict's missing key as None.
"""


def frame() -> str:
    """The page with nothing found yet: each row holds its kind's name alone."""
    return page({kind.name: f"| {_cell(kind.name)} |" for kind in KINDS})


def page(rows: dict[str, str]) -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for group, kinds in groupby(KINDS, key=lambda kind: kind.group):
        heads = " | ".join(f"{fragment}→{result}" for fragment, result in COMBINATIONS)
        parts.append(f"\n## {group}\n\n| kind | {heads} | why not |\n|---|{'---|' * len(COMBINATIONS)}---|\n")
        parts.extend(f"{rows[kind.name]}\n" for kind in kinds)
    return "".join(parts)


def row(kind: Kind, found: list[Outcome]) -> str:
    """A kind's row on the page."""
    cells = ["exact" if outcome.error is None else "refused" for outcome in found]
    reasons = dict.fromkeys(_reason(outcome.error) for outcome in found if isinstance(outcome.error, MadPrefectError))
    return f"| {_cell(kind.name)} | {' | '.join(cells)} | {_cell('; '.join(reasons))} |"


def _reason(error: MadPrefectError) -> str:
    text = " ".join(error.message.split())
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page anew: `python tests/fidelity/fidelity_harness.py`."""
    os.environ["FILESYSTEM_URL"] = f"file://{tempfile.mkdtemp()}"
    rows = {}
    for kind in KINDS:
        if sys.argv[2:] and sys.argv[2] not in kind.group:
            continue
        found = asyncio.run(outcomes(kind))
        for outcome in found:
            if outcome.wrong:
                print(f"{kind.name}, {outcome.fragment}→{outcome.result}: {outcome.wrong}", file=sys.stderr)
            elif outcome.error is not None and "-v" in sys.argv:
                print(f"{kind.name}, {outcome.fragment}→{outcome.result}: {outcome.error!r}", file=sys.stderr)
        rows[kind.name] = row(kind, found)
    if sys.argv[2:]:
        return
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
