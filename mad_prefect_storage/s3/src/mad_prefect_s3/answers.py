"""What S3 answers: tokens, failures, and errors that say what to do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProxyConnectionError,
)
from botocore.parsers import ResponseParserError

from mad_prefect_core.sdk import StorageError

__all__ = ["MARK", "UNANSWERED", "Failure", "code_of", "etag_of", "md5", "place", "said", "token_of", "told"]

MARK = "mad-prefect-write"
"""The name of the metadata by which a write is known again where its answer was lost."""

# Not failures: what was asked for is not there, or not as the condition wants it.
_ORDINARY = {"304", "404", "412", "416", "InvalidRange", "NoSuchKey", "NoSuchVersion", "PreconditionFailed"}
_PASSING = {"InternalError", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"}
UNANSWERED = (
    HTTPClientError,
    EndpointConnectionError,
    ConnectTimeoutError,
    ProxyConnectionError,
    ResponseParserError,
    aiohttp.ClientError,
    asyncio.IncompleteReadError,
    ConnectionError,
    TimeoutError,
)
"""What is raised where a connection breaks, or none is made."""
_DENIED = (
    "The credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket; without the last, also an "
    "object that is not there is refused."
)
_REGION = "Name the bucket's region with the option region or in AWS_REGION."
_HINTS = {
    "301": _REGION,
    "400": "To a HEAD the server does not say why. Check the region, and whether the credentials have expired.",
    "403": _DENIED,
    "AccessDenied": _DENIED,
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": "The credentials have expired, and there are no newer ones. Log in again.",
    "InvalidAccessKeyId": "The server does not know this access key. Check the credentials and the endpoint.",
    "NoSuchBucket": "Make the bucket, or correct its name: mad-prefect makes none.",
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "SignatureDoesNotMatch": "The secret key does not belong to the access key, or the endpoint is another one.",
}


class _RefusedError(StorageError, PermissionError):
    """The server says no to whoever asks."""

    __str__ = StorageError.__str__


def place(path: str) -> dict[str, str]:
    """A path as the parameters of a request."""
    bucket, _, key = path.partition("/")
    return {"Bucket": bucket, "Key": key}


def token_of(answer: dict[str, Any]) -> str:
    """The version token in an answer: the ETag, and the version's id where the bucket keeps versions.

    Raises `StorageError` where there is none."""
    if not answer.get("ETag"):
        raise StorageError("The server does not answer as S3 does: there is no ETag", hint="Check the endpoint.")
    version = answer.get("VersionId")
    etag = str(answer["ETag"]).strip('"')
    return f"{etag}@{version}" if version and version != "null" else etag


def etag_of(token: str) -> str:
    """The ETag in a token, without quotes."""
    return token.partition("@")[0]


async def md5(data: bytes) -> str:
    """As the header Content-MD5 has it; every server checks that one."""
    digest = await asyncio.to_thread(lambda: hashlib.md5(data, usedforsecurity=False).digest())
    return base64.b64encode(digest).decode()


@dataclass(frozen=True)
class Failure:
    """What is known of a request that failed."""

    code: str
    status: int | None
    """None where there was no answer."""
    unanswered: bool
    """The connection broke, or none was made."""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        client = _client_error(error)
        if client is None:
            root = error.__cause__ if isinstance(error, StorageError) and error.__cause__ else error
            return cls("", None, isinstance(root, UNANSWERED))
        status = client.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return cls(code_of(error), status, False)

    @property
    def passes(self) -> bool:
        """It may go well another time."""
        return self.unanswered or self.status in (429, 500, 502, 503, 504) or self.code in _PASSING

    @property
    def unclear(self) -> bool:
        """The server may have done what it was asked."""
        return self.unanswered or self.status in (500, 502, 504)


def code_of(error: BaseException) -> str:
    """S3's code for an error, or for what it came from; "" where there was no answer."""
    client = _client_error(error)
    return str(client.response.get("Error", {}).get("Code", "")) if client else ""


def told(error: Exception, server: str, method: str, named: dict[str, Any], attempts: int) -> Exception:
    """An error as a user can act on it. `FileNotFoundError` and unmet conditions stay as they are."""
    client = _client_error(error)
    code = code_of(error)
    if isinstance(error, StorageError) or code in _ORDINARY:
        return error
    path = f"s3://{named.get('Bucket', '')}/{named.get('Key') or named.get('Prefix') or ''}".rstrip("/")
    if client is not None:
        status = client.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        reason = str(client.response.get("Error", {}).get("Message") or "no reason given").strip().removesuffix(".")
        kind = _RefusedError if isinstance(error, PermissionError) else StorageError
        message = f"{server} answered {method} with {code} (HTTP {status}): {reason}"
        return kind(message, path=path, hint=_hint(code, client.response))
    if isinstance(error, NoCredentialsError):
        return _RefusedError(
            f"There are no credentials for {server}",
            path=path,
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the option anon.",
        )
    if isinstance(error, (BotoCoreError, OSError, *UNANSWERED)):
        return StorageError(
            f"{server} did not answer {method} in {attempts} attempts: {said(error)}",
            path=path,
            hint="Check the endpoint and the network.",
        )
    return error


def _hint(code: str, response: dict[str, Any]) -> str | None:
    hint = _HINTS.get(code)
    if hint in (_REGION, _HINTS["400"]):
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if region := headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region"):
            return f"The bucket is in the region {region}: give it with the option region or in AWS_REGION."
    return hint


def said(error: BaseException) -> str:
    """An error in words, without a password that a URL may have in it."""
    return re.sub(r"//[^/@\s]*@", "//", f"{type(error).__name__}: {error}")


def _client_error(error: BaseException | None) -> ClientError | None:
    while error is not None and not isinstance(error, ClientError):
        error = error.__cause__
    return error
