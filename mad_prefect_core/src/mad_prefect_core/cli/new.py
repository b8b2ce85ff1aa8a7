"""`mad-prefect plugins new`: a ready project for a new format or storage."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from mad_prefect_core.cli.output import Result, escape, styled
from mad_prefect_core.errors import ConfigurationError
from mad_prefect_core.hookspecs import PLUGIN_API
from mad_prefect_core.plugins import catalogue, get_host

__all__ = ["new"]


def _fit(_: object, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]{0,39}", name) or keyword.iskeyword(name):
        raise ValueError("It has small letters and digits alone, begins with a letter, and is no keyword of Python.")


def new(
    kind: Annotated[Literal["format", "storage"], Parameter(help="What the plugin brings.")],
    name: Annotated[
        str,
        Parameter(validator=_fit, help="Small letters and digits. The suffix or protocol is called the same."),
    ],
    folder: Annotated[Path | None, Parameter(help="Where the project goes: ./mad-prefect-NAME if not given.")] = None,
    /,
) -> Result:
    """Write a ready project for a plugin. Its tests pass as it is; replace what it does by what yours is to do.

    It needs copier: `pip install copier`.
    """
    _check_free(name)
    target = folder or Path(f"mad-prefect-{name}")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigurationError(
            f"There is something at {str(target)!r} already", hint="Name another folder: nothing is overwritten."
        )
    answers = {
        "name": name,
        "title": name.capitalize(),
        "distribution": f"mad-prefect-{name}",
        "package": f"mad_prefect_{name}",
        "plugin_api": PLUGIN_API,
        "core_version": version("mad-prefect-core"),
    }
    with as_file(files("mad_prefect_core.cli").joinpath("templates", kind)) as template:
        _copy(template, target, answers)
    written = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    data = {"kind": kind, "name": name, "folder": str(target), "files": written}
    return Result(data, _view(kind, target, written))


def _check_free(name: str) -> None:
    bringers = {name: bringer for table in catalogue().values() for name, bringer in table.items()}
    host = get_host()
    for record in host.plugins():
        formats, storages = host.brought(record)
        brought = {found for format in formats for found in (format.name, *(s.lstrip(".") for s in format.suffixes))}
        brought |= {found for storage in storages for found in (storage.name, *storage.protocols)}
        bringers |= dict.fromkeys((record.name, *brought), record.source)
    taken = bringers.get(name) or (importlib.util.find_spec(f"mad_prefect_{name}") and f"mad_prefect_{name}")
    if taken:
        raise ConfigurationError(f"The name {name!r} is taken by {taken}", hint="Choose another one.")


def _copy(template: Path, target: Path, answers: dict[str, object]) -> None:
    try:
        from copier import run_copy  # noqa: PLC0415  nothing else needs it, and it is heavy
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"A new project is made with copier, which can't be imported: {error}",
            hint="Run `pip install 'copier>=9.4'`.",
        ) from error
    run_copy(str(template), target, data=answers, defaults=True, quiet=True)


def _view(kind: str, target: Path, written: list[str]) -> Iterator[str]:
    yield f"Wrote the {kind} project {styled(str(target), 'bold')}:"
    yield from (f"  {escape(name)}" for name in written)
    yield f"""
Its tests pass as it is:
  cd {escape(shlex.quote(str(target)))}
  pip install --editable {escape('".[test]"')}
  pytest"""
