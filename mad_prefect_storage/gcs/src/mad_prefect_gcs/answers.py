"""What the server answers: bytes and generations, what failed, and errors that say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mad_prefect_core.sdk import StorageError

__all__ = ["UNANSWERED", "Answer", "RefusedError", "masked"]

UNANSWERED = (aiohttp.ClientError, ConnectionError, TimeoutError)
"""What is raised where a connection breaks, or none is made."""

_HINTS = {
    401: "There is no token, or it is wrong or has expired and there is no newer one. Log in again, or see the option "
    "token.",
    403: "The credentials need storage.objects.get, create, delete and list, as in the role Storage Object User; "
    "without the last, also an object that is not there is refused.",
    404: "Make the bucket, or correct its name: mad-prefect makes none.",
    429: "Too many requests at once; one object can be written about once a second.",
}
_PAYS = "Give the options requester_pays and project: the bucket's owner does not pay for requests."


class RefusedError(StorageError, PermissionError):
    """The server says no to whoever asks."""

    __str__ = StorageError.__str__


@dataclass(frozen=True)
class Answer:
    """An answer to one request, or that there was none."""

    status: int
    """Of HTTP; 0 where the connection broke, or none was made."""
    headers: Mapping[str, str] = field(repr=False)
    data: bytes = field(repr=False)
    broken: BaseException | None = None
    """What broke the connection."""

    def __str__(self) -> str:
        if self.broken is not None:
            return masked(f"{type(self.broken).__name__}: {self.broken}".removesuffix(": "))
        return masked(f"HTTP {self.status}: {self.reason}")

    @property
    def good(self) -> bool:
        """What was asked for is done, or is under way, or has not changed."""
        return 200 <= self.status < 400

    @property
    def passes(self) -> bool:
        """It may go well another time."""
        return self.status in (0, 408, 429, 500, 502, 503, 504)

    @property
    def lost(self) -> bool:
        """The server may do yet what it was asked."""
        return self.status in (0, 408, 504)

    @property
    def unclear(self) -> bool:
        """The server may do yet, or have done, what it was asked."""
        return self.lost or self.status in (500, 502, 503)

    @property
    def generation(self) -> str:
        """Which generation of an object its bytes are of, or was written."""
        return self.says("x-goog-generation") if "x-goog-generation" in self.headers else self.says("generation")

    def says(self, name: str) -> str:
        """A header, or a member of its JSON. Raises `StorageError` where it has neither."""
        said = self.headers.get(name) or self.json.get(name)
        if said is None:
            raise self._strange()
        return str(said)

    @property
    def json(self) -> dict[str, Any]:
        """What it says. Raises `StorageError` where that is no JSON object."""
        try:
            said = json.loads(self.data)
        except ValueError:
            raise self._strange() from None
        if not isinstance(said, dict):
            raise self._strange()
        return said

    def _strange(self) -> StorageError:
        return StorageError("The server does not answer as Google Cloud Storage does", hint="Check the endpoint.")

    @property
    def reason(self) -> str:
        """Why the server refused, in its words."""
        text = self.data.decode("utf-8", "replace")
        try:
            error = json.loads(text)["error"]
            text = error if isinstance(error, str) else error["message"]
        except (ValueError, KeyError, TypeError):
            text = re.sub(r"<[^>]*>", " ", text)[:200]
        return " ".join(text.split()).removesuffix(".") or "no reason given"

    def error(self, server: str, what: str, path: str, attempts: int) -> OSError:
        """What to raise, as a user can act on it.

        Args:
            server: Its URL.
            what: The method of the request, or "an upload".
            path: The bucket or object that was asked for; "" where the request was about neither.
            attempts: How often it was asked.
        """
        if self.status == 404 and "/" in path and what != "an upload" and not self._no_bucket():
            return FileNotFoundError(path)
        if self.status == 412:
            return FileExistsError(path)
        url = f"gs://{path}" if path else None
        if self.broken is not None:
            return StorageError(
                f"{server} did not answer {what} in {attempts} attempts: {self}",
                path=url,
                hint="Check the endpoint and the network.",
            )
        kind = RefusedError if self.status in (401, 403) else StorageError
        hint = _PAYS if "requester pays" in self.reason else _HINTS.get(self.status)
        return kind(f"{server} answered {what} with {self}", path=url, hint=hint)

    def _no_bucket(self) -> bool:
        return re.search("bucket.* does not exist", self.reason) is not None


def masked(text: str) -> str:
    """Text without passwords that URLs in it may have."""
    return re.sub(r"//[^/@\s]*@", "//", text)
