"""DuckDB: one database a process, one private connection a query.

Nothing here ever runs on DuckDB's process-wide default connection, so threads and event loops do not meet in it,
and a user's tables, views and variables are as invisible here as ours are there.
"""

from __future__ import annotations

import atexit
import itertools
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb

from mad_prefect_core.addresses import binding
from mad_prefect_core.contracts.formats import Schema
from mad_prefect_core.contracts.session import Parameters, Session
from mad_prefect_core.mounts import BaseKey, Location, Mount, locate
from mad_prefect_core.paths import escape_glob, is_url, unescape_glob
from mad_prefect_core.settings import get_settings
from mad_prefect_core.stores import duckdb_files
from mad_prefect_core.temporary_folders import process_folder

__all__ = [
    "EMPTY_DICT",
    "NOTHING",
    "DuckSession",
    "cast_to",
    "numbered",
    "quote",
    "schema_of",
    "union_all",
]

_lock = threading.Lock()
_databases: OrderedDict[tuple[Path, int | None, BaseKey | None], duckdb.DuckDBPyConnection] = OrderedDict()
_BASES = 16
"""Databases of bases that are kept; of one that goes, the sessions that have it go on."""


def quote(identifier: str) -> str:
    """An identifier as SQL, whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'


def _database(threads: int | None = None, base: Mount | None = None) -> duckdb.DuckDBPyConnection:
    """A connection to this process's database, or to that of a base, in which no other base's `mad://` can be read.

    Keyed by the process's folder: DuckDB survives neither a fork nor the loss of the folder that it spills to.
    """
    key = process_folder(), threads, base.key if base else None
    with _lock:
        if key not in _databases:
            _databases[key] = _new_database(threads)
            of_bases = [other for other in _databases if other[2] is not None]
            if len(of_bases) > _BASES:
                del _databases[of_bases[0]]
        _databases.move_to_end(key)
        return _databases[key].cursor()


def _new_database(threads: int | None) -> duckdb.DuckDBPyConnection:
    settings = get_settings()
    # An in-memory database would spill into ./.tmp of whatever folder the process was started in. Two databases in
    # one folder would write to the same files. DuckDB makes the folder when it needs it.
    config: dict[str, Any] = {
        "temp_directory": str(process_folder() / f"spill-{secrets.token_hex(8)}"),
        "python_enable_replacements": False,  # no query may depend on a Python variable's name
        "autoinstall_known_extensions": False,  # no query fetches code
        "autoload_known_extensions": False,
    }
    if settings.duckdb_memory_limit:
        config["memory_limit"] = settings.duckdb_memory_limit
    if wanted := threads or settings.duckdb_threads:
        config["threads"] = wanted
    return duckdb.connect(":memory:", config=config)


@atexit.register
def _close_databases() -> None:
    """Before the interpreter ends: what of DuckDB's is alive then, its bindings report as leaked on stderr. For the
    same reason no module here keeps one of DuckDB's classes in a variable."""
    with _lock:
        while _databases:
            _databases.popitem()[1].close()


class DuckSession:
    """One private connection. See `mad_prefect_core.contracts.Session` for what each method promises."""

    def __init__(
        self,
        threads: int | None = None,
        base: Mount | None = None,
        *,
        connection: duckdb.DuckDBPyConnection | None = None,
    ) -> None:
        self.id = secrets.token_hex(16)
        self.base = base
        """The base whose `mad://` its statements may read; None where they read none."""
        self.connection = connection or _database(threads, base)
        self._names = itertools.count()
        self._last: tuple[duckdb.DuckDBPyRelation, str, Parameters] | None = None
        self._locations: dict[str, Location] = {}
        self._paths: dict[str, str] = {}

    @classmethod
    def for_writing(cls, threads: int | None = None) -> DuckSession:
        """A session that writes instants in UTC: the text of other zones' historical offsets loses their seconds."""
        session = cls(threads)
        session.execute("SET TimeZone = 'UTC'")
        return session

    def sql(self, query: str, parameters: Parameters = None) -> duckdb.DuckDBPyRelation:
        with binding(self.id):
            relation: duckdb.DuckDBPyRelation = self.connection.sql(query, params=parameters)
        self._last = relation, query, parameters
        return relation

    def source(self, relation: duckdb.DuckDBPyRelation) -> tuple[str, Parameters]:
        """A query for the relation's rows, with its parameters: the very text of the one made last.

        A view costs DuckDB two more looks at the files. DuckDB 1.5 has read those of a text with parameters by now.
        """
        if self._last is not None and self._last[0] is relation and relation.type == "QUERY_RELATION":
            return self._last[1:]
        return f"FROM {self.view(relation)}", None

    def execute(self, statement: str, parameters: Parameters = None) -> None:
        with binding(self.id):
            self.connection.execute(statement, parameters)

    def view(self, relation: Any, name: str | None = None) -> str:
        name = name or f"mad_{next(self._names)}"
        # Registered objects and the views over them are temporary: other connections do not see them.
        self.connection.register(name, relation)
        return quote(name)

    def forget(self, view: str) -> None:
        with suppress(duckdb.Error):  # a reader that is open on this connection blocks it
            self.connection.unregister(view[1:-1].replace('""', '"'))

    def files(self, locations: Sequence[Location]) -> list[str]:
        """What this connection reads these by; they may be on several mounts."""
        files: list[str] = []
        for _, group in groupby(locations, key=lambda location: id(location.mount.fs)):
            alike = list(group)  # a storage that has to look each up can do so for all of them at once
            mount = alike[0].mount
            with mount.call:
                found = duckdb_files(mount.store, self, [location.path for location in alike])
            self._locations.update(zip(found, alike, strict=True))
            files += found
        return files

    def opener(self, file: str) -> Callable[[], BinaryIO]:
        return _opener(self._locations, file)

    def path_of(self, file: str) -> str:
        if file in self._paths:
            return self._paths[file]
        known = self._locations.get(file)
        return unescape_glob(file) if known is None else known.key

    def staged(self, local: Path, path: str) -> str:
        """What this connection reads a local copy by."""
        file = escape_glob(str(local))
        self.rename(file, path)
        return file

    def rename(self, file: str, path: str) -> None:
        """Have `path_of` say another path of a file."""
        self._paths[file] = path

    def arrow_filesystem(self) -> Any:
        from mad_prefect_core.arrow_filesystem import arrow_filesystem  # noqa: PLC0415  few formats need pyarrow's

        return arrow_filesystem(partial(_opener, self._locations))

    def close(self) -> None:
        """Close the connection. What was read from it stays readable only if it was fetched."""
        self.connection.close()

    def __enter__(self) -> DuckSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opener(locations: Mapping[str, Location], file: str) -> Callable[[], BinaryIO]:
    """As `DuckSession.opener`, holding no session."""
    if known := locations.get(file):
        return known.open
    path = unescape_glob(file)
    return locate(path).open if is_url(path) else partial(cast("Callable[..., BinaryIO]", open), path, "rb")


def schema_of(relation: duckdb.DuckDBPyRelation) -> dict[str, str]:
    """Column names and DuckDB types, in order."""
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def cast_to(
    session: Session, relation: duckdb.DuckDBPyRelation, schema: Schema, *, encode: bool = False
) -> duckdb.DuckDBPyRelation:
    """`relation` with exactly the columns of `schema`; those it lacks are NULL.

    Text in maps that becomes JSON is taken for it, as in files that have no type of its own for that, unless it is to
    be encoded.
    """
    types = dict(zip(relation.columns, relation.types, strict=True))
    have = {name: str(kind) for name, kind in types.items()}
    if have == dict(schema) and list(have) == list(schema):
        return relation

    def column(name: str, kind: str) -> str:
        if name not in have:
            return f"CAST(NULL AS {kind})"
        if have[name] == kind or ("MAP(" not in have[name] and "MAP(" not in kind):
            return f"CAST({quote(name)} AS {kind})"
        wanted = session.connection.type(kind)
        return f"CAST({_with_members(types[name], wanted, quote(name), encode)} AS {kind})"

    columns = ", ".join(f"{column(name, kind)} AS {quote(name)}" for name, kind in schema.items())
    return session.sql(f"SELECT {columns} FROM {session.view(relation)}")  # noqa: S608  identifiers are quoted


NOTHING = '"NULL"'
"""The type of a column that never had a value."""
EMPTY_DICT = 'MAP(VARCHAR, "NULL")'
"""That of a dict that never had a key; DuckDB casts it to no struct."""


def _with_members(have: Any, wanted: Any, value: str, encode: bool, depth: int = 0) -> str:
    """SQL for `value`, the dicts in it made what all of them are: structs, or maps of the keys that have a value."""
    member = f"m{depth}"
    if str(have) == EMPTY_DICT and wanted.id == "struct":
        first = f"{quote(wanted.children[0][0])} := NULL" if wanted.children else ""
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({first}) END"
    if have.id == wanted.id == "list":
        inner = _with_members(have.children[0][1], wanted.children[0][1], member, encode, depth + 1)
        return value if inner == member else f"list_transform({value}, lambda {member}: {inner})"
    if have.id == wanted.id == "struct":
        kinds = dict(wanted.children)
        parts = {name: f"struct_extract({value}, {_text(name)})" for name, _ in have.children}
        inner_of = {name: _with_members(kind, kinds[name], parts[name], encode, depth) for name, kind in have.children}
        if inner_of == parts:
            return value
        packed = ", ".join(f"{quote(name)} := {inner}" for name, inner in inner_of.items())
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({packed}) END"
    if "map" in (have.id, wanted.id) and {have.id, wanted.id} <= {"map", "struct"}:
        made = _as_map if wanted.id == "map" else _as_struct
        return made(have, wanted, value, encode, depth)
    return value


def _as_map(have: Any, wanted: Any, value: str, encode: bool, depth: int) -> str:
    member, kind = f"m{depth}", wanted.children[1][1]

    def entry(key: str, item: str, of: Any) -> str:
        if str(kind) == "JSON" != str(of) and (encode or of.id != "varchar"):
            made = f"to_json({item})"
        else:
            made = f"CAST({_with_members(of, kind, item, encode, depth + 1)} AS {kind})"
        return f"struct_pack(k := {key}, v := {made})"

    if have.id == "map":
        of = have.children[1][1]
        if str(of) == str(kind) or str(have) == EMPTY_DICT:
            return value
        entries = (
            f"list_transform(map_entries({value}), lambda {member}: {entry(f'{member}.key', f'{member}.value', of)})"
        )
        return f"map_from_entries({entries})"
    items = (entry(_text(name), f"struct_extract({value}, {_text(name)})", of) for name, of in have.children)
    # A struct does not tell a key without a value from one that is not there.
    entries = f"list_filter([{', '.join(items)}], lambda {member}: {member}.v IS NOT NULL)"
    return f"CASE WHEN {value} IS NOT NULL THEN map_from_entries({entries}) END"


def _as_struct(have: Any, wanted: Any, value: str, encode: bool, depth: int) -> str:
    of = have.children[1][1]
    parts = []
    for name, kind in wanted.children:
        item = _with_members(of, kind, f"map_extract_value({value}, {_text(name)})", encode, depth)
        parts.append(f"{quote(name)} := CAST({item} AS {kind})")
    return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"


def _text(value: str) -> str:
    """Text as an SQL literal, where SQL takes no parameter."""
    return "'" + value.replace("'", "''") + "'"


def union_all(session: Session, relations: Sequence[duckdb.DuckDBPyRelation]) -> duckdb.DuckDBPyRelation:
    """All rows of relations that have the same columns, in order."""
    if len(relations) == 1:
        return relations[0]
    return session.sql(" UNION ALL ".join(f"(FROM {session.view(relation)})" for relation in relations))


def numbered(
    session: Session, files: Sequence[str], number: str, read: Callable[[Sequence[str], str], duckdb.DuckDBPyRelation]
) -> duckdb.DuckDBPyRelation:
    """All rows of files, with a BIGINT column `number` behind the others: the place of the file that a row is from.

    `read` gives the rows of some files by one of DuckDB's readers, and behind them a column, which is given as SQL.
    """
    relation = read(files, f"CAST(file_index AS BIGINT) AS {quote(number)}")
    if not any(name.lower() == "file_index" for name in relation.columns):
        return relation
    # A column of the data that is named so hides the reader's own.
    parts = (read([file], f"CAST({place} AS BIGINT) AS {quote(number)}") for place, file in enumerate(files))
    return session.sql(" UNION ALL BY NAME ".join(f"(FROM {session.view(part)})" for part in parts))
