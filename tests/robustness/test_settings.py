"""Settings that can't be are errors that name the variable, wherever they are met."""

from __future__ import annotations

import pytest

from mad_prefect_core import Limits, Settings, asset
from mad_prefect_core.errors import OptionError


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAD_PREFECT_UNTRUSTED_SQL", "maybe"),
        ("MAD_PREFECT_LEASE_SECONDS", "soon"),
        ("MAD_PREFECT_LEASE_SECONDS", "0"),
        ("MAD_PREFECT_PLUGIN_TIMEOUT", "-1"),
        ("MAD_PREFECT_DUCKDB_THREADS", "many"),
    ],
)
def test_a_mistake_in_the_environment_is_not_reported_as_a_fault_of_the_library(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asset("x.json", name="lake.x")
    def x() -> list[dict[str, int]]:
        return [{"n": 1}]

    monkeypatch.setenv(variable, value)
    with pytest.raises(OptionError, match=f"{variable} can't be {value!r}: ") as raised:
        x.call_sync()
    assert raised.value.asset == "lake.x"
    assert "\n" not in str(raised.value)


def test_a_setting_of_another_kind_is_an_error_of_ours_in_code_too() -> None:
    with pytest.raises(OptionError, match="MAD_PREFECT_LEASE_SECONDS can't be 'soon'"):
        Settings(lease_seconds="soon")
    with pytest.raises(OptionError, match="FILESYSTEM_URL can't be 5"):
        Settings(filesystem_url=5)


@pytest.mark.parametrize(
    "limits", [{"rows": "5"}, {"rows": None}, {"rows": 0.5}, {"seconds": "1"}, {"seconds": None}, {"memory": None}]
)
def test_a_limit_of_another_kind_is_an_error_of_ours(limits: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Limits(**limits)  # type: ignore[arg-type]
