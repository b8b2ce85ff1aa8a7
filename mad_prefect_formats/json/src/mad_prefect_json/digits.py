"""Numbers of JSON, which a DOUBLE may not hold: `0.1234567890123456789`, `1e400`, 2**53 + 1 beside 2.5.

DuckDB reads every number with a fraction or an exponent as a DOUBLE, whatever type it is told, and integers exactly.
Such numbers are made strings in the text of an object before DuckDB parses it, so that their digits reach the cast to
a DECIMAL, or stay in a JSON value.
"""

from __future__ import annotations

from dataclasses import dataclass

from mad_prefect_core.sdk import SchemaError

__all__ = ["EXACT_DIGITS", "Numbers", "digits_needed", "has_wide", "marked", "rounded", "unmarked"]

EXACT_DIGITS = 15
"""A DOUBLE holds every decimal number of so many digits."""

_MAX_DIGITS = 38
_FRACTION = r"-?[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)"
_STRINGS_AND_REST = r'"(?:[^"\\]|\\.)*"|[^"]+'
# Every fraction that a DOUBLE may not hold has more digits than it holds of all, or an exponent of three digits. What
# precedes a number in JSON is required, which excludes most text, such as the UUID `…-12e3-4567-…`.
_WIDE = r"(?:^|[:,\[\s])-?([0-9][0-9.]{16,}(?:[eE][+-]?[0-9]+)?|[0-9][0-9.]*[eE][+-]?[0-9]{3,})"


def marked(text: str, mark: str = "") -> str:
    """SQL for the text of an object in which each number with a fraction or an exponent is a string after `mark`."""
    quoted = f"""regexp_replace(part, '{_FRACTION}', '"{mark}\\0"', 'g')"""
    parts = (
        f"list_transform(regexp_extract_all({text}, '{_STRINGS_AND_REST}'), "
        f"lambda part: CASE WHEN part[1] = '\"' THEN part ELSE {quoted} END)"
    )
    return f"CASE WHEN regexp_matches({text}, '[0-9][.eE]') THEN array_to_string({parts}, '') ELSE {text} END"


def unmarked(text: str, mark: str) -> str:
    """SQL for text, or for a JSON value's text, in which marked strings are numbers again."""
    return f"""replace(regexp_replace({text}, '"{mark}([^"]*)"', '\\1', 'g'), '{mark}', '')"""


def has_wide(text: str) -> str:
    """SQL for whether the text of an object seems to have a fraction that a DOUBLE does not hold.

    Text within strings counts too: it is a reason to look, no more.
    """
    # Most numbers are written in the shortest way, so that the rest costs nothing.
    others = f"list_filter(regexp_extract_all({text}, '{_WIDE}', 1), lambda number: number <> {_shortest('number')})"
    wide = f"list_filter({others}, lambda number: regexp_matches(number, '[.eE]') AND NOT ({_held('number')}))"
    return f"len({wide}) > 0"


def rounded(text: str) -> str:
    """SQL for whether a JSON value, given as text, has a fraction that a DOUBLE does not hold."""
    return has_wide(f"""regexp_replace({text}, '"(?:[^"\\\\]|\\\\.)*"', '""', 'g')""")


def _held(number: str) -> str:
    """SQL for whether a DOUBLE holds a number, given as text: whether its digits are those that the DOUBLE is written
    with, in the shortest way or in the 17 digits of C. Text that is no number counts as held."""
    shortest, full = _shortest(number), f"format('{{:.17g}}', TRY_CAST({number} AS DOUBLE))"
    return (
        f"CASE WHEN {number} = {shortest} OR {shortest} IS NULL THEN true "
        f"ELSE {_digits(number)} IN ({_digits(shortest)}, {_digits(full)}) END"
    )


def _shortest(number: str) -> str:
    """SQL for the text by which DuckDB writes the DOUBLE nearest to a number."""
    return f"CAST(TRY_CAST({number} AS DOUBLE) AS VARCHAR)"


def _digits(number: str) -> str:
    """SQL for the significant digits of a number."""
    mantissa = f"regexp_replace({number}, '[eE].*', '')"
    return f"trim(regexp_replace({mantissa}, '[^0-9]', '', 'g'), '0')"


@dataclass(frozen=True)
class Numbers:
    """What the numbers at one place of JSON need of a type."""

    whole: int
    """Digits before the point."""
    scale: int
    """Digits after it, without trailing zeros."""
    integers: bool
    """Whether none has a fraction or an exponent."""
    exponents: bool
    """Whether one has an exponent."""
    held: bool
    """Whether a DOUBLE holds all of them."""
    finite: bool
    """Whether none is `NaN` or `Infinity`, which DuckDB takes for numbers."""
    wide_fraction: bool
    """Whether a DOUBLE does not hold one that has a fraction or an exponent."""
    example: str | None
    """One that a DOUBLE does not hold."""

    @property
    def needs_text(self) -> bool:
        """Whether DuckDB reads them exactly from strings alone."""
        return not self.held and (self.wide_fraction or self.scale > 0)

    def type(self, column: str) -> str:
        """The DuckDB type that holds all of them. Raises `SchemaError` where there is none."""
        if self.finite and (self.integers or not self.held) and self.whole + self.scale <= _MAX_DIGITS:
            # DuckDB casts text with an exponent by way of more digits than it has in the end.
            narrow = self.scale and not self.exponents
            return f"DECIMAL({self.whole + self.scale if narrow else _MAX_DIGITS}, {self.scale})"
        if self.held and not self.integers:
            return "DOUBLE"
        raise self.refusal(column)

    def refusal(self, column: str) -> SchemaError:
        """Why there is none."""
        shown = f": {self.example[:40]}" if self.example else ""
        return SchemaError(
            f"A column has a number that a DOUBLE does not hold{shown}. In a DECIMAL its numbers need {self.whole} "
            f"digits before and {self.scale} after the point, together more than {_MAX_DIGITS}"
            if self.finite
            else f"A column has NaN or Infinity and a number that a DOUBLE does not hold{shown}",
            column=column,
            hint="Name the column's type in the read options (`columns`): DOUBLE rounds, VARCHAR keeps the text.",
        )


def digits_needed(number: str) -> str:
    """SQL, aggregates: the fields of `Numbers`, over `number`, which is SQL of text."""
    exponent = f"coalesce(TRY_CAST(regexp_extract({number}, '[eE](.*)', 1) AS BIGINT), 0)"
    whole = f"length(regexp_extract({number}, '^-?0*([0-9]*)', 1)) + {exponent}"
    scale = f"length(rtrim(regexp_extract({number}, '[.]([0-9]*)', 1), '0')) - {exponent}"
    fraction = f"regexp_matches({number}, '[0-9][.eE]')"
    held = _held(number)
    return (
        f"greatest(max({whole}), 0), greatest(max({scale}), 0), NOT bool_or({fraction}), "
        f"bool_or(regexp_matches({number}, '[0-9][eE]')), bool_and({held}), "
        f"bool_and({number} NOT IN ('NaN', 'Infinity', '-Infinity')), bool_or({fraction} AND NOT ({held})), "
        f"any_value({number}) FILTER (WHERE NOT ({held}))"
    )
