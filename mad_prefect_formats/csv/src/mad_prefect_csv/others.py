"""CSV files of others: the dialect of each stated to DuckDB, and types that hold for all of their rows.

All columns are read as text. What text is taken for is the core's one rule (`mad_prefect_core.batch.text`): every value
of a column decides, in all files together. It is looked at before the relation is made, and again by each cast while
rows are read, so that a file which has changed since, or is too large to look at as a whole, gives an error rather than
another value.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

import duckdb

from mad_prefect_core.sdk import (
    TEXT,
    TEXT_KINDS,
    CorruptFileError,
    OptionError,
    SchemaError,
    Session,
    escape_glob,
    parse_text,
    quote,
    text_kind,
    text_kind_in_sql,
    unescape_glob,
)
from mad_prefect_csv.dialect import Dialect, Sniffed, sniff
from mad_prefect_csv.normal import normalized
from mad_prefect_csv.sqltypes import all_columns

__all__ = ["scan_others"]

_LOOKED_AT = 1 << 26  # bytes of files whose rows are all looked at for types; of compressed ones a quarter
_SAMPLE = 20_480  # rows of larger ones, as DuckDB's reader takes
_WIDE = 32  # columns; DuckDB takes long to plan a query with an expression for each of more
_ASKED_TOGETHER = 1000  # columns
_NUMBERS = frozenset({"BIGINT", "DOUBLE"})
_KINDS = tuple(kind for kind in TEXT_KINDS if kind != "UUID")
_KNOWN = 256
_known: OrderedDict[tuple[Any, ...], tuple[dict[str, str], bool]] = OrderedDict()
"""Types that were found, and whether copies are read, by files, options and what the files began and ended with: a
relation is made again for each step on it. The casts check every value, so one out of date costs an error at most."""

_DIALECT = frozenset({"auto_detect", "column_names", "columns", "delim", "encoding", "escape", "header", "names",
                      "quote", "skip"})  # fmt: skip
_TYPES = frozenset({"all_varchar", "auto_type_candidates", "normalize_names", "sample_size", "types", "union_by_name"})
_REJECTS = frozenset({"store_rejects", "rejects_table", "rejects_scan", "rejects_limit"})
_ENDS_DIFFER = "invalid state"  # what DuckDB says of lines that end in several ways
_SPELLINGS = ("dateformat", "timestampformat", "decimal_separator")


@dataclass(frozen=True)
class _Group:
    """Files that are written alike, one after the other."""

    files: tuple[str, ...]
    places: tuple[int, ...]
    """Of the files among all."""
    dialect: Dialect


class _Part(NamedTuple):
    """What DuckDB reads by one call: files as they are, or the copy of one."""

    files: list[str]
    dialect: Dialect
    places: Sequence[int]
    shown: str | None = None
    """The name of the file that this is a copy of."""


class _Reading:
    """One scan of files of others."""

    def __init__(
        self,
        session: Session,
        files: Sequence[str],
        found: Mapping[str, Sniffed],
        given: Mapping[str, Any],
        number: str | None = None,
    ) -> None:
        self._session = session
        self._found = found
        self._given = given
        self._number = number
        self._copied = False
        self._seen: dict[str, set[str]] = {}
        self._groups: list[_Group] = []
        there = [pair for pair in enumerate(files) if pair[1] in found]
        for dialect, alike in groupby(there, key=lambda pair: found[pair[1]].dialect):
            places, names = zip(*alike, strict=True)
            self._groups.append(_Group(names, places, dialect))
        self._name_alike()
        self._columns = list(dict.fromkeys(name for group in self._groups for name in group.dialect.names))
        self._declared = self._declared_types()

    def _name_alike(self) -> None:
        """Give a column one name in all files; without `union_by_name` that of the first file at its place."""
        first = self._groups[0].dialect.names
        by_place = self._given.get("union_by_name") is False
        spelt: dict[str, str] = {}
        for place, group in enumerate(self._groups):
            names = group.dialect.names
            if by_place and len(names) != len(first):
                raise SchemaError(
                    f"One file has {len(first)} columns, another {len(names)}",
                    path=_shown(group.files),
                    hint="Unite the files by name: `union_by_name=True`.",
                )
            names = first if by_place else tuple(spelt.setdefault(name.lower(), name) for name in names)
            self._groups[place] = replace(group, dialect=replace(group.dialect, names=names))

    def _declared_types(self) -> dict[str, str]:
        """The columns whose type the user has named."""
        named = self._given.get("columns") or self._given.get("types") or {}
        if isinstance(named, list | tuple):
            named = dict(zip(self._columns, named, strict=False))
        types = {name.lower(): kind for name, kind in named.items()}
        if missing := [name for name in named if name.lower() not in {column.lower() for column in self._columns}]:
            raise OptionError(
                f"The read options name a type for {missing[0]!r}, which is no column of the file: "
                f"it has {', '.join(map(repr, self._columns))}"[:500],
                column=missing[0],
            )
        return {name: types[name.lower()] for name in self._columns if name.lower() in types}

    # -- SQL of the files ----------------------------------------------------------------------------------------------

    def source(self, *, look: bool = False, limit: int | None = None) -> tuple[str, dict[str, Any]]:
        """SQL for all rows, united by name, columns without a declared type as text; to `look` at them alone, errors
        are neither stored nor raised where the user wants lines left out."""
        parts: list[str] = []
        parameters: dict[str, Any] = {}
        for number, part in enumerate(self._parts()):
            named = self._arguments(part.files, part.dialect, look)
            arguments = "".join(f", {name} = ${name}_{number}" for name in named)
            named["files"] = part.files
            shown = f" REPLACE ({_text(part.shown)} AS filename)" if part.shown and named.get("filename") else ""
            columns = f"*{shown}"
            if self._number is not None and not look:
                place = (
                    f"$places_{number}[CAST(file_index AS BIGINT) + 1]" if len(part.places) > 1 else str(part.places[0])
                )
                named |= {"places": list(part.places)} if len(part.places) > 1 else {}
                columns += f", CAST({place} AS BIGINT) AS {quote(self._number)}"
            rows = f"SELECT {columns} FROM read_csv($files_{number}{arguments}){all_columns(named)}"  # noqa: S608
            parts.append(f"({rows} LIMIT {limit})" if limit else f"({rows})")
            parameters |= {f"{name}_{number}": value for name, value in named.items()}
        return " UNION ALL BY NAME ".join(parts), parameters

    def _parts(self) -> Iterator[_Part]:
        hidden = self._number is not None and any(name.lower() == "file_index" for name in self._columns)
        for group in self._groups:
            if not self._copied and group.dialect.is_duckdbs and not hidden:
                yield _Part(list(group.files), group.dialect, group.places)
                continue
            for file, place in zip(group.files, group.places, strict=True):
                if hidden and not self._copied and group.dialect.is_duckdbs:
                    yield _Part([file], group.dialect, [place])
                else:
                    yield _Part([self._copy(file, group.dialect)], group.dialect, [place], unescape_glob(file))

    def _arguments(self, files: Sequence[str], dialect: Dialect, look: bool) -> dict[str, Any]:
        given = self._given
        left_out = _DIALECT | _TYPES | (_REJECTS if look else frozenset())
        named = {name: value for name, value in given.items() if name not in left_out}
        if files[0] not in self._found:  # a copy
            named.pop("compression", None)
        elif "encoding" in given:
            named["encoding"] = given["encoding"]
        if look and given.get("store_rejects"):
            named["ignore_errors"] = True
        if self._quoted_is_text:
            named["allow_quoted_nulls"] = False
        if "max_line_size" not in given and any(self._is_large(file) for file in files):
            named["max_line_size"] = 1 << 25
        return named | {
            "delim": dialect.delim,
            "quote": dialect.quote,
            "escape": dialect.escape,
            "header": dialect.header,
            "skip": dialect.skip,
            "columns": {name: self._declared.get(name, TEXT) for name in dialect.names},
            "auto_detect": False,
            "hive_partitioning": False,
        }

    @property
    def _quoted_is_text(self) -> bool:
        """Whether `""` is told from nothing: the user has not said what stands for NULL."""
        return "nullstr" not in self._given and "allow_quoted_nulls" not in self._given

    def _is_large(self, file: str) -> bool:
        """Whether a file may have a line that is longer than DuckDB takes unless told; it reserves memory for it."""
        known = self._found.get(file)
        return known is None or known.size > (1 << 12 if self._given.get("compression") else 1 << 21)

    def _copy(self, file: str, dialect: Dialect) -> str:
        number, path = tempfile.mkstemp(prefix="mad-prefect-csv-", suffix=".csv")
        os.close(number)
        weakref.finalize(self._session, _unlink, path)
        normalized(self._session.opener(file), path, dialect, self._given.get("compression"))
        return escape_glob(path)

    # -- types ---------------------------------------------------------------------------------------------------------

    def types(self) -> dict[str, str]:
        """The type of each column, without the declared ones. Raises `CorruptFileError` for a line that does not fit.

        Where lines end in several ways, it is from now on copies that are read.
        """
        marks = tuple((file, sniffed.size, sniffed.mark) for file, sniffed in self._found.items())
        key = marks, repr(sorted(self._given.items()))
        if key not in _known:
            _known[key] = self._found_types(), self._copied
            while len(_known) > _KNOWN:
                with contextlib.suppress(KeyError):
                    _known.popitem(last=False)
        types, self._copied = _known[key]
        return types

    def _found_types(self) -> dict[str, str]:
        """In two rounds: by what has been seen of each column, and by what it may be where that is not all."""
        kinds = {name: self._candidates(name) for name in self._columns}
        types: dict[str, str] = {}
        others: dict[str, Sequence[str]] = {}
        for name, found in self._look_or_copy(kinds).items():
            types[name] = str(found or TEXT) if kinds[name] else TEXT
            if (kinds[name] and found == TEXT) or (found and not kinds[name]):
                others[name] = self._alternatives(name, kinds[name])
        others = {name: of for name, of in others.items() if of}
        types |= {name: str(found or TEXT) for name, found in self._look_or_copy(others).items()}
        return {name: kind for name, kind in types.items() if name not in self._declared}

    def _look_or_copy(self, kinds: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        try:
            return self._look(kinds)
        except duckdb.Error as error:
            if _ENDS_DIFFER not in str(error) or self._copied:
                raise
        self._copied = True
        return self._look(kinds)

    def _look(self, kinds: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Of each column the one of its kinds that it is, `TEXT` if it has values and is none of them, or None. All
        columns are asked for: DuckDB checks no others."""
        sample = None if self._looks_at_all() else int(self._given.get("sample_size") or _SAMPLE)
        found: dict[str, Any] = {}
        names = sorted(kinds, key=lambda name: (tuple(kinds[name]), self._present(name)))
        for start in range(0, len(names), _ASKED_TOGETHER):
            some = names[start : start + _ASKED_TOGETHER]
            source, parameters = self.source(look=True, limit=sample)
            ask = self._ask_each if len(some) <= _WIDE else self._ask_wide
            self._session.execute(ask(some, kinds, source), parameters)
            found |= {some[place]: kind for place, kind in self._session.connection.fetchall()}
        return found

    def _ask_each(self, names: Sequence[str], kinds: Mapping[str, Sequence[str]], source: str) -> str:
        columns = (self._asked(quote(name), kinds[name], self._present(name)) for name in names)
        return f"SELECT unnest(range({len(names)})), unnest([{', '.join(columns)}]) FROM ({source})"  # noqa: S608

    def _ask_wide(self, names: Sequence[str], kinds: Mapping[str, Sequence[str]], source: str) -> str:
        """The same, with as many expressions as there are kinds of columns."""
        whens, end = [], 0
        for (asked, present), alike in groupby(names, key=lambda name: (tuple(kinds[name]), self._present(name))):
            start, end = end, end + len(list(alike))
            within = f"place BETWEEN {start} AND {end - 1}"
            whens.append(f"WHEN {within} THEN {self._asked('value', asked, f'{within} AND {present}')}")
        values = ", ".join(
            f"CAST({quote(name)} AS VARCHAR)" if name in self._declared else quote(name) for name in names
        )
        rows = f"SELECT unnest(range({len(names)})) AS place, unnest([{values}]) AS value FROM ({source})"  # noqa: S608
        return f"SELECT place, CASE {' '.join(whens)} END FROM ({rows}) GROUP BY place"  # noqa: S608

    def _asked(self, value: str, kinds: Sequence[str], present: str) -> str:
        if not kinds:
            return f"CASE WHEN bool_or({present.format(value)}) THEN '{TEXT}' END"
        return text_kind_in_sql(value, kinds, self._respelt(value), present=present)

    def _looks_at_all(self) -> bool:
        given = self._given
        if given.get("ignore_errors") or given.get("store_rejects"):
            return True  # a value that does not fit could not be left out later
        if (sample := given.get("sample_size")) is not None:
            return bool(sample < 0)
        size = sum(sniffed.size for sniffed in self._found.values())
        return size <= (_LOOKED_AT if given.get("compression") is None else _LOOKED_AT >> 2)

    def _candidates(self, name: str) -> list[str]:
        """The types that a column may be of, by the values that have been seen; none where it is text, or where there
        were none."""
        allowed = self._allowed(name)
        if any(option in self._given for option in _SPELLINGS):
            return allowed
        seen = self._kinds_seen(name)
        return [kind for kind in allowed if kind in seen] if len(seen - _NUMBERS) + bool(seen & _NUMBERS) == 1 else []

    def _alternatives(self, name: str, tried: Sequence[str]) -> list[str]:
        """The types that a column may be of which has other values than those that have been seen."""
        seen, allowed = self._kinds_seen(name), self._allowed(name)
        if not seen:
            return [] if tried else allowed
        numbers = [kind for kind in allowed if kind in _NUMBERS] if seen < _NUMBERS else []
        return [] if tried == numbers else numbers

    def _allowed(self, name: str) -> list[str]:
        """The types that the user lets text be taken for."""
        if self._given.get("all_varchar") or name in self._declared:
            return []
        wanted = self._given.get("auto_type_candidates")
        types = None if wanted is None else {str(self._session.connection.type(kind)) for kind in wanted}
        return [kind for kind in _KINDS if types is None or kind in types]

    def _kinds_seen(self, name: str) -> set[str]:
        if name not in self._seen:
            self._seen[name] = _kinds_of(set(self._values(name)))
        return self._seen[name]

    def _values(self, name: str) -> Iterator[str]:
        """Some of a column's values."""
        nulls = self._given.get("nullstr", "")
        nulls = {"", nulls} if isinstance(nulls, str) else {"", *nulls}
        for group in self._groups:
            if name not in group.dialect.names:
                continue
            place = group.dialect.names.index(name)
            for file in group.files:
                for row in self._found[file].rows[:100]:
                    if len(row) > place and row[place] not in nulls:
                        yield row[place]

    def _present(self, name: str) -> str:
        """SQL for whether `{0}`, a column's text, is a value: where it is no text, `""` is nothing."""
        plain = name in self._declared or name in (self._given.get("force_not_null") or ())
        return "{0} <> ''" if self._quoted_is_text and not plain else "{0} IS NOT NULL"

    def _respelt(self, value: str) -> dict[str, str]:
        """SQL for a text as the rule knows it, where the user says how the file spells values."""
        given = self._given
        respelt = {}
        for kind, option in (("DATE", "dateformat"), ("TIMESTAMP", "timestampformat")):
            if option in given:
                parsed = f"CAST(try_strptime({value}, {_text(given[option])}) AS {kind})"
                respelt[kind] = f"coalesce(CAST({parsed} AS VARCHAR), {value})"
        if (point := given.get("decimal_separator", ".")) != ".":
            respelt["DOUBLE"] = f"replace(replace({value}, '.', ' '), {_text(point)}, '.')"
        return respelt

    # -- rows ----------------------------------------------------------------------------------------------------------

    def relation(self) -> duckdb.DuckDBPyRelation:
        with self._explained():
            types = self.types()
        columns = [self._column(name, types.get(name, TEXT)) for name in self._columns]
        if self._given.get("filename"):
            columns.append("filename")
        if self._number is not None:
            columns.append(quote(self._number))
        source, parameters = self.source()
        with self._explained():
            return self._session.sql(f"SELECT {', '.join(columns)} FROM ({source})", parameters)  # noqa: S608

    def _column(self, name: str, kind: str) -> str:
        if kind == TEXT or name in self._declared:
            return quote(name)
        value = self._respelt(quote(name)).get(kind, quote(name))
        where = f"The file {_shown(self._groups[0].files)} can't be read as csv: column {name!r} is {kind} in the rows "
        what = "that were looked at, and has another value further on: "
        hint = f". Name its type in the read options, types={{{name!r}: 'VARCHAR'}}, or give sample_size=-1"
        refusal = f"error(concat({_text(where + what)}, left({value}, 100), {_text(hint)}))"
        present = self._present(name).format(quote(name))
        return f"CASE WHEN {present} THEN coalesce({parse_text(kind, value)}, {refusal}) END AS {quote(name)}"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """DuckDB's word on a line as an error that says which, and what to do."""
        try:
            yield
        except duckdb.Error as error:
            if problem := _problem(str(error)):
                file = re.search(r"^\s*file = (.+)$", str(error), re.MULTILINE)
                shown = file[1] if file else _shown(tuple(self._found))
                raise CorruptFileError(
                    f"The file {shown} can't be read as csv: {problem[0]}", plugin="csv", hint=problem[1]
                ) from error
            raise


def scan_others(
    session: Session, files: Sequence[str], given: Mapping[str, Any], number: str | None = None
) -> duckdb.DuckDBPyRelation:
    """All rows of files that no run has recorded, united by name, each read in its own dialect; with `number`, as
    `NumberingFormat.scan_numbered`.

    `given` are options of DuckDB's reader; what they leave open is found. An empty file has no columns.
    Raises `CorruptFileError` with file and line where a line does not fit.
    """
    found = {}
    for file in dict.fromkeys(files):
        try:
            sniffed = sniff(session.opener(file), given)
        except (CorruptFileError, OptionError) as error:
            error.path = error.path or unescape_glob(file)
            raise
        if sniffed is not None:
            found[file] = sniffed
    if not found:
        columns = dict(given.get("columns") or dict.fromkeys(given.get("names") or ["column0"], TEXT))
        nothing = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in columns.items())
        nothing += f", CAST(NULL AS BIGINT) AS {quote(number)}" if number is not None else ""
        return session.sql(f"SELECT {nothing} WHERE false")
    return _Reading(session, files, found, given, number).relation()


def _kinds_of(values: Collection[str]) -> set[str]:
    """The kinds of several values; not all of them if one is `TEXT`, which goes with no other."""
    if (kind := text_kind(values)) != TEXT:
        return {kind} if kind else set()
    kinds: set[str] = set()
    for value in values:
        kinds.add(str(text_kind([value])))
        if TEXT in kinds:
            break
    return kinds


def _shown(files: Sequence[str]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{unescape_glob(files[0])}{more}"


_LEFT_OUT = "`ignore_errors=True` leaves such lines out, `store_rejects=True` keeps note of them."


def _problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a line, and what to do; None if it is not about a line."""
    line = re.search(r"CSV Error on Line: (\d+)", text)
    where = f"line {line[1]}" if line else "a line"
    if widths := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        expected, found = int(widths[1]), int(widths[2])
        if found < expected:
            hint = f"Correct it. `null_padding=True` gives NULL for values that are missing; {_LEFT_OUT}"
        else:
            hint = (
                "Correct it: its value may need quotes, the file may have another `delim`, or the line of names may "
                f"lack one (R writes row names without): give `column_names` and `skip=1`, `header=False`. {_LEFT_OUT}"
            )
        return f"{where} has {found} values, and the file has {expected} columns", hint
    if "unterminated quote" in text:
        return (
            f"in {where} a quote is not closed, or something follows it before the value ends",
            f'Correct it, or say how quotes are written: `escape="\\\\"`, `quote=""`. {_LEFT_OUT}',
        )
    if "nvalid unicode" in text or "utf-8 encoded" in text:
        return f"{where} is not UTF-8", f'Give the `encoding`, such as "latin-1" or "utf-16". {_LEFT_OUT}'
    if size := re.search(r"Maximum line size of (\d+) bytes exceeded", text):
        return f"{where} is longer than {size[1]} bytes", "Give a larger `max_line_size`."
    if cast := re.search(r"Error when converting column \"(.*)\"\. (.+)", text):
        return f"{where}, column {cast[1]!r}: {cast[2][:300]}", f"Correct it, or name another type. {_LEFT_OUT}"
    if _ENDS_DIFFER in text:
        return "its lines end in several ways, or quotes are not closed", f"Correct it. {_LEFT_OUT}"
    return None


def _text(value: str) -> str:
    """Text as an SQL literal, where SQL takes no parameter."""
    return "'" + value.replace("'", "''") + "'"


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
