"""The rows in the body of an HTTP response: one JSON document, or one on each line.

A plain body costs what `response.json()` does. Bytes that look like a number that a float can't hold, or more keys than
the rows have, have it parsed again by rules that keep numbers and tell keys that are there twice.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, TypeAlias

import pyarrow as pa
from pydantic_core import from_json

from mad_prefect_core.batch import compute as pc
from mad_prefect_core.errors import UnsupportedDataError, UnsupportedValueError

__all__ = ["ResponseBody", "is_response"]

_WHITE = b" \t\r\n"
_BLANKS = _WHITE + b"\x1e"  # which begins a record of a JSON text sequence
_LINES = ("ndjson", "jsonl", "jsonlines", "json-lines", "json-seq", "ldjson")

# To look for shapes of numbers: each digit and point as `0`, without signs.
_SHAPES = bytes.maketrans(b"123456789.E", b"0000000000e")
_LONG, _EXPONENT = b"0" * 16, b"0e000"
_LONG_NUMBER = re.compile(rb"[0-9.eE+-]{16,}")

_Parse: TypeAlias = Callable[[bytes], Any]


def is_response(data: object) -> bool:
    """Whether it is an httpx.Response, which can't exist where httpx was never imported."""
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(data, httpx.Response)


class ResponseBody:
    """What a response holds: `data`, None where its body is empty.

    Raises `UnsupportedDataError` for a status other than 2xx and for a body that is not JSON.
    """

    def __init__(self, response: Any) -> None:
        self._from = _source(response)
        if not 200 <= response.status_code < 300:
            raise UnsupportedDataError(
                f"The HTTP response{self._from} is {response.status_code} {response.reason_phrase}, not data",
                hint="Call response.raise_for_status() before returning it.",
            )
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            self._body = _utf8(_content(response)).strip(_BLANKS)
            self._in_lines = any(name in kind for name in _LINES)
            self.data = self._parsed() if self._body else None
        except (ValueError, RecursionError) as error:
            raise UnsupportedDataError(
                f"The HTTP response{self._from} is {kind or 'without a content type'}, not JSON: {error}",
                hint="Return what the body holds as rows, for example by csv.DictReader(response.text.splitlines()).",
            ) from error

    def _parsed(self) -> Any:
        parse = _exactly if _has_inexact_numbers(self._body) else _quickly
        if not self._in_lines:
            try:
                return parse(self._body)
            except json.JSONDecodeError as error:
                self._in_lines = error.msg == "Extra data"
                if not self._in_lines:
                    raise
        return _lines(self._body, parse)

    def refuse_repeated_keys(self, keys: int) -> None:
        """Raise `UnsupportedValueError` if an object has a key twice. `keys` is how many the rows had in all."""
        body = self._body
        if body.translate(None, _WHITE).count(b'":') == keys:  # it counts more where texts have quotes, never less
            return
        try:
            _lines(body, _with_single_keys) if self._in_lines else _with_single_keys(body)
        except _RepeatedKey as error:
            raise UnsupportedValueError(
                f"An object in the HTTP response{self._from} has the key {error.args[0]!r} twice",
                column=error.args[0],
                hint="Parse the response yourself, and decide which of the values counts.",
            ) from None


class _RepeatedKey(Exception):
    pass


def _source(response: Any) -> str:
    """` from` and its URL, for messages; nothing for a response that was made by hand."""
    try:
        # A query string may carry a key.
        return f" from {response.url.copy_with(userinfo=b'', query=None, fragment=None)}"
    except RuntimeError:  # httpx's, without a request
        return ""


def _content(response: Any) -> bytes:
    try:
        return bytes(response.content)
    except RuntimeError as error:  # httpx's, of a stream
        raise UnsupportedDataError(
            f"The body of an HTTP response was not read: {error}",
            hint="Call response.read(), or await response.aread(), before the stream is closed.",
        ) from error


def _utf8(body: bytes) -> bytes:
    encoding = json.detect_encoding(body)
    if encoding == "utf-8":
        return body
    return body[3:] if encoding == "utf-8-sig" else body.decode(encoding).removeprefix("\ufeff").encode()


def _lines(body: bytes, parse: _Parse) -> list[Any]:
    found = []
    for number, line in enumerate(body.splitlines(), 1):
        if line := line.strip(_BLANKS):
            try:
                found.append(parse(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return found


def _quickly(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        return json.loads(body)  # which takes half characters, and says where it stops


def _with_single_keys(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=_single)


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKey(next(name for name in names if names.count(name) > 1))
    return made


# -- numbers ---------------------------------------------------------------------------------------------------------


def _has_inexact_numbers(body: bytes) -> bool:
    """Whether some text may be a number that a float does not hold. It may be part of a string."""
    shapes = body.translate(_SHAPES, b"+-")
    if _EXPONENT in shapes:
        return True
    if _LONG not in shapes:
        return False
    texts = pa.array(_LONG_NUMBER.findall(body), pa.string())
    try:
        differ = pc.not_equal(texts.cast(pa.float64()).cast(pa.string()), texts)
    except pa.ArrowInvalid:
        return True
    return not all(type(_float(text)) is float for text in texts.filter(differ).to_pylist())


def _exactly(body: bytes) -> Any:
    """With numbers that a float can't hold as decimals, and so those beside them in one column."""
    data = json.loads(body, parse_float=_float)
    _even([data])
    return data


def _float(text: str) -> float | Decimal:
    value = float(text)
    if math.isfinite(value) and (repr(value) == text or Decimal(repr(value)) == Decimal(text)):
        return value
    return Decimal(text)


def _even(values: Sequence[Any]) -> Sequence[Any]:
    """The values of one place, floats beside decimals as decimals; those of places in them are replaced there."""
    kinds = set(map(type, values))
    if {float, Decimal} <= kinds:
        return [Decimal(repr(value)) if type(value) is float and math.isfinite(value) else value for value in values]
    if dict in kinds:
        dicts = [value for value in values if type(value) is dict]
        for name in dict.fromkeys(chain.from_iterable(dicts)):
            _replace([value for value in dicts if name in value], name)
    if list in kinds:
        lists = [value for value in values if type(value) is list]
        items = iter(_even(list(chain.from_iterable(lists))))
        for value in lists:
            value[:] = [next(items) for _ in value]
    return values


def _replace(dicts: Iterable[dict[str, Any]], name: str) -> None:
    for value, even in zip(dicts, _even([value[name] for value in dicts]), strict=True):
        value[name] = even
