"""s3fs with one policy: bounded retries, refreshed credentials, no listing cache, and errors that say what to do.

Importing this imports s3fs and botocore, which takes half a second: `storage` does so when the first URL is opened.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from io import UnsupportedOperation
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from fsspec.asyn import sync, sync_wrapper
from s3fs import S3FileSystem

from mad_prefect_core.sdk import OptionError, PinnedFiles, Retries, StagedUpload, StorageError, Tail
from mad_prefect_s3 import conditional, transfers
from mad_prefect_s3.answers import UNANSWERED, Failure, code_of, etag_of, place, said, token_of, told
from mad_prefect_s3.logs import hide_keys
from mad_prefect_s3.options import S3Options
from mad_prefect_s3.uploads import sending

__all__ = ["S3Files"]

logger = logging.getLogger(__name__)

R = TypeVar("R")

_PART = 8 * 2**20  # bytes of a long range that are one request
_PARALLEL = 8
_EXPIRED = {
    "400",  # what a HEAD is answered where the token has expired
    "403",
    "AccessDenied",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}


@dataclass(frozen=True)
class _Access:
    """What options and a Prefect block together say."""

    key: str | None
    secret: str | None = field(repr=False)
    token: str | None = field(repr=False)
    profile: str | None
    region: str | None
    endpoint_url: str | None

    @classmethod
    def of(cls, options: S3Options) -> _Access:
        block = _block(options.credentials)
        client = _value(getattr(block, "aws_client_parameters", None))
        said = {
            "key": _value(options.key) or _first(block, "aws_access_key_id", "minio_root_user"),
            "secret": _value(options.secret) or _first(block, "aws_secret_access_key", "minio_root_password"),
            "token": _value(options.token) or _first(block, "aws_session_token"),
            "profile": options.profile or _first(block, "profile_name"),
            "region": options.region or _first(block, "region_name"),
            "endpoint_url": options.endpoint_url or _first(client, "endpoint_url"),
        }
        return cls(**said)


def _block(credentials: Any) -> Any:
    if not isinstance(credentials, str):
        return credentials
    from prefect.blocks.core import Block  # noqa: PLC0415  Prefect takes a second to import

    try:
        return Block.load(credentials, _sync=True)  # type: ignore[call-arg]
    except ValueError as error:
        raise OptionError(f"The credentials {credentials!r} can't be loaded: {error}") from None


def _first(block: Any, *names: str) -> Any:
    return next((value for name in names if (value := _value(getattr(block, name, None)))), None)


def _value(secret: Any) -> Any:
    return secret.get_secret_value() if hasattr(secret, "get_secret_value") else secret


class S3Files(S3FileSystem):  # type: ignore[misc]  # s3fs is not typed
    """One account on one server. Paths are `bucket/key`. Safe for use by several threads.

    Every request is tried `attempts` times, with growing pauses of random length, where the server is busy or the
    connection breaks. Credentials that the server refuses are looked up once more, and the request is sent again if
    they are others now.

    Raises `FileNotFoundError` for a key that is not there; `StorageError` that names URL and server for all else, of
    which refusals are `PermissionError` too.
    """

    cachable = False

    # fsspec's go by how arguments print, and secrets all print alike.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    retries = 1  # of s3fs; those here know more, and both would multiply
    default_block_size = _PART

    def __init__(self, options: S3Options) -> None:
        hide_keys()
        self.options = options
        self.retrying = Retries(options.attempts)
        self.pinned = PinnedFiles(self, "s3")
        self.quotes_etags = True  # whether the server wants quotes around the ETags of conditions
        self.conditions: dict[str, bool] = {}  # by bucket, whether the server keeps them
        self.probing = asyncio.Lock()
        self.history: dict[str, tuple[str, list[str]]] = {}  # of `conditional`
        access = _Access.of(options)
        client = {**options.client_kwargs.get_secret_value(), "verify": options.checks}
        if options.checks is False:
            server = urlsplit(access.endpoint_url or "").netloc.rpartition("@")[2] or "AWS"
            logger.warning(
                "The storage 's3' does not check the certificate of %s: with verify=False, anybody on the way can read "
                "and change the data. Give the path of a file of its authorities instead.",
                server,
            )
        if access.region:
            client["region_name"] = access.region
        config = {
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "connect_timeout": options.connect_timeout,
            "read_timeout": options.read_timeout,
            "max_pool_connections": 4 * _PARALLEL,
            "s3": {"addressing_style": options.addressing_style},
            # Content-MD5 is what every server checks; many choke on the checksums that botocore adds by itself.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            **options.config_kwargs,
        }
        super().__init__(
            anon=options.anon,
            endpoint_url=access.endpoint_url,
            **self._static(access),
            session=self._new_session(access),
            client_kwargs=client,
            config_kwargs=config,
            requester_pays=options.requester_pays,
            s3_additional_kwargs=dict(options.s3_additional_kwargs),
            use_listings_cache=False,
        )

    # -- who asks ------------------------------------------------------------------------------------------------

    @property
    def retried(self) -> int:
        """Requests that had to be sent again, so far: run records tell."""
        return self.retrying.retried

    def _static(self, access: _Access) -> dict[str, str | None]:
        if self.options.role_arn:
            return {}
        return {"key": access.key, "secret": access.secret, "token": access.token}

    def _new_session(self, access: _Access) -> AioSession:
        session = AioSession(profile=access.profile)
        if self.options.role_arn:
            source = AioSession(profile=access.profile)
            if access.key:
                source.set_credentials(access.key, access.secret, access.token)
            provider = _Role(source, self.options, access.region)
            session.get_component("credential_provider").insert_before("env", provider)
        return session

    async def credentials(self) -> tuple[str | None, ...] | None:
        """Key, secret and token as they are now; None for anonymous requests."""
        if self.options.anon:
            return None
        if self.key:
            return self.key, self.secret, self.token
        await self.set_session()
        found = await self.session.get_credentials()
        return None if found is None else tuple(await found.get_frozen_credentials())

    async def _refreshed(self, used: Any) -> bool:
        """Look the credentials up anew. Whether they are others than those that were used."""
        if await self.credentials() != used:
            return True  # another task was quicker
        access = await asyncio.to_thread(_Access.of, self.options)
        session, static = self._new_session(access), self._static(access)
        if static.get("key"):
            fresh: Any = (access.key, access.secret, access.token)
        else:
            found = await session.get_credentials()
            fresh = None if found is None else tuple(await found.get_frozen_credentials())
        if fresh is None or fresh == used:
            return False
        logger.info("The server refused the old credentials, and there are new ones.")
        self.session = session
        self.key, self.secret, self.token = static.get("key"), static.get("secret"), static.get("token")
        await self.set_session(refresh=True)
        return True

    # -- one request ---------------------------------------------------------------------------------------------

    async def _call_s3(self, method: str, *parameters: Any, **named: Any) -> Any:
        attempts = self.retrying.attempts()
        for attempt in attempts:
            try:
                return await self._attempt(method, *parameters, **named)
            except Exception as error:
                if Failure.of(error).passes:
                    if not attempts.last:
                        await self.retrying.pause(attempt, f"{self.server()}: {said(error)}")
                        continue
                    self.retrying.gave_up()
                if (failure := told(error, self.server(), method, named, attempt)) is error:
                    raise
                raise failure from error
        raise AssertionError("not reached")

    async def _attempt(self, method: str, *parameters: Any, **named: Any) -> Any:
        used = await self.credentials()
        try:
            answer = await self._send(method, *parameters, **named)
        except Exception as error:
            if used is None or code_of(error) not in _EXPIRED or not await self._refreshed(used):
                raise
            answer = await self._send(method, *parameters, **named)
        self.retrying.answered()
        return answer

    async def _send(self, method: str, *parameters: Any, **named: Any) -> Any:
        if "Body" not in named:
            return await super()._call_s3(method, *parameters, **named)
        async with sending(named["Body"], self.options.connect_timeout + self.options.read_timeout) as body:
            return await super()._call_s3(method, *parameters, **{**named, "Body": body})

    async def call(self, method: str, path: str, **named: Any) -> dict[str, Any]:
        """One call of the S3 API on one object. Raises as the class says."""
        answer: dict[str, Any] = await self._call_s3(method, **place(path), **named)
        return answer

    async def once(self, method: str, path: str, **named: Any) -> dict[str, Any]:
        """As `call`, in one attempt."""
        try:
            answer: dict[str, Any] = await self._attempt(method, **place(path), **named)
        except Exception as error:
            if (failure := told(error, self.server(), method, place(path), 1)) is error:
                raise
            raise failure from error
        return answer

    def server(self) -> str:
        """The server's URL, for messages."""
        endpoint = self._s3.meta.endpoint_url if self._s3 is not None else self.endpoint_url
        return re.sub(r"//[^/@]*@", "//", str(endpoint or "S3"))

    def is_amazon(self) -> bool:
        """Whether the server is AWS itself."""
        return re.search(r"\.amazonaws\.com(\.cn)?(:\d+)?(/|$)", self.server()) is not None

    def run(self, work: Callable[..., Awaitable[R]], *args: Any) -> R:
        """Have a coroutine function run on the event loop of this filesystem. Blocks the calling thread."""
        result: R = sync(self.loop, work, *args)
        return result

    # -- whole objects -------------------------------------------------------------------------------------------

    async def head_object(self, path: str) -> dict[str, Any] | None:
        """What the server says of an object; None where there is none."""
        try:
            return await self.call("head_object", path)
        except FileNotFoundError:
            return None

    async def get_object(self, path: str, **parameters: Any) -> tuple[bytes, dict[str, Any]]:
        """Bytes of an object, and what else the server says of it. Raises `FileNotFoundError`."""
        attempts = self.retrying.attempts()
        for attempt in attempts:
            answer = await self.call("get_object", path, **parameters)
            try:
                async with answer["Body"] as body:
                    data = await body.read()
            except UNANSWERED as error:
                if attempts.last:
                    raise told(error, self.server(), "get_object", place(path), attempt) from error
                await self.retrying.pause(attempt, f"{self.server()}: {said(error)}")
            else:
                conditional.remember(self, path, answer)
                return data, answer
        raise AssertionError("not reached")

    async def put_object(self, local: Path, path: str, create: bool = False) -> None:
        """Bring a local file to a key: whole, or not at all. With `create`, raises `FileExistsError` where it is."""
        await transfers.upload(self, local, path, create)

    async def copy_object(self, source: str, path: str) -> str | None:
        """Copy an object on the server. Returns its token, where the server tells it. Raises `FileNotFoundError`."""
        return await transfers.copy(self, source, path)

    async def replace(self, path: str, data: bytes, expected: str | None) -> str:
        """Write an object if it is still at version `expected` (None: if there is none). Returns its new token.

        Raises `StorageConflictError` where it is not, and `OutcomeUnknownError` where the answer was lost and what is
        there now does not tell either.
        """
        return await conditional.replace(self, path, data, expected)

    # -- mad_prefect_core.objects.ObjectReader --------------------------------------------------------------------

    def tail(self, path: str, length: int, known: str | None) -> Tail | None:
        """As the protocol says, in one request unless the object is empty."""
        return self.run(self._tail, path, length, known)

    async def _tail(self, path: str, length: int, known: str | None) -> Tail | None:
        unless = {"IfNoneMatch": f'"{etag_of(known)}"'} if known else {}
        try:
            data, answer = await self.get_object(path, Range=f"bytes=-{length}", **unless)
        except OSError as error:
            status = Failure.of(error).status
            if status == 304:
                return None
            if status != 416:
                raise
            found = await self.head_object(path)
            if found is None:
                raise FileNotFoundError(path) from error
            return Tail(token_of(found), found["ContentLength"], b"")
        size = int(str(answer["ContentRange"]).rpartition("/")[2]) if "ContentRange" in answer else len(data)
        return Tail(token_of(answer), size, data)

    def fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        """As the protocol says; long ranges in parts, several at a time."""
        return self.run(self._fetch, path, version, start, end)

    async def _fetch(self, path: str, version: str, start: int, end: int) -> bytes:
        slots = asyncio.Semaphore(_PARALLEL)

        async def part(first: int, last: int) -> bytes:
            async with slots:
                return (
                    await self.get_object(path, Range=f"bytes={first}-{last - 1}", IfMatch=f'"{etag_of(version)}"')
                )[0]

        try:
            parts = await asyncio.gather(*(part(at, min(at + _PART, end)) for at in range(start, end, _PART)))
        except OSError as error:
            if Failure.of(error).status not in (404, 412) or isinstance(error, StorageError):
                raise
            raise StorageError(
                "The object was replaced or deleted while it was read",
                path=f"s3://{path}",
                hint="Query it again.",
            ) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # -- otherwise than s3fs, which cuts keys, commits what failed, and asks more often -----------------------------

    def split_path(self, path: str) -> tuple[str, str, None]:
        """Bucket and key, whatever characters it has, and no version."""
        bucket, _, key = re.sub("^s3a?://", "", path).lstrip("/").partition("/")
        return bucket, key, None

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> Any:
        if mode == "rb":
            return self.pinned.open_now(path)
        if mode not in ("wb", "xb"):
            raise UnsupportedOperation(f"Objects can't be opened with the mode {mode!r}")
        if mode == "xb" and self.isfile(path):
            raise FileExistsError(path)
        return StagedUpload(path, lambda staged: self.run(self.put_object, staged, path, mode == "xb"))

    async def _isfile(self, path: str) -> bool:
        return await self.head_object(self._strip_protocol(path)) is not None

    async def _isdir(self, path: str) -> bool:
        return bool(await self._lsdir(self._strip_protocol(path).rstrip("/"), max_items=1))

    async def _ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        path, is_folder = self._strip_protocol(path).rstrip("/"), path.endswith("/")
        if "/" not in path:
            return await super()._ls(path, detail=detail, **kwargs)
        found = await self._lsdir(path)
        if not found and not is_folder and await self._isfile(path):
            found = [await self._info(path)]
        if not found:
            raise FileNotFoundError(path)
        return found if detail else sorted(entry["name"] for entry in found)

    async def _rmdir(self, path: str) -> None:
        """A folder is there as long as there are files in it."""

    rmdir = sync_wrapper(_rmdir)  # s3fs binds its own


class _Role:
    """A provider of botocore's chain of credentials: those of a role, taken on anew before they run out."""

    METHOD = "mad-prefect-assume-role"
    CANONICAL_NAME = None

    def __init__(self, source: AioSession, options: S3Options, region: str | None) -> None:
        self._source = source
        self._options = options
        self._region = region

    async def load(self) -> Any:
        more = {"RoleSessionName": "mad-prefect"}
        if self._options.external_id:
            more["ExternalId"] = self._options.external_id.get_secret_value()
        creator = functools.partial(self._source.create_client, region_name=self._region, verify=self._options.checks)
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=creator,
            source_credentials=await self._source.get_credentials(),
            role_arn=self._options.role_arn,
            extra_args=more,
        )
        return AioDeferredRefreshableCredentials(method=self.METHOD, refresh_using=fetcher.fetch_credentials)
