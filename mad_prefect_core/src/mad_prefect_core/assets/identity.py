"""Identity: what makes two calls the same, by the value of every argument.

An argument is encoded by what it holds, never by a `repr` that may name an address in memory, and never so that two
different values look the same: every piece carries its type and its length. Frames, tables and arrays count by
content, secrets by a digest with a key that only the storage has: those that are so by their type, by the name of their
argument, field or column, or in a URL. What can't be encoded so is refused.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import hashlib
import hmac
import inspect
import json
import os
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, SecretBytes, SecretStr

from mad_prefect_core.assets.modules import is_before, module_of
from mad_prefect_core.batch.frames import index_columns, of_polars
from mad_prefect_core.contracts import Artifact, Asset
from mad_prefect_core.errors import ArgumentError, MadPrefectError, StorageConflictError, StorageError
from mad_prefect_core.mounts import default_mount
from mad_prefect_core.paths import relative_key
from mad_prefect_core.redaction import is_secret_name, is_secret_value, url_secrets
from mad_prefect_core.settings import get_settings

__all__ = ["digest", "encode", "id_in_2x", "secret_digest"]

_KEY_BYTES = 32


def digest(*parts: object, **arguments: object) -> str:
    """32 hexadecimal digits that are the same for equal parts and arguments alone.

    Raises `ArgumentError` naming the argument.
    """
    named = (_piece(name, _encode_named(name, value, name)) for name, value in sorted(arguments.items()))
    return hashlib.sha256(_piece("call", encode(parts), *named)).hexdigest()[:32]


_TOLD_BY_TEXT = (str, int, float, bool, type(None), dt.date, dt.datetime, dt.timedelta, Decimal, uuid.UUID)


def id_in_2x(
    name: str, path: str, artifacts_dir: str, args: tuple[Any, ...], keywords: Mapping[str, Any]
) -> str | None:
    """The id that 2.x gives an asset: by the text of its arguments, as they are given. None where that text may be the
    same for others: of an object, a frame or a secret."""
    if any(type(value) not in _TOLD_BY_TEXT for value in (*args, *keywords.values())):
        return None
    text = f"{name}:{path}:{artifacts_dir}:{args}{dict(keywords)}"
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def encode(value: object, name: str = "") -> bytes:
    """A value as bytes: equal for equal values of equal types, different otherwise.

    `name` is the argument's, for the message. Raises `ArgumentError` for what has no value of its own: open
    connections, locks, lambdas, objects that only `repr` tells apart. Such an object may define
    `__mad_prefect_key__()`, returning any encodable value that stands for it.
    """
    kind = type(value)
    if isinstance(value, str) and "://" in value and next(url_secrets(value), ""):
        return _keyed(str.encode(value, "utf-8", "surrogatepass"))
    if (known := _ENCODERS.get(kind)) is not None:
        return _piece(kind.__name__, known(value))
    if kind in (list, tuple):
        return _piece(kind.__name__, *(encode(item, name) for item in value))  # type: ignore[attr-defined]
    if kind in (set, frozenset):
        return _piece("set", *sorted(encode(item, name) for item in value))  # type: ignore[attr-defined]
    if isinstance(value, Mapping):
        return _piece("dict", *sorted(encode(k, name) + _encode_named(k, item, name) for k, item in value.items()))
    return _encode_object(value, kind, name)


def _encode_named(field: object, value: object, name: str) -> bytes:
    """A value as bytes; of one whose name is that of a secret, a digest with the key."""
    named = isinstance(field, str) and is_secret_name(field)
    nothing = value is None or isinstance(value, bool) or (isinstance(value, str) and not value)
    if nothing or not named or is_secret_value(value):  # which is keyed by itself
        return encode(value, name)
    return _keyed(encode(value, name))


def _keyed(data: bytes) -> bytes:
    return _piece("secret", hmac.digest(_secret_key(), data, "sha256"))


def secret_digest(value: object) -> str:
    """16 hexadecimal digits by which equal secrets are known to be equal, with the key that only the storage has; ""
    where there is no value to tell."""
    try:
        return hmac.digest(_secret_key(), encode(value), "sha256").hex()[:16]
    except ArgumentError:
        return ""


def _encode_object(value: Any, kind: type, name: str) -> bytes:
    label = f"{module_of(kind)}.{kind.__qualname__}"
    if hasattr(value, "__mad_prefect_key__"):
        return _piece(label, encode(value.__mad_prefect_key__(), name))
    if isinstance(value, enum.Enum):
        return _piece(label, value.name.encode())
    if isinstance(value, SecretStr | SecretBytes):
        secret = value.get_secret_value()
        return _keyed(secret.encode() if isinstance(secret, str) else secret)
    if is_secret_value(value):
        return _keyed(encode(value.get_secret_value(), name))
    if isinstance(value, PurePath):
        return _piece("path", os.fsencode(value))
    if isinstance(value, Asset):
        by_modules = getattr(value, "id_by_modules", None) if is_before() else None
        return _piece("asset", (by_modules() if by_modules else value.id).encode())
    if isinstance(value, BaseModel):
        fields = {field: getattr(value, field) for field in type(value).model_fields}
        return _piece(label, encode(fields | (value.__pydantic_extra__ or {}), name))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _piece(
            label, encode({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, name)
        )
    if isinstance(value, Artifact):
        return _piece("artifact", value.path.encode())
    if hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__"):
        try:
            return _piece(label, _arrow(value))
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            if isinstance(error, MadPrefectError):
                raise
            raise ArgumentError(
                f"The argument {name!r} holds a {label} that can't be told from another by value: {error}",
                hint="Make each of its columns one type, with a name of its own.",
            ) from error
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):  # numpy arrays and scalars
        if value.dtype.hasobject:
            return _piece(label, encode(value.tolist(), name))
        return _piece(label, str(value.dtype).encode(), str(getattr(value, "shape", ())).encode(), value.tobytes())
    if isinstance(value, tuple):
        names: Any = getattr(value, "_fields", None) or ("",) * len(value)
        return _piece(label, *(_encode_named(*field, name) for field in zip(names, value, strict=False)))
    for base in _EXTENDED:
        if isinstance(value, base):
            # The text has what subclasses add, such as pandas' nanoseconds and pendulum's months.
            return _piece(label, _ENCODERS[base](value), str(value).encode())
    bases: tuple[Any, ...] = (str, int, float, bytes, list, dict)
    for base in bases:
        if isinstance(value, base):
            return _piece(label, encode(base(value), name))
    if isinstance(value, type) or callable(value):
        named = str(getattr(value, "__qualname__", ""))
        qualified = f"{module_of(value) if hasattr(value, '__module__') else ''}.{named}"
        if named and not hasattr(value, "__self__") and "<" not in qualified:
            return _piece("name", qualified.encode())
    what = f"The argument {name!r} holds a {label}, which" if name else f"A {label}"
    if (advice := _instead(value, kind)) is not None:
        raise ArgumentError(f"The argument {name!r} has no value yet: it is a {kind.__qualname__}", hint=advice)
    raise ArgumentError(
        f"{what} can't be told from another by value",
        hint="Pass plain values, models or frames; or give the class a method `__mad_prefect_key__()` that returns "
        "what tells its objects apart.",
    )


def _instead(value: object, kind: type) -> str | None:
    """What to pass instead of a value that is still to come; None for any other."""
    if inspect.isawaitable(value):
        return "Pass what `await` gives, or its `.result()`." if isinstance(value, asyncio.Future) else "`await` it."
    future = any("Future" in base.__name__ for base in kind.__mro__)
    return "Pass what its `.result()` gives." if future else None


def _piece(label: str, *contents: bytes) -> bytes:
    """Length before everything, so that no two different sequences of pieces give the same bytes."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in (label.encode(), *contents))


def _arrow(value: Any) -> bytes:
    """The content, however it is cut into chunks, and what pandas would make its index of."""
    sum_ = hashlib.sha256()

    class Sink:
        closed = False

        def write(self, data: Any) -> int:
            sum_.update(data)
            return len(data)

        def flush(self) -> None: ...

        def close(self) -> None: ...

        def writable(self) -> bool:
            return True

    if hasattr(value, "__arrow_c_stream__"):
        known = of_polars(value)
        table = pa.RecordBatchReader.from_stream(value).read_all() if known is None else known
    else:
        table = pa.table({"": pa.array(value)})
    table = table.combine_chunks()
    index = index_columns(table.schema)
    sum_.update(json.dumps([table.num_rows, index], sort_keys=True).encode())
    with pa.ipc.new_stream(pa.PythonFile(Sink(), "w"), table.schema.remove_metadata()) as writer:
        if table.num_rows:
            writer.write_table(table.replace_schema_metadata(None))
    return _keyed(sum_.digest()) if any(map(is_secret_name, table.schema.names)) else sum_.digest()


def _secret_key() -> bytes:
    """The key of secrets' digests: made once for each base, kept there beside the manifests, readable by its user alone
    where the storage knows users."""
    location = default_mount().at(relative_key(f"{get_settings().asset_metadata_location}/_secret_key"))
    with _said_of_key(location.key):
        stored = location.read()
        if stored is None:
            with suppress(StorageConflictError):  # somebody else has just made it
                location.create_private(secrets.token_bytes(_KEY_BYTES))
            stored = location.read()
    if stored is None or len(stored.data) != _KEY_BYTES:
        raise StorageError(
            f"The key of secrets' digests has {len(stored.data) if stored else 0} bytes rather than {_KEY_BYTES}",
            path=location.key,
            hint="Restore it. If you delete it, another is made, and assets with secret arguments lose their history.",
        )
    return stored.data


@contextmanager
def _said_of_key(path: str) -> Iterator[None]:
    try:
        yield
    except (PermissionError, IsADirectoryError) as error:
        raise StorageError(
            f"The key of secrets' digests can't be read: {error.strerror or type(error).__name__}",
            path=path,
            hint="Who runs assets with secrets among their arguments needs to read it: on a base that several users "
            "share, give it to their group.",
        ) from error


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: str(value).encode(),
    float: lambda value: value.hex().encode(),
    complex: lambda value: repr(value).encode(),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
    bytearray: bytes,
    Decimal: lambda value: str(value).encode(),
    uuid.UUID: lambda value: value.bytes,
    dt.date: lambda value: value.isoformat().encode(),
    dt.datetime: lambda value: f"{value.isoformat()}|{value.tzinfo}".encode(),
    dt.time: lambda value: f"{value.isoformat()}|{value.tzinfo}".encode(),
    dt.timedelta: lambda value: f"{value.days}|{value.seconds}|{value.microseconds}".encode(),
    range: lambda value: repr(value).encode(),
}
_EXTENDED: tuple[type, ...] = (dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, uuid.UUID)  # datetime is a date
