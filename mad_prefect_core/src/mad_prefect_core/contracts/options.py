"""The base of every option model."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr, ValidationError

from mad_prefect_core.errors import OptionError
from mad_prefect_core.redaction import without_secrets

__all__ = ["ISO", "Options", "ReadOptions", "did_you_mean"]

ISO = frozenset({"%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"})
"""Spellings of dates and timestamps, as in `strptime`, which all text in them is taken for unless told otherwise."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that a misspelt one is near to, as advice; without such, all that are known."""
    names = list(known)
    if near := difflib.get_close_matches(name, names, 1):
        return f"Did you mean {near[0]!r}?"
    return f"It is one of: {', '.join(names) or 'none'}."


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _OptionsType(ModelMetaclass):
    """Has what is wrong with the options be an `OptionError` where a user makes them, and pydantic's own where stored
    ones are validated."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if args:
            names = list(getattr(cls, "model_fields", ()))
            raise OptionError(
                f"{cls.__name__} takes its options by name, not {args[0]!r} alone"
                if type(args[0]) in (int, float, bool)
                else f"{cls.__name__} takes its options by name, not a {type(args[0]).__name__} alone",
                hint=f"Write {cls.__name__}({names[0] if names else '...'}=...). It knows: {', '.join(names)}.",
            )
        try:
            return super().__call__(**options)
        except ValidationError as error:
            raise _refused(cls, error) from None


def _refused(cls: Any, error: ValidationError) -> OptionError:
    kind, names = cls.__name__, list(cls.model_fields)
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return OptionError(f"{kind} has no option {place!r}", hint=did_you_mean(place, names))
    told = problem.get("ctx", {}).get("error")
    if isinstance(told, OptionError):
        return OptionError(told.message, hint=told.hint)
    where = f"{kind} can't have this {place}" if place else f"{kind} can't be so"
    about = cls.model_fields[place].description if place in cls.model_fields else None
    hint = f"{place}: {about}" if about else f"It knows: {', '.join(names)}."
    return OptionError(f"{where}: {problem['msg'].removeprefix('Value error, ')}", hint=hint)


class Options(BaseModel, metaclass=_OptionsType):
    """Base of a plugin's read, write and storage options.

    A misspelt option is refused with `OptionError` rather than ignored, and a field that holds a secret is a
    `SecretStr`, so that neither `repr` nor a log shows it. What is within other fields under a name that is a secret's,
    or in a URL, is not shown either. `explicit()` keeps "not given" apart from a given default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Names of options that others know for the same thing and that mean nothing here: ignored with a warning where
    they come with a storage's options, as those of fsspec in a block of 2.x do."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_secrets(value, name or "")

    def explicit(self) -> dict[str, object]:
        """Only the fields that the user set, by name."""
        return self.model_dump(exclude_unset=True)

    def fingerprint(self) -> str:
        """A digest that differs where any option does, also within secrets: what a cache of clients goes by.

        An object that is no plain value is known by its identity, so whoever keeps the digest keeps the options too.
        """
        return hashlib.sha256(repr(_revealed(dict(self))).encode()).hexdigest()


def _revealed(value: Any) -> object:
    if isinstance(value, Secret | SecretStr | SecretBytes):
        return "secret", _revealed(value.get_secret_value())
    if isinstance(value, Mapping):
        return [(_revealed(name), _revealed(item)) for name, item in value.items()]
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    if type(value) in (str, bytes, int, float, bool, type(None)):
        return value
    return type(value).__qualname__, id(value)


class ReadOptions(Options):
    """Base of a format's read options. A field left at None leaves the reader's own default in force."""

    model_config = ConfigDict(frozen=False)  # 2.x let them be changed after they were made

    hive_partitioning: bool | None = True
    """Make columns of the `key=value` folders that the user wrote into a path."""
    union_by_name: bool | None = True
    """Unite the files by column name rather than by position."""

    beside_values: ClassVar[frozenset[str]] = frozenset({"hive_partitioning", "union_by_name"})
    """Names of options that change nothing in what the values of one file are, such as limits."""

    def named_columns(self) -> Sequence[str]:
        """All columns in order, if these options name them: rows may be tuples, then."""
        return ()

    def named_types(self) -> Mapping[str, str]:
        """The DuckDB types that these options name, by column."""
        return {}

    def type_of_others(self) -> str | None:
        """The DuckDB type of all other columns, if these options name one."""
        return None

    def spelling(self) -> Mapping[str, Any]:
        """Those of the options set that say how text spells values. A format spells its own in one way."""
        return {}

    def taken_for(self, kinds: Collection[str]) -> Collection[str]:
        """The types that text is taken for under these options, where the format takes it for `kinds`."""
        return kinds

    def map_threshold(self) -> int | None:
        """From how many keys on objects are maps, if these options say so; -1 for none."""
        return None

    def only_for_files(self) -> Collection[str]:
        """The options set here that would do nothing to rows which are stored by these options.

        They say how files of others are read. Rows that a function returns are written and read back in one way,
        whatever they say; so they are refused there, rather than accepted without effect.
        """
        return self._set_otherwise("union_by_name")

    def _set_otherwise(self, *names: str) -> list[str]:
        """Those of these options that are neither left open nor as they are unless given."""
        fields = type(self).model_fields
        return [name for name in names if getattr(self, name) not in (None, fields[name].default)]
