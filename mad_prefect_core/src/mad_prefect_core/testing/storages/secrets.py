"""Secrets: what is in the options and in the URL is shown nowhere."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, get_args, get_origin
from urllib.parse import quote, unquote, urlsplit

import duckdb
import pytest
from pydantic import Secret, SecretBytes, SecretStr, ValidationError

from mad_prefect_core.contracts import StorageLike
from mad_prefect_core.errors import MadPrefectError
from mad_prefect_core.redaction import is_secret_name
from mad_prefect_core.session import DuckSession
from mad_prefect_core.testing.base import complaint
from mad_prefect_core.testing.faults import faults
from mad_prefect_core.testing.storages.place import Place, StorageBase

__all__ = ["SecretContract"]

_PLANTED = "pl4nted-s3cret"


class SecretContract(StorageBase, contract=True):
    """Secrets."""

    secrets: ClassVar[tuple[str, ...]] = ()
    """More of them that must not be shown, such as those that come from the environment."""
    not_secret: ClassVar[tuple[str, ...]] = ()
    """Options that are named or kept like secrets and may be shown, such as the name of a user or a key."""

    def test_options_do_not_show_their_secrets(self, storage: StorageLike[Any]) -> None:
        """Options do not show a secret when they are printed, dumped or refused; what is named like one is one."""
        for name, field in storage.options.model_fields.items():
            if not _is_secret(field.annotation):
                continue
            with contextlib.suppress(ValueError):
                options = storage.options.model_validate({name: _PLANTED})
                shown = f"{options!r} {options} {options.model_dump()} {options.model_dump_json()} {options.explicit()}"
                assert _PLANTED not in shown, name
            for wrong in ({name: {"a": _PLANTED}}, {name: _PLANTED, "no_such_option_ever": _PLANTED}):
                try:
                    storage.options.model_validate(wrong)
                except ValidationError as error:
                    told = "; ".join(f"{problem['loc']}: {problem['msg']}" for problem in error.errors())
                    assert _PLANTED not in told, name
        plain = [
            name
            for name, field in storage.options.model_fields.items()
            if is_secret_name(name) and _is_text(field.annotation) and not _is_secret(field.annotation)
        ]
        assert set(plain) <= set(self.not_secret), complaint(
            "Options that are named like secrets are shown", "Make them SecretStr, or name them in `not_secret`.", plain
        )

    def test_nothing_shows_a_secret(
        self, storage: StorageLike[Any], url: str, options: Mapping[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """No secret of the options or the URL is in a log at DEBUG, a repr, an error, or what DuckDB is given."""
        said: list[str] = []
        with caplog.at_level(logging.DEBUG):
            place = Place.of(storage, url, options)
            said += [repr(place.fs), str(place.fs), repr(storage), repr(vars(storage))]
            location = place.publish("x.csv", b"n\n1\n")
            said.append(repr((location.stat(), location.read())))
            with DuckSession() as session:
                files = location.duckdb_files(session)
                said += files
                said.append(repr(session.sql("FROM read_csv($1)", [files]).fetchall()))
                with _telling(said):
                    session.sql("FROM read_csv($1)", [place.at("none.csv").duckdb_files(session)]).fetchall()
            with _telling(said):
                place.replace("x.csv", b"", "no such token")
            for act in (location.stat, location.read, lambda: place.publish("x.csv", b"new")):
                with _telling(said), faults(*self.fault_targets(place), fail_at=1, forever=True):
                    act()
            with _telling(said):
                place.at("none.csv").link_to(location)
        said += [record.getMessage() for record in caplog.records] + [caplog.text]
        text = "\n".join(said)
        for secret in self._secrets(storage, url, options):
            for form in {secret, quote(secret, safe="")}:
                assert form not in text, _around(text, form)

    def _secrets(self, storage: StorageLike[Any], url: str, options: Mapping[str, Any]) -> set[str]:
        found = set(self.secrets)
        for name, field in storage.options.model_fields.items():
            if options.get(name) and _is_secret(field.annotation) and name not in self.not_secret:
                found.add(str(options[name]))
        with contextlib.suppress(ValueError):
            found.add(unquote(urlsplit(url).password or ""))
        return found - {""}


@contextlib.contextmanager
def _telling(said: list[str]) -> Iterator[None]:
    """Note what is raised, as a log would show it."""
    try:
        yield
    except (OSError, MadPrefectError, duckdb.Error) as error:
        said.append("".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)))


def _is_secret(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, Secret | SecretStr | SecretBytes):
        return True
    return any(_is_secret(part) for part in get_args(annotation))


def _is_text(annotation: Any) -> bool:
    return annotation in (str, bytes) or any(_is_text(part) for part in get_args(annotation))


def _around(text: str, secret: str) -> str:
    """Where it is, itself left out."""
    where = text.index(secret)
    return complaint(
        "A secret is shown", "Leave it out of logs, reprs and errors.", [f"…{text[max(0, where - 200) : where]}[it]"]
    )
