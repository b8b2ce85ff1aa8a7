"""Who asks: Google's credentials, made when the first request needs them and renewed before they run out."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass, replace
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

__all__ = ["Identity", "log_in"]

_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
_WAYS = (
    "Run `gcloud auth application-default login`, name a file in GOOGLE_APPLICATION_CREDENTIALS, or give the option "
    "token ('anon' for public buckets)."
)


@dataclass(frozen=True)
class Identity:
    """Who asks."""

    credentials: Any
    """Of Google's library; None for anonymous requests."""
    project: str | None = None
    """Who is billed for requests."""

    def has_ended(self) -> bool:
        """Whether there must be a new token."""
        return self.credentials is not None and not self.credentials.valid

    def headers(self) -> dict[str, str] | None:
        """What says so in a request; None for anonymous ones."""
        headers: dict[str, str] = {}
        if self.credentials is not None:
            self.credentials.apply(headers)
        return headers or None


def log_in(options: GCSOptions, *, trusted: bool) -> Identity:
    """Whom options and a Prefect block name, with a token that is valid now. Blocks.

    Args:
        options: Those of the storage.
        trusted: Whether the server may be told who asks where the options do not say it.

    Raises `OptionError` for options that say nobody, `StorageError` where no token is to be had.
    """
    token = options.token.get_secret_value().strip() if options.token else ""
    if not token and options.credentials is not None:
        found = _of_block(options.block())
    elif token == "anon" or (not token and not trusted):
        found = Identity(None)
    elif token in ("", "google_default"):
        found = _default()
    elif token.startswith("{"):
        found = _of_info(token, "The token")
    elif "/" in token or os.sep in token or token.endswith(".json"):
        found = _of_file(Path(token))
    else:
        found = Identity(UserCredentials(token))  # type: ignore[no-untyped-call]
    if found.has_ended():
        _refresh(found.credentials, options.read_timeout)
    project = options.project or os.environ.get("GOOGLE_CLOUD_PROJECT") or found.project
    if options.requester_pays and not project:
        hint = "Give the option project, or set GOOGLE_CLOUD_PROJECT."
        raise OptionError("With requester_pays a project is billed, and none is known", hint=hint)
    return replace(found, project=project)


def _refresh(credentials: Any, timeout: float) -> None:
    with requests.Session() as session:
        try:
            credentials.refresh(functools.partial(Request(session), timeout=timeout))
        except GoogleAuthError as error:
            kind = RefusedError if isinstance(error, RefreshError) and not error.retryable else StorageError
            raise kind(f"Google gave no token: {_reason(error)}", hint="Check the credentials.") from None


def _default() -> Identity:
    try:
        return Identity(*google.auth.default(scopes=_SCOPES))
    except DefaultCredentialsError as error:
        raise RefusedError(f"There are no Google credentials: {_reason(error)}", hint=_WAYS) from None


def _of_block(block: Any) -> Identity:
    block = getattr(block, "gcp_credentials", block)  # of a block that is a bucket
    info = getattr(block, "service_account_info", None)
    file = getattr(block, "service_account_file", None)
    if info:
        info = info.get_secret_value() if hasattr(info, "get_secret_value") else info
        found = _of_info(json.dumps(info), "The block's service account")
    elif file:
        found = _of_file(Path(file))
    else:
        found = _default()
    return replace(found, project=getattr(block, "project", None) or found.project)


def _of_file(path: Path) -> Identity:
    try:
        text = path.expanduser().read_text("utf-8")
    except (OSError, ValueError) as error:
        text = f"The file with Google credentials can't be read: {type(error).__name__}"
        raise OptionError(text, path=str(path)) from None
    return _of_info(text, f"The file {path}")


def _of_info(text: str, what: str) -> Identity:
    try:
        info = json.loads(text)
        if info["type"] == "service_account":
            account = ServiceAccount.from_service_account_info(info, scopes=_SCOPES)  # type: ignore[no-untyped-call]
            return Identity(account, info.get("project_id"))
        if info["type"] == "authorized_user":
            user = UserCredentials.from_authorized_user_info(info, scopes=_SCOPES)  # type: ignore[no-untyped-call]
            return Identity(user, info.get("quota_project_id"))
    except (ValueError, KeyError, TypeError) as error:
        # What is wrong with it may be told by showing it: only the kind of error is said.
        raise OptionError(f"{what} has no Google credentials in it: {type(error).__name__}", hint=_WAYS) from None
    text = f"{what} has credentials of the type {info['type']!r}, which only Google's default credentials know"
    raise OptionError(text, hint="Name it in GOOGLE_APPLICATION_CREDENTIALS.")


def _reason(error: Exception) -> str:
    """The first argument of Google's errors is the text; the others may have the whole answer of a server."""
    return f"{type(error).__name__}: {error.args[0] if error.args else ''}"
