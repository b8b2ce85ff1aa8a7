"""What is wrong with an asset's function, path, name and formats, as it is told where the asset is defined."""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from types import CodeType
from typing import Any

from mad_prefect_core.assets.options import DataAssetOptions, refuse
from mad_prefect_core.assets.templates import field_names, has_fields, without_fields
from mad_prefect_core.contracts import Asset, FormatLike
from mad_prefect_core.errors import (
    ArgumentError,
    OptionError,
    OptionWarning,
    PathError,
    PluginError,
    SharedPathWarning,
    TemplateError,
    UnknownFormatError,
)
from mad_prefect_core.misspelt import check_plain, check_url
from mad_prefect_core.paths import relative_key, split_url
from mad_prefect_core.plugins import get_host
from mad_prefect_core.redaction import is_secret_name

__all__ = [
    "bound_arguments",
    "check_artifacts_dir",
    "check_fields",
    "check_formats",
    "check_formats_of",
    "check_path",
    "checked_function",
    "checked_name",
    "checked_template",
    "warn",
    "warn_of_left_out",
]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME = 200  # bytes; a folder is named after it
_OPEN = {"Any", "object", ""}
"""Annotations that say nothing."""
_PLAIN = {
    *("str", "int", "float", "bool", "date", "datetime", "Decimal", "UUID", "Path", "PurePath"),
    *("Optional", "Union", "None", "NoneType"),
}
"""Annotations of values that a path can tell."""


_SERVICE = re.compile(
    r"(^|_)(client|conn|connection|connector|context|ctx|cursor|db|driver|engine|fs|filesystem|http|logger|pool|session)$"
)
"""Names of parameters for a service that is asked for data; they do not say which data."""


def warn(warning: Warning) -> None:
    """Warn of where the user's own code made or called the asset."""
    depth, frame = 1, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("mad_prefect_core"):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(warning, stacklevel=depth)


# -- the function ------------------------------------------------------------------------------------------------------


def checked_function(fn: Any) -> Callable[..., Any]:
    """The function that an asset is made of. Raises `OptionError` for what can't be one."""
    if isinstance(fn, staticmethod):
        fn = fn.__func__
    inner = fn.func if isinstance(fn, partial) else fn
    named = getattr(inner, "__qualname__", None)
    if not inspect.isfunction(inner) and isinstance(inner, Asset):
        raise OptionError("@asset goes before a function, and this is an asset already", hint="Use @asset once.")
    if isinstance(inner, type):
        raise OptionError(
            f"@asset goes before a function, not the class {named}", hint="Write a function that returns its rows."
        )
    if isinstance(inner, classmethod) or not callable(inner):
        raise OptionError(
            f"@asset goes before a function, not {type(inner).__name__}",
            hint='Write @asset("orders.parquet") on the line above `def`, outside of classes.',
        )
    if not isinstance(named, str):
        raise OptionError(
            f"@asset goes before a function, not a {type(inner).__name__} object",
            hint="Write a function that calls it.",
        )
    if inspect.isfunction(inner):
        first = inner.__code__.co_varnames[:1]
    else:
        try:
            first = tuple(inspect.signature(inner).parameters)[:1]
        except ValueError:
            hint = "Write a function that calls it."
            raise OptionError(f"The parameters of {named} are not known", hint=hint) from None
    if first == ("self",) and "." in named and not named.rpartition(".")[0].endswith("<locals>"):
        raise OptionError(
            f"{named} is a method, and an asset has no `self`",
            hint="Write a function outside of the class, or put @staticmethod above @asset and take `self` out.",
        )
    checked: Callable[..., Any] = fn
    return checked


def bound_arguments(
    name: str, signature: inspect.Signature, args: Sequence[Any], keywords: Mapping[str, Any]
) -> inspect.BoundArguments:
    """The arguments of a call or of `with_arguments`. Raises `ArgumentError` for those that the function does not
    take."""
    try:
        return signature.bind_partial(*args, **keywords)
    except TypeError as error:
        known = list(signature.parameters)
        near = [difflib.get_close_matches(keyword, known, 1) for keyword in keywords if keyword not in known]
        first = next(filter(None, near), None)
        hint = f"Did you mean {first[0]!r}?" if first else f"It takes: {', '.join(known) or 'none'}."
        raise ArgumentError(f"The function does not take these arguments: {error}", asset=name, hint=hint) from None


# -- path and name -----------------------------------------------------------------------------------------------------


def checked_template(name: str, value: Any) -> str:
    """The path of an asset, as text. Raises `OptionError`."""
    if isinstance(value, PurePath):
        return value.as_posix()
    if not isinstance(value, str):
        refuse(name, value, 'It is where the result goes: write @asset("orders.parquet").')
    if not value.strip():
        refuse(name, value, 'It names the file of the result, such as "orders.parquet".')
    return value


def checked_name(value: Any) -> str | None:
    """The name of an asset, if one is given. Raises `OptionError`."""
    if value is None:
        return None
    if not isinstance(value, str):
        refuse("name", value, "It is text, or left out for the names of module and function.")
    if not value.strip(". "):
        refuse("name", value, "Leave it out for the names of module and function.")
    if _CONTROL.search(value):
        refuse("name", value, "It is text without control characters.")
    if len(without_fields(value).encode(errors="replace")) > _LONGEST_NAME:
        refuse("name", value, f"It has at most {_LONGEST_NAME} bytes: a folder is named after it.")
    return value


def check_path(path: str) -> None:
    """Raise `PathError`, `OptionError` or `UnknownFormatError` for one of an asset's paths that can't be.

    A format that is not known here is told at the call: its plugin may be missing on this machine alone, and the other
    assets of the file have nothing to do with that. A suffix that is one letter off a known one is told at once.
    """
    _check_place(path)
    if path.endswith("/"):
        raise PathError("A path ends with '/', which names a folder", path=path, hint="Name a file in it.")
    if (ending := _ending(path)) is None:
        return
    try:
        get_host().format_of(ending)
    except UnknownFormatError as error:
        suffix = ending.rpartition(".")[2]
        if "." not in ending[1:] or not suffix or _is_misspelt(suffix):
            error.path = path
            raise
    except PluginError:
        return  # of two plugins in conflict, say: it is told at the call


def check_artifacts_dir(folder: str) -> None:
    """Raise `PathError` for a folder of fragments that can't be."""
    try:
        if folder.strip("/."):
            _check_place(folder)
    except PathError as error:
        error.message = f"This can't be artifacts_dir. {error.message}"
        raise


def _check_place(path: str) -> None:
    check_url(path)  # refuses secrets in it
    check_plain(without_fields(path))
    relative_key(split_url(without_fields(path))[1])


def check_formats_of(template: str, paths: Sequence[str]) -> None:
    """Raise `OptionError` where `x.parquet|csv` names a file twice, or has a whole path after the `|`."""
    first, *more = template.split("|")
    for other in more if len(paths) == len(more) + 1 else ():
        suffix = other.strip().rpartition(".")[2]
        stem = other.strip().removesuffix(f".{suffix}")
        if "/" in other or (stem != suffix and first.startswith(f"{stem}.")):
            raise OptionError("After '|' comes a format, not a path", path=template, hint=f"Write '{first}|{suffix}'.")
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise OptionError("The path names one file twice", path=twice, hint="Name each format once.")


def _ending(path: str) -> str | None:
    """A file name with the suffix of a path; None where an argument fills that in."""
    file = path.rpartition("/")[2]
    if not has_fields(file):
        return file
    literal = file.rpartition("}")[2]
    return f"x{literal}" if "." in literal else None


def _is_misspelt(name: str) -> bool:
    wanted = name.lower().lstrip(".")
    known = get_host().known_formats()
    if wanted in known:
        return False  # of a plugin that is not installed, or not in use
    same_letters = any(sorted(wanted) == sorted(other) for other in known)
    return same_letters or bool(difflib.get_close_matches(wanted, known, 1, 0.85))


# -- formats -----------------------------------------------------------------------------------------------------------


def check_formats(options: DataAssetOptions, paths: Sequence[str], fn: Callable[..., Any]) -> None:
    """Raise for a format of fragments that is misspelt, and for write options that no file of the asset is written
    with; warn of read options of other formats than those of its files."""
    host = get_host()
    if options.artifact_filetype is not None:
        try:
            host.format_named(options.artifact_filetype)
        except UnknownFormatError as error:
            if _is_misspelt(options.artifact_filetype):
                error.message = f"artifact_filetype can't be {options.artifact_filetype!r}: {error.message}"
                raise
            return
        except PluginError:
            return  # of two plugins in conflict, say: it is told at the call
    endings = [_ending(path) for path in paths]
    try:
        found = [host.format_of(ending)[0] for ending in endings if ending is not None]
        if options.artifact_filetype is not None:
            found.append(host.format_named(options.artifact_filetype))
        else:
            found += [host.format_for("rows"), host.format_for("columns")]
    except PluginError:
        return  # it is told at the call
    if None not in endings:
        _check_options(options, found, fn)


def _check_options(options: DataAssetOptions, found: Sequence[FormatLike[Any, Any]], fn: Callable[..., Any]) -> None:
    formats = options.formats()
    names = ", ".join(sorted({format.name for format in found}))
    for written in formats.write:
        if not any(isinstance(written, format.write_options) for format in found):
            raise OptionError(
                f"write_options has a {type(written).__name__}, and no file of the asset is of its format",
                hint=f"Its result and fragments are {names}: take the option out, or name the format in the path or in "
                "artifact_filetype.",
            )
    for option in ("read_json_options", "read_csv_options"):
        given, wanted = getattr(options, option), _reader_of(option)
        if given is not None and wanted is not None and not isinstance(given, wanted):
            raise OptionError(
                f"{option} can't be a {type(given).__name__}", hint=f"It is a {wanted.__name__}, or use read_options."
            )
    readers = tuple(format.read_options for format in found)
    is_read = any(isinstance(read, readers) for read in formats.read)
    if formats.read and not (is_read or formats.names()) and not _names_artifacts(getattr(fn, "__code__", None)):
        given = " and ".join(type(read).__name__ for read in formats.read)
        have, that = ("has", "that") if len(formats.read) == 1 else ("have", "such a")
        warn(
            OptionWarning(
                f"{given} {have} no effect on the asset's own rows: none of its files is of {that} format",
                hint=f"They are {names}: take the option out, or name the format in artifact_filetype. It does count "
                "for files of its format that the function gives as artifacts.",
            )
        )


def _names_artifacts(code: Any) -> bool:
    """Whether a function seems to give artifacts, whose files may be of any format."""
    if not isinstance(code, CodeType):
        return False
    names = (*code.co_names, *code.co_varnames, *code.co_freevars)
    return any("artifact" in name.lower() for name in names) or any(map(_names_artifacts, code.co_consts))


def _reader_of(option: str) -> type | None:
    name = option.split("_")[1]
    return next((format.read_options for format in get_host().formats() if format.name == name), None)


# -- templates and parameters ------------------------------------------------------------------------------------------


def check_fields(templates: Sequence[str], signature: inspect.Signature) -> None:
    """Raise `TemplateError` for a field that no argument can fill in: the function has no such parameter, and none that
    may be an asset, whose arguments are known too."""
    parameters = signature.parameters
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or _is_plain(p) is not True for p in parameters.values()):
        return
    for template in templates:
        for name in field_names(template):
            if name and not name.isdecimal() and name not in parameters:
                near = difflib.get_close_matches(name, parameters, 1)
                raise TemplateError(
                    f"The template {template!r} has a field {name!r}, and the function has no such parameter",
                    hint=f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(parameters) or 'none'}.",
                )


def warn_of_left_out(name: str, template: str, signature: inspect.Signature, bound: Sequence[str]) -> None:
    """Warn of arguments that the path leaves out: results of other values would replace each other there.

    Those are meant that every call has to give, and whose values a path could tell: no secrets, clients or frames. What
    has no annotation is told by its name.
    """
    used = set(field_names(template))
    if used - set(signature.parameters):
        return  # of an asset among the arguments, which may stand for them, or by position
    left = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name not in {*used, *bound}
        and not parameter.name.startswith("_")
        and not is_secret_name(parameter.name)
        and _is_plain(parameter) is not False
        and not (_is_plain(parameter) is None and _SERVICE.search(parameter.name))
    ]
    if left:
        first, path = left[0], template.split("|")[0]
        folder, slash, file = path.rpartition("/")
        better = f"{folder}{slash}{first}={{{first}}}/{file}"
        warn(
            SharedPathWarning(
                f"The path leaves out {', '.join(map(repr, left))}: a call with another value replaces the file there",
                asset=name,
                path=template,
                hint=f"Put it in, such as {better!r}; or filter the category SharedPathWarning if just the latest "
                "result is wanted there.",
            )
        )


def _is_plain(parameter: inspect.Parameter) -> bool | None:
    """Whether a path can tell the parameter's values, by its annotation; None where that says nothing."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return None
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    if "Literal[" in text:
        return True
    names = {name.rpartition(".")[2] for name in re.findall(r"[\w.]+", text)}
    return None if names & _OPEN else names <= _PLAIN
