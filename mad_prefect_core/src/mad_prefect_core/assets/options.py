"""The options of an asset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Literal, NoReturn, get_args

from mad_prefect_core.artifacts.files import FormatOptions
from mad_prefect_core.contracts import Options, ReadOptions
from mad_prefect_core.contracts.options import did_you_mean
from mad_prefect_core.errors import OptionError
from mad_prefect_core.plugins import get_host
from mad_prefect_core.runs.retention import Retention
from mad_prefect_core.settings import get_settings

__all__ = [
    "UNSET",
    "CacheOn",
    "Compat",
    "DataAssetOptions",
    "ManyReadOptions",
    "ManyWriteOptions",
    "OnRunning",
    "Unset",
    "check_known",
    "checked_options",
    "refuse",
]

ManyReadOptions = ReadOptions | list[ReadOptions] | tuple[ReadOptions, ...] | None
ManyWriteOptions = Options | list[Options] | tuple[Options, ...] | None
CacheOn = Literal["code", "upstream"]
_OLD = 2
Compat = Literal[2, 3]
OnRunning = Literal["wait", "reuse", "fail"]


class Unset:
    """The type of "not given", which is something else than None."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


@dataclass(frozen=True)
class DataAssetOptions:
    """Everything about an asset but its function, path and name. The first six are those of 2.x."""

    artifacts_dir: str = ""
    snapshot_artifacts: bool = False
    artifact_filetype: str | None = None
    """Format of fragments; None for the one that is best for rows, or for columns, as each item needs."""
    read_json_options: ReadOptions | None = None
    read_csv_options: ReadOptions | None = None
    cache_expiration: timedelta | None = None
    read_options: ManyReadOptions = None
    write_options: ManyWriteOptions = None
    on_running: OnRunning = "wait"
    """What a call does while another run of the asset is under way."""

    fragment_rows: int | None = None
    """Rows that a fragment has at least, but the last; None for a fragment a yield."""
    retention: Retention | None = None
    """Which runs' results are kept as history."""
    cache_on: tuple[CacheOn, ...] = ()
    """What makes a call run again, besides age, arguments and options."""
    compat: Compat | None = None
    """The version of mad-prefect by which results are made where they differ without an error; None for the setting."""

    checked_with: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """The paths of assets that they were found to go with."""

    def __post_init__(self) -> None:
        if self.artifacts_dir is None:
            object.__setattr__(self, "artifacts_dir", "")  # as 2.x took it
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def as_2x(self) -> bool:
        """Whether results are to be as 2.x made them, where that is not an error now."""
        return (self.compat or int(get_settings().compat)) == _OLD

    def formats(self) -> FormatOptions:
        """The options of formats, together. Raises `OptionError`."""
        given = FormatOptions.of(self.read_options, self.write_options, self.read_json_options, self.read_csv_options)
        return replace(given, as_2x=self.as_2x())


def refuse(name: str, value: object, hint: str) -> NoReturn:
    """Raise `OptionError` for an option's value, and say what it may be."""
    plain = value is None or isinstance(value, bool | int | float | str | timedelta | tuple | list | PurePath)
    shown = f"{value!r:.80}" if plain else f"this {getattr(value, '__qualname__', type(value).__qualname__)}"
    raise OptionError(f"{name} can't be {shown}", hint=hint)


def check_known(unknown: dict[str, Any]) -> None:
    """Raise `OptionError` for arguments that are no options of an asset."""
    for name in unknown:
        names = ["path", "name", *(each.name for each in fields(DataAssetOptions) if each.init)]
        raise OptionError(f"An asset has no option {name!r}", hint=did_you_mean(name, names))


def checked_options(value: Any) -> DataAssetOptions:
    """The options of an asset: those not given are as they are usually. Raises `OptionError`."""
    if value is not None and not isinstance(value, DataAssetOptions):
        refuse("options", value, "It is a DataAssetOptions object.")
    return value or DataAssetOptions()


def _folder(name: str, value: Any) -> str:
    if isinstance(value, PurePath):
        return value.as_posix()
    if not isinstance(value, str):
        refuse(name, value, 'It is a folder below the base, such as "raw/orders". Leave it out for the usual one.')
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        refuse(name, value, "It is True or False.")
    return value


def _format_name(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip(". ")):
        refuse(name, value, 'It is the name of a format, such as "json", or None for the one that suits the data.')
    return value


def _age(name: str, value: Any) -> timedelta | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        refuse(name, value, f"It is a timedelta: write timedelta(seconds={value!r}) if these are seconds.")
    if value is not None and not isinstance(value, timedelta):
        refuse(name, value, "It is a timedelta such as timedelta(hours=1), or None to run at every call.")
    if value is not None and value < timedelta(0):
        refuse(name, value, "It is how old a result may be, so not less than zero.")
    return value


def _count(name: str, value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        refuse(name, value, "It is 1 or more, or None.")
    return value


def _retention(name: str, value: Any) -> Retention | None:
    if value is not None and not isinstance(value, Retention):
        number = isinstance(value, int) and not isinstance(value, bool)
        meant = f"keep_last={value!r}" if number else "max_age=..." if isinstance(value, timedelta) else "keep_last=10"
        refuse(name, value, f"It is a Retention: write Retention({meant}).")
    return value


def _choice(choices: tuple[str, ...]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in choices:
            refuse(name, value, f"It is one of: {', '.join(choices)}.")
        return value

    return check


def _compat(name: str, value: Any) -> Compat | None:
    if value is not None and (isinstance(value, bool) or value not in get_args(Compat)):
        refuse(name, value, "It is 2, for results as mad-prefect 2.x made them, or 3; or None for MAD_PREFECT_COMPAT.")
    found: Compat | None = value
    return found


def _cache_on(name: str, value: Any) -> tuple[CacheOn, ...]:
    choices = get_args(CacheOn)
    near = f' Write ("{value}",).' if isinstance(value, str) and value in choices else ""
    if not isinstance(value, tuple | list | set | frozenset) or any(item not in choices for item in value):
        refuse(name, value, f"It is a tuple of: {', '.join(choices)}.{near}")
    return tuple(choice for choice in choices if choice in value)


def _options_of(side: Literal["read", "write"]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        for item in value if isinstance(value, list | tuple) else (value,):
            is_for_reading = isinstance(item, ReadOptions)
            if item is None or (isinstance(item, Options) and is_for_reading == (side == "read")):
                continue
            known = ", ".join(_classes(side)) or "none"
            if isinstance(item, type):
                raise OptionError(f"{name} can't be the class {item.__name__}", hint=f"Write {item.__name__}(...).")
            raise OptionError(
                f"{name} can't be a {type(item).__qualname__}: that is not a {side} options object",
                hint=f"It is an object of one of: {known}.",
            )
        return value

    return check


def _classes(side: str) -> list[str]:
    return [getattr(format, f"{side}_options").__name__ for format in get_host().formats()]


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "artifacts_dir": _folder,
    "snapshot_artifacts": _flag,
    "artifact_filetype": _format_name,
    "read_json_options": _options_of("read"),
    "read_csv_options": _options_of("read"),
    "cache_expiration": _age,
    "read_options": _options_of("read"),
    "write_options": _options_of("write"),
    "on_running": _choice(get_args(OnRunning)),
    "fragment_rows": _count,
    "retention": _retention,
    "cache_on": _cache_on,
    "compat": _compat,
}
"""By option: what takes its value, or raises `OptionError` with what to write instead."""
