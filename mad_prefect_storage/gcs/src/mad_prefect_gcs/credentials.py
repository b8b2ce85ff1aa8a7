"""Who asks: Google's credentials, made when the first request needs them and renewed before they run out."""

from __future__ import annotations

import functools
import json
import os
import threading
from pathlib import Path
from typing import Any

import google.auth
import requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials as UserCredentials
from google.oauth2.service_account import Credentials as ServiceAccount

from mad_prefect_core.sdk import OptionError, RefusedError, StorageError
from mad_prefect_gcs.options import GCSOptions

__all__ = ["Access"]

_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
_WAYS = (
    "Run `gcloud auth application-default login`, name a file in GOOGLE_APPLICATION_CREDENTIALS, or give the option "
    "token ('anon' for public buckets)."
)


class Access:
    """What options and a Prefect block together say of who asks. Its methods may be called by several threads.

    Args:
        options: Those of the storage.
        trusted: Whether the server may be told who asks where the options do not say it.
    """

    def __init__(self, options: GCSOptions, *, trusted: bool) -> None:
        self._options = options
        self._trusted = trusted
        self._lock = threading.Lock()
        self._loaded: tuple[Any, str | None] | None = None

    def ready(self) -> dict[str, str] | None:
        """The headers that say who asks; None if they must be got first, by `renewed`."""
        if self._loaded is None:
            return None
        credentials, _ = self._loaded
        return _headers(credentials) if credentials is None or credentials.valid else None

    def renewed(self, refused: dict[str, str] | None = None) -> dict[str, str]:
        """As `ready`, with new credentials where the old ones have run out, or are those that the server refused.

        Blocks. Raises `OptionError` for options that say nobody, `StorageError` where no token is to be had.
        """
        with self._lock:
            ready = self.ready()
            if ready is not None and ready != refused:
                return ready  # another thread was quicker
            # Each time from where they are: a long-lived process is logged in anew by a new file.
            credentials, project = self._load()
            if credentials is not None and not credentials.valid:
                self._refresh(credentials)
            self._loaded = credentials, project
            return _headers(credentials)

    def project(self) -> str | None:
        """Who is billed; known once there were headers."""
        own = self._loaded[1] if self._loaded else None
        return self._options.project or os.environ.get("GOOGLE_CLOUD_PROJECT") or own

    def _refresh(self, credentials: Any) -> None:
        with requests.Session() as session:
            try:
                credentials.refresh(functools.partial(Request(session), timeout=self._options.read_timeout))
            except GoogleAuthError as error:
                kind = RefusedError if isinstance(error, RefreshError) and not error.retryable else StorageError
                raise kind(f"Google gave no token: {_reason(error)}", hint="Check the credentials.") from None

    def _load(self) -> tuple[Any, str | None]:
        """Credentials, None for anonymous requests, and their project."""
        token = self._options.token.get_secret_value().strip() if self._options.token else ""
        if not token and self._options.credentials is not None:
            return _of_block(self._options.block())
        if token == "anon" or (not token and not self._trusted):
            return None, None
        if token in ("", "google_default"):
            return _default()
        if token.startswith("{"):
            return _of_info(token, "The token")
        if "/" in token or os.sep in token or token.endswith(".json"):
            return _of_file(Path(token))
        return UserCredentials(token), None  # type: ignore[no-untyped-call]


def _headers(credentials: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    if credentials is not None:
        credentials.apply(headers)
    return headers


def _default() -> tuple[Any, str | None]:
    try:
        credentials, project = google.auth.default(scopes=_SCOPES)
    except DefaultCredentialsError as error:
        raise RefusedError(f"There are no Google credentials: {_reason(error)}", hint=_WAYS) from None
    return credentials, project


def _of_block(block: Any) -> tuple[Any, str | None]:
    block = getattr(block, "gcp_credentials", block)  # of a block that is a bucket
    info = getattr(block, "service_account_info", None)
    file = getattr(block, "service_account_file", None)
    if info:
        info = info.get_secret_value() if hasattr(info, "get_secret_value") else info
        credentials, project = _of_info(json.dumps(info), "The block's service account")
    elif file:
        credentials, project = _of_file(Path(file))
    else:
        credentials, project = _default()
    return credentials, getattr(block, "project", None) or project


def _of_file(path: Path) -> tuple[Any, str | None]:
    try:
        text = path.expanduser().read_text("utf-8")
    except (OSError, ValueError) as error:
        raise OptionError(
            f"The file with Google credentials can't be read: {type(error).__name__}", path=str(path)
        ) from None
    return _of_info(text, f"The file {path}")


def _of_info(text: str, what: str) -> tuple[Any, str | None]:
    try:
        info = json.loads(text)
        if info["type"] == "service_account":
            return ServiceAccount.from_service_account_info(info, scopes=_SCOPES), info.get("project_id")  # type: ignore[no-untyped-call]
        if info["type"] == "authorized_user":
            return UserCredentials.from_authorized_user_info(info, scopes=_SCOPES), info.get("quota_project_id")  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, TypeError) as error:
        # What is wrong with it may be told by showing it: only the kind of error is said.
        raise OptionError(f"{what} has no Google credentials in it: {type(error).__name__}", hint=_WAYS) from None
    raise OptionError(
        f"{what} has credentials of the type {info['type']!r}, which only Google's default credentials know",
        hint="Name it in GOOGLE_APPLICATION_CREDENTIALS.",
    )


def _reason(error: Exception) -> str:
    """The first argument of Google's errors is the text; the others may have the whole answer of a server."""
    return f"{type(error).__name__}: {error.args[0] if error.args else ''}"
