"""Which runs' results are kept as history, as a policy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from pydantic import Field, model_validator

from mad_prefect_core.contracts import Options

__all__ = ["Retention"]

_PERIODS: dict[str, Callable[[dt.datetime], object]] = {
    "keep_daily": lambda time: time.date(),
    "keep_weekly": lambda time: time.isocalendar()[:2],
    "keep_monthly": lambda time: (time.year, time.month),
}


class Retention(Options):
    """Which runs' results stay. A run stays if any of the `keep_…` wants it, or if none is given; and never if it is
    older than `max_age`. The current run stays always, and so does one that is pinned.

    Days, weeks (from Monday) and months are those of UTC, and only those count in which there was a run.
    """

    keep_last: int | None = Field(None, ge=1, description="The newest runs, so many.")
    keep_daily: int | None = Field(None, ge=1, description="The last run of each of so many days.")
    keep_weekly: int | None = Field(None, ge=1, description="The last run of each of so many weeks.")
    keep_monthly: int | None = Field(None, ge=1, description="The last run of each of so many months.")
    max_age: dt.timedelta | None = Field(None, gt=dt.timedelta(0), description="Nothing older stays.")

    @model_validator(mode="after")
    def _says_something(self) -> Retention:
        if not self.model_dump(exclude_none=True):
            raise ValueError("a retention needs at least one rule")
        return self

    def kept(self, runs: Iterable[tuple[str, dt.datetime]], now: dt.datetime) -> set[str]:
        """Of runs, each an id and when it was materialised (with a time zone), the ids of those that stay."""
        newest = sorted(runs, key=lambda run: run[1], reverse=True)
        rules = self.model_dump(exclude_none=True, exclude={"max_age"})
        wanted = set() if rules else {run_id for run_id, _ in newest}
        wanted.update(run_id for run_id, _ in newest[: self.keep_last or 0])
        for rule, period in _PERIODS.items():
            last: dict[object, str] = {}
            for run_id, time in newest:
                last.setdefault(period(time.astimezone(dt.UTC)), run_id)
            wanted.update(list(last.values())[: rules.get(rule, 0)])
        young = {run_id for run_id, time in newest if self.max_age is None or now - time <= self.max_age}
        return wanted & young
