"""Redaction: texts without secrets, and without the queries and rows that DuckDB's errors quote.

A secret is found in whatever form a text has it: as it is, percent-encoded, with the escapes of Python, JSON and HTML,
in hexadecimal digits, in base64 (also within a longer one), its beginning or its end alone.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import html
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel

__all__ = [
    "MASK",
    "duckdb_text",
    "fields_of",
    "has_secret",
    "has_url_secrets",
    "is_secret_name",
    "is_secret_value",
    "mask",
    "mask_urls",
    "message_text",
    "recorded_text",
    "remember_secrets",
    "secrets_in",
    "shorten_duckdb",
    "shown_text",
    "url_secrets",
    "without_secrets",
    "without_traceback",
]

MASK = "**********"

# -- names of secrets ------------------------------------------------------------------------------------------------

_SECRET_ANYWHERE = re.compile(
    r"secret|token|passw|passphrase|passcode|api_?key|credential|webhook|auth(?!ors?(?![a-z]))", re.IGNORECASE
)
_SECRET_WORD = re.compile(
    r"pwd|pass|(access|account|private|shared)?key|sig|signature|sas|cookies?|session(id)?|bearer|dsn|creds?"
    r"|conn|connstr|connection|jwts?|pins?|pats?|otps?|totp|mfa|cvv|cvc|ssn|cert|certs|certificates?|private|pem|pfx|hmac"
)
_WORD_END = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W\d_]+")


def is_secret_name(name: str) -> bool:
    """Whether what has this name is likely a secret: `api-key`, `dbPassword`, `jwt`, but not `monkey` or `spin`."""
    if _SECRET_ANYWHERE.search(name):
        return True
    return any(_SECRET_WORD.fullmatch(word.lower()) for word in _WORD_END.split(name))


# -- views: a text as it is when its escapes are decoded -------------------------------------------------------------


class _View(NamedTuple):
    """A text, and for each of its characters where that is in the text at the beginning: from, to."""

    text: str
    spans: list[tuple[int, int]]

    def span(self, start: int, end: int) -> tuple[int, int]:
        return self.spans[start][0], self.spans[end - 1][1]


_ESCAPES = re.compile(
    r"""
      (?P<bytes> (?: % [0-9A-Fa-f]{2} )+ | (?: \\+ x [0-9A-Fa-f]{2} )+ )
    | \\+ (?: u (?P<u> [0-9A-Fa-f]{4} (?: \\+ u [Dd][C-Fc-f][0-9A-Fa-f]{2} )? ) | U (?P<U> [0-9A-Fa-f]{8} ) )
    | \\ (?P<one> [^xuU] )
    | (?P<html> & \#? \w{1,31} ; )
    | (?P<doubled> '' | "" )
    """,
    re.VERBOSE | re.DOTALL,
)
_ONE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}
_PASSES = 4  # as often may a text have been encoded


def _views(text: str) -> Iterator[_View]:
    """The text, and what it is when it is decoded, once and more often."""
    view = _View(text, [(i, i + 1) for i in range(len(text))])
    yield view
    if "+" in text:
        yield view._replace(text=text.replace("+", " "))  # as in the query of a URL
    for latin in (False, True):
        view = _View(text, [(i, i + 1) for i in range(len(text))])
        for _ in range(_PASSES):
            if not _ESCAPES.search(view.text):
                break
            view = _decoded(view, latin)
            yield view
            if "+" in view.text:
                yield view._replace(text=view.text.replace("+", " "))


def _decoded(view: _View, latin: bool) -> _View:
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for found in _ESCAPES.finditer(view.text):
        start, end = found.span()
        parts.append(view.text[at:start])
        spans += view.spans[at:start]
        for char, first, last in _characters(found, latin):
            parts.append(char)
            spans += [view.span(start + first, start + last)] * len(char)
        at = end
    parts.append(view.text[at:])
    spans += view.spans[at:]
    return _View("".join(parts), spans)


def _characters(found: re.Match[str], latin: bool) -> Iterator[tuple[str, int, int]]:
    """The characters that an escape stands for, each with its place within it."""
    whole = found[0]
    if found["bytes"]:
        pieces = list(re.finditer(r"(?:%|\\+x)(..)", whole))
        data = bytes(int(piece[1], 16) for piece in pieces)
        at = 0
        while at < len(data):
            length = 1 if latin else next((n for n in (1, 2, 3, 4) if _utf8(data[at : at + n])), 1)
            text = data[at : at + length].decode("latin-1" if latin else "utf-8", "replace")
            yield text, pieces[at].start(), pieces[min(at + length, len(data)) - 1].end()
            at += length
    elif found["u"]:
        codes = re.findall(r"(?:^|u)([0-9A-Fa-f]{4})", found["u"])
        pair = b"".join(int(code, 16).to_bytes(2, "big") for code in codes)
        yield pair.decode("utf-16-be", "surrogatepass" if len(codes) == 1 else "replace"), 0, len(whole)
    elif found["U"]:
        code = int(found["U"], 16)
        yield chr(code) if code < 0x110000 else "?", 0, len(whole)
    elif found["one"]:
        yield _ONE.get(found["one"], found["one"]), 0, len(whole)
    elif found["html"]:
        yield html.unescape(whole), 0, len(whole)
    else:
        yield whole[0], 0, len(whole)


def _utf8(data: bytes) -> bool:
    try:
        return len(data.decode()) == 1
    except UnicodeDecodeError:
        return False


# -- URLs ------------------------------------------------------------------------------------------------------------

_IN_URL = re.compile(
    r"""(?<=://) (?P<user>
            [^/\s?\#'"<>@:]* : (?! \d* (?:[/\s?\#]|$) ) \S* (?=@)  # a password may have slashes, and @
          | [^/\s?\#'"<>]+ (?=@)
        )
      | (?<=[?&\#]) (?P<name> [^=&\#\s]+ ) = (?P<value> [^&\#\s'"]+ )
    """,
    re.VERBOSE,
)
"""What a URL may hold that is secret: user and password, and the values of some of its keys."""


def _may_have_urls(text: str) -> bool:
    return "://" in text or "%3" in text or "\\" in text


def _url_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the secrets of the URLs in a text are."""
    if not _may_have_urls(text):
        return
    for view in _views(text):
        if "://" in view.text:
            for found in _IN_URL.finditer(view.text):
                if found["user"] is not None:
                    yield view.span(*found.span("user"))
                elif is_secret_name(found["name"]):
                    yield view.span(*found.span("value"))


def mask_urls(text: str) -> str:
    """A text in which no URL shows user, password or the value of a parameter whose name is secret."""
    return _masked(text, _url_spans(text))


def has_url_secrets(url: str, *, user: bool) -> bool:
    """Whether a URL has a password or the value of a secret parameter in it; with `user` also where it has a user."""
    for view in _views(url):
        server = view.text.partition("://")[2].partition("/")[0]
        if user and re.search("[:@]", server) and not server.startswith("arn:"):
            return True
        for found in _IN_URL.finditer(view.text):
            if ":" in found["user"] if found["user"] is not None else is_secret_name(found["name"]):
                return True
    return False


def url_secrets(text: str) -> Iterator[str]:
    """The passwords in a text's URLs, and the values of parameters whose names are secret."""
    for found in _IN_URL.finditer(text) if "://" in text else ():
        if found["user"] is not None:
            yield found["user"].partition(":")[2]
        elif is_secret_name(found["name"]):
            yield found["value"]


# -- values -----------------------------------------------------------------------------------------------------------


def without_secrets(value: object, name: str = "") -> object:
    """A value to show: what is secret in it, by its type, its name or in a URL, is masked."""
    if value is None or isinstance(value, bool) or is_secret_value(value):
        return value  # the last hides it itself
    if isinstance(value, str):
        return MASK if is_secret_name(name) else mask_urls(value)
    if fields := fields_of(value):
        return {key: without_secrets(item, f"{name}.{key}") for key, item in fields.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_secrets(item, name) for item in value)
    return MASK if is_secret_name(name) else value


def is_secret_value(value: object) -> bool:
    """Whether it is a `SecretStr`, a `SecretBytes`, or another type that is asked for what it hides."""
    return hasattr(type(value), "get_secret_value")


def has_secret(value: object) -> bool:
    """Whether a value is such a type's, or holds one."""
    if is_secret_value(value):
        return True
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(has_secret, value))
    return any(map(has_secret, fields_of(value).values()))


def secrets_in(value: object, secret: bool = False) -> Iterator[str]:
    """The secrets in a value, by their types, names or in URLs; with `secret` every text and number in it is one."""
    if is_secret_value(value):
        yield from secrets_in(value.get_secret_value(), True)  # type: ignore[attr-defined]
    elif isinstance(value, bytes):
        yield from secrets_in(value.decode(errors="replace"), secret)
    elif isinstance(value, str):
        yield from (value,) if secret else url_secrets(value)
    elif isinstance(value, int | float | Decimal | UUID | dt.date) and not isinstance(value, bool):
        yield from (str(value),) if secret else ()
    elif isinstance(value, list | set | frozenset) or (isinstance(value, tuple) and not hasattr(value, "_fields")):
        for item in value:
            yield from secrets_in(item, secret)
    else:
        for name, item in fields_of(value).items():
            yield from secrets_in(item, secret or is_secret_name(str(name)))


def fields_of(value: object) -> Mapping[Any, Any]:
    """What a dict, a model, a dataclass or a named tuple holds, by name; nothing of anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields} | (value.__pydantic_extra__ or {})
    if isinstance(value, tuple):
        return dict(zip(getattr(value, "_fields", ()), value, strict=False))
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return {}


# -- known secrets ---------------------------------------------------------------------------------------------------

_SHORT = 4  # characters; fewer are masked as whole words only, or nothing of a text would remain
_LONG = 12  # characters, of which a beginning or an end is masked too
_WORD = 10  # letters
_UNLIKELY = 8  # characters; what has fewer may be a word of any text
_KNOWN = 200
_known: OrderedDict[str, None] = OrderedDict()
_knowing = threading.Lock()


def remember_secrets(secrets: Iterable[str]) -> None:
    """Have every error of ours mask these from now on: those of a storage's options, the latest two hundred."""
    with _knowing:
        for secret in secrets:
            if len(secret) >= _UNLIKELY:
                _known[secret] = None
                _known.move_to_end(secret)
        while len(_known) > _KNOWN:
            _known.popitem(last=False)


def mask(text: str, secrets: Iterable[str]) -> str:
    """A text without these secrets, those of storages' options, and those of its URLs, in all their forms."""
    wanted = {secret for secret in secrets if secret.strip()}
    with _knowing:
        wanted.update(_known)
    spans = list(_url_spans(text))
    if wanted:
        views = list(_views(text))
        for secret in wanted:
            for view in views:
                spans += (view.span(*found) for found in _places(view.text, secret))
    return _masked(text, spans)


def _places(text: str, secret: str) -> Iterator[tuple[int, int]]:
    if len(secret) < _SHORT:
        for form in (secret, *(base64.b64encode(secret.encode("utf-8", "replace")).decode().rstrip("="),)):
            for found in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text):
                yield found.span()
        return
    yield from _occurrences(text, secret)
    data = secret.encode("utf-8", "surrogatepass")
    lower = text.lower()
    if len(lower) == len(text):
        yield from _occurrences(lower, data.hex())
    for form in _base64_forms(data):
        yield from _occurrences(text, form)


def _base64_forms(data: bytes) -> set[str]:
    """What of the base64 of bytes is the same wherever they stand in a longer text."""
    forms = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        fixed = encoded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        forms |= {fixed, fixed.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= _SHORT}


def _occurrences(text: str, secret: str) -> Iterator[tuple[int, int]]:
    """Where it is, or enough of its beginning or its end."""
    least = min(16, max(6, len(secret) // 4)) if len(secret) >= _LONG else len(secret)
    start, end = secret[:least], secret[-least:]
    at = text.find(start)
    while at >= 0:
        length = least
        while length < len(secret) and text[at + length : at + length + 1] == secret[length]:
            length += 1
        if not _is_word(secret[:length], secret[length : length + 1]):
            yield at, at + length
        at = text.find(start, at + 1)
    at = text.find(end)
    while at >= 0:
        length = least
        while length < len(secret) and at + least - length > 0 and text[at + least - length - 1] == secret[-length - 1]:
            length += 1
        if not _is_word(secret[-length:], secret[:-length][-1:]):
            yield at + least - length, at + least
        at = text.find(end, at + 1)


def _is_word(part: str, beyond: str) -> bool:
    """Whether a beginning or an end of a secret is a short word by itself, which many a text has."""
    return part.isalpha() and len(part) < _WORD and beyond != "" and not beyond.isalnum()


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in sorted(spans):
        if start >= at:
            parts += [text[at:start], MASK]
        at = max(at, end)
    return "".join(parts) + text[at:]


# -- errors ----------------------------------------------------------------------------------------------------------

_LONGEST = 2000  # characters of a message
_LONGEST_OF_DUCKDB = 400
_LONGEST_RECORDED = 1000
_TRACEBACK = "Traceback (most recent call last):\n"
_EXCERPT = re.compile(r"\s*\n+LINE \d+:.*", re.DOTALL)
_ROW = re.compile(r"Original Line:.*?(?=\n(?:Expected Number of Columns|Error when|Possible fixes)|\Z)", re.DOTALL)
_PARSED_ROW = re.compile(r'(according to format specifier "[^"\n]*")\n.*?\n *\^\n', re.DOTALL)
_CLASS = re.compile(
    r"\b(Binder|Cast|Catalog|Connection|Constraint|Conversion|Data|Dependency|Executor|FATAL|HTTP|INTERNAL|INTERRUPT|IO"
    r"|Invalid Configuration|Invalid Input|Invalid type|Mismatch Type|Not implemented|Optimizer|Out of Memory"
    r"|Out of Range|Parameter Not Allowed|Parser|Permission|Sequence|Serialization|Settings|Syntax"
    r"|TransactionContext|Type) Error: ",
)
_QUOTED = re.compile(r"'.*'|\".*\"", re.DOTALL)  # greedy: a value may have quotes itself
_VALUE = re.compile(r"(?<=\bvalue )\S+|(?<=\bname )\w\S*|(?<![\w.])[+-]?\d[\d.,]{4,}")
_FIXED = re.compile(
    r"CSV Error on Line: \d+|Error when sniffing file|Malformed JSON|JSON transform error|Could not parse string"
)
"""What is told of an error whose text may be anything, such as that of SQL's error('...')."""


def shown_text(text: str) -> str:
    """A text without the secrets of its URLs and those of storages' options."""
    return mask(text, ()) if _known or _may_have_urls(text) else text


def message_text(text: str) -> str:
    """The message of an error of ours: as `shown_text`, not long, and of what DuckDB says, which is the rest of it,
    little: no excerpt of the query or the row."""
    if found := _CLASS.search(text):
        text = text[: found.start()] + duckdb_text(text[found.start() :])
    return shown_text(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")


def _without_excerpts(text: str) -> str:
    text = _PARSED_ROW.sub(r"\1 ", _ROW.sub("", text))
    return "\n".join(line for line in _EXCERPT.sub("", text).split("\n") if line.strip())


def duckdb_text(error: BaseException | str) -> str:
    """What an error of DuckDB says, for its user: without the excerpt of the query or of the row, and not long."""
    text = _without_excerpts(without_traceback(str(error)))
    return text if len(text) <= _LONGEST_OF_DUCKDB else f"{text[: _LONGEST_OF_DUCKDB - 3]}..."


def without_traceback(text: str) -> str:
    """What DuckDB says of Python code that it called, such as a filesystem: the error alone."""
    before, _, tracebacks = text.partition(_TRACEBACK)
    last = tracebacks.rpartition(_TRACEBACK)[2]
    return before + "\n".join(line for line in last.split("\n") if not line.startswith(" "))


def shorten_duckdb(error: BaseException) -> None:
    """Take query and rows out of the texts of DuckDB's errors behind an error, which tracebacks and logs show too."""
    for behind in _chain(error):
        if _is_of_duckdb(behind):
            behind.args = (duckdb_text(behind),)


def recorded_text(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """An error as a run record tells it: type and message without secrets, and of what DuckDB says no text of a query,
    no value and no row; a thousand characters at most."""
    recorded = getattr(error, "recorded", None)
    text = recorded(_without_values) if callable(recorded) else _without_values(str(error))
    if _is_of_duckdb(error) and not _CLASS.match(text):
        text = ""
    text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return mask(text[: 4 * _LONGEST_RECORDED], secrets)[:_LONGEST_RECORDED]


def _without_values(message: str) -> str:
    """A message in which what DuckDB says, which is the rest of it, is without query and values."""
    found = _CLASS.search(message)
    if found is None:
        return message
    name, told = found[0].removesuffix(": "), _without_excerpts(message[found.end() :])
    if name == "Invalid Input Error":
        fixed = _FIXED.match(told)
        told = fixed[0] if fixed else ""
    else:
        told = _QUOTED.sub(lambda quoted: f"{quoted[0][0]}…{quoted[0][0]}", told).split("\n")[0]
        told = _VALUE.sub("…", told)[:200]
    return f"{message[: found.start()]}{name}: {told}".rstrip(": ")


def _is_of_duckdb(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("duckdb", "_duckdb")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    ahead = [error]
    while ahead:
        one = ahead.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            ahead += [behind for behind in (one.__cause__, one.__context__) if behind is not None]
            ahead += getattr(one, "exceptions", ())
