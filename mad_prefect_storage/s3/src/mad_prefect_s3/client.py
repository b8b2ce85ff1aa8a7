"""S3 as botocore speaks it. Importing this imports aiobotocore: `storage` does so when the first URL is opened."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore import UNSIGNED
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

from mad_prefect_core.sdk import Body, Failure, Fault, ObjectClient, ObjectInfo, Page, StorageError
from mad_prefect_s3.logs import hide_keys
from mad_prefect_s3.options import S3Options

__all__ = ["S3Client"]

logger = logging.getLogger(__name__)

_DENIED = (
    "The credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket; without the last, also an "
    "object that is not there is refused."
)
_REGION = "Name the bucket's region with the option region or in AWS_REGION."
_UNSAID = "To a HEAD the server does not say why. Check the region, and whether the credentials have expired."
_EXPIRED = (
    *("AccessDenied", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId"),
    *("InvalidToken", "RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired"),
)


class S3Client(ObjectClient):
    """One account on one server. A token is the ETag, and the version's id where the bucket keeps versions."""

    scheme = "s3"
    nobodys = "0" * 32
    unanswered = (
        *ObjectClient.unanswered,
        *(HTTPClientError, EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, ResponseParserError),
        aiohttp.ClientError,
    )
    nobody = (NoCredentialsError,)
    codes = {  # noqa: RUF012  as the base has it
        **dict.fromkeys(_EXPIRED, Fault.REFUSED),
        "400": Fault.REFUSED,  # what a HEAD is answered where the token has expired
        "ConditionalRequestConflict": Fault.TRANSIENT,
        "OperationAborted": Fault.TRANSIENT,
        "RequestTimeout": Fault.TRANSIENT,
        "SlowDown": Fault.TRANSIENT,
        "Throttling": Fault.TRANSIENT,
        "ThrottlingException": Fault.TRANSIENT,
        "NoSuchBucket": None,
        "NoSuchUpload": None,
    }
    hints = {  # noqa: RUF012  as the base has it
        301: _REGION,
        403: _DENIED,
        "400": _UNSAID,
        "credentials": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the option anon.",
        "AuthorizationHeaderMalformed": _REGION,
        "ExpiredToken": "The credentials have expired, and there are no newer ones. Log in again.",
        "InvalidAccessKeyId": "The server does not know this access key. Check the credentials and the endpoint.",
        "NoSuchBucket": "Make the bucket, or correct its name: mad-prefect makes none.",
        "PermanentRedirect": _REGION,
        "RequestTimeTooSkewed": "Set this machine's clock.",
        "SignatureDoesNotMatch": "The secret key does not belong to the access key, or the endpoint is another one.",
    }
    copy_part = 128 * 2**20
    options: S3Options

    def __init__(self, options: S3Options) -> None:
        super().__init__(options)
        hide_keys()
        self._access = options.access()
        self._session = self._new_session(self._access)
        self._making = asyncio.Lock()
        self._open = AsyncExitStack()
        self._client: Any = None
        self._quotes = True  # whether the server wants quotes around the ETags of conditions
        if options.checks is False:
            logger.warning(
                "The storage 's3' does not check the certificate of %s: with verify=False, anybody on the way can read "
                "and change the data. Give the path of a file of its authorities instead.",
                urlsplit(str(self._access["endpoint_url"] or "")).netloc.rpartition("@")[2] or "AWS",
            )

    # -- who asks ------------------------------------------------------------------------------------------------------

    def _new_session(self, access: Mapping[str, str | None]) -> AioSession:
        session = AioSession(profile=access["profile"])
        if self.options.role_arn:
            source = AioSession(profile=access["profile"])
            if access["key"]:
                source.set_credentials(access["key"], access["secret"], access["token"])
            provider = _Role(source, self.options, access["region"])
            session.get_component("credential_provider").insert_before("env", provider)
        elif access["key"]:
            session.set_credentials(access["key"], access["secret"], access["token"])
        return session

    async def who(self) -> tuple[str | None, ...] | None:
        """Key, secret and token as they are now; None for anonymous requests."""
        return None if self.options.anon else await _frozen(self._session)

    async def renewed(self, used: Any) -> bool:
        if await self.who() != used:
            return True  # another task was quicker
        access = await asyncio.to_thread(self.options.access)
        session = self._new_session(access)
        if await _frozen(session) in (None, used):
            return False
        logger.info("The server refused the old credentials, and there are new ones.")
        async with self._making:
            # Requests that are under way go on with the old client.
            self._access, self._session, self._client = access, session, None
        return True

    async def connected(self) -> Any:
        """The client of botocore."""
        async with self._making:
            if self._client is None:
                self._client = await self._open.enter_async_context(self._session.create_client("s3", **self._said()))
            return self._client

    def _said(self) -> dict[str, Any]:
        options, access = self.options, self._access
        config = {
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "connect_timeout": options.connect_timeout,
            "read_timeout": options.read_timeout,
            "max_pool_connections": 32,
            "s3": {"addressing_style": options.addressing_style},
            # Content-MD5 is what every server checks; many choke on the checksums that botocore adds by itself.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            **({"signature_version": UNSIGNED} if options.anon else {}),
            **options.config_kwargs,
        }
        said = {"region_name": access["region"], "endpoint_url": access["endpoint_url"]}
        given = {name: value for name, value in said.items() if value}
        given |= options.client_kwargs.get_secret_value() | {"verify": options.checks}
        return {**given, "config": AioConfig(**config)}

    def server(self) -> str:
        endpoint = self._client.meta.endpoint_url if self._client is not None else self._access["endpoint_url"]
        return re.sub(r"//[^/@]*@", "//", str(endpoint or "S3"))

    def is_amazon(self) -> bool:
        """Whether the server is AWS itself."""
        return re.search(r"\.amazonaws\.com(\.cn)?(:\d+)?(/|$)", self.server()) is not None

    def knows_conditions(self, bucket: str) -> bool:
        return self.is_amazon()

    def disputed(self) -> bool:
        quotes, self._quotes = self._quotes, False  # it compares ours in quotes with its own without: older Ceph
        return quotes

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _call(self, method: str, path: str, **named: Any) -> dict[str, Any]:
        client = await self.connected()
        operation = client.meta.method_to_api_mapping[method]
        known = client.meta.service_model.operation_model(operation).input_shape.members
        more = {"RequestPayer": "requester"} if self.options.requester_pays else {}
        more |= self.options.s3_additional_kwargs
        bucket, _, key = path.partition("/")
        named |= {"Bucket": bucket} | ({"Key": key} if "Key" in known else {})
        answer: dict[str, Any] = await getattr(client, method)(**{n: v for n, v in more.items() if n in known}, **named)
        return answer

    async def head(self, path: str) -> ObjectInfo:
        return _info(await self._call("head_object", path))

    async def get(
        self, path: str, *, span: tuple[int, int] | None = None, tail: int | None = None, version: str | None = None,
        unless: str | None = None,
    ) -> tuple[bytes, ObjectInfo] | None:  # fmt: skip
        named = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span else {"Range": f"bytes=-{tail}"} if tail else {}
        named |= {"IfMatch": f'"{_etag(version)}"'} if version else {}
        named |= {"IfNoneMatch": f'"{_etag(unless)}"'} if unless else {}
        try:
            answer = await self._call("get_object", path, **named)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status not in (304, 416):
                raise
            return None if status == 304 else (b"", await self.head(path))
        async with answer["Body"] as body:
            return await body.read(), _info(answer)

    async def put(self, path: str, data: Body, metadata: Mapping[str, str], expected: str | None) -> str:
        condition = {}
        if expected is not None:
            etag = f'"{_etag(expected)}"' if self._quotes else _etag(expected)
            condition = {"IfMatch": etag} if expected else {"IfNoneMatch": "*"}
        more = {"Metadata": dict(metadata), **condition} if metadata else condition
        return _token(await self._call("put_object", path, Body=data, ContentMD5=await _md5(data), **more))

    async def begin(self, path: str, size: int, metadata: Mapping[str, str], create: bool, md5: Any) -> Any:
        begun = await self._call("create_multipart_upload", path, Metadata=dict(metadata))
        return begun["UploadId"], {"IfNoneMatch": "*"} if create else {}

    async def send(self, path: str, upload: Any, number: int, start: int, data: Body) -> Any:
        named = {"UploadId": upload[0], "PartNumber": number, "Body": data, "ContentMD5": await _md5(data)}
        return {"PartNumber": number, "ETag": (await self._call("upload_part", path, **named))["ETag"]}

    async def finish(self, path: str, upload: Any, parts: Sequence[Any]) -> None:
        whole = {"UploadId": upload[0], "MultipartUpload": {"Parts": list(parts)}}
        await self._call("complete_multipart_upload", path, **whole, **upload[1])

    async def abandon(self, path: str, upload: Any) -> None:
        await self._call("abort_multipart_upload", path, UploadId=upload[0])

    async def copy(self, path: str, source: str) -> str:
        answer = await self._call("copy_object", path, CopySource=_source(source))
        return _token({**answer, **answer.get("CopyObjectResult", {})})

    async def send_copy(
        self, path: str, upload: Any, number: int, source: str, of: ObjectInfo, span: tuple[int, int]
    ) -> Any:
        named = {"UploadId": upload[0], "PartNumber": number, "CopySourceRange": f"bytes={span[0]}-{span[1] - 1}"}
        named |= {"CopySource": _source(source), "CopySourceIfMatch": f'"{_etag(of.token)}"'}
        answer = await self._call("upload_part_copy", path, **named)
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    async def page(self, folder: str, *, flat: bool, most: int | None, after: str | None) -> Page:
        bucket, _, prefix = folder.partition("/")
        named: dict[str, Any] = {} if flat else {"Delimiter": "/"}
        named |= {"MaxKeys": most} if most else {}
        named |= {"ContinuationToken": after} if after else {}
        answer = await self._call("list_objects_v2", bucket, Prefix=prefix, **named)
        if "IsTruncated" not in answer:
            raise _strange("how much there is")
        found = [(f"{bucket}/{entry['Key']}", _info(entry)) for entry in answer.get("Contents", ())]
        folders = [f"{bucket}/{entry['Prefix'].rstrip('/')}" for entry in answer.get("CommonPrefixes", ())]
        return Page(found, folders, answer.get("NextContinuationToken"))

    async def delete(self, path: str) -> None:
        await self._call("delete_object", path)

    async def sign(self, path: str, seconds: int) -> str:
        client = await self.connected()
        url: str = await client.generate_presigned_url("get_object", Params=_source(path), ExpiresIn=seconds)
        return url

    async def close(self) -> None:
        await self._open.aclose()
        self._client = None

    # -- what failed ---------------------------------------------------------------------------------------------------

    def failure(self, error: BaseException) -> Failure | None:
        if not isinstance(error, ClientError):
            return None
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Failure(status, str(said.get("Code", "")), str(said.get("Message") or ""))

    def hint(self, error: BaseException, said: Failure) -> str | None:
        hint = super().hint(error, said)
        if hint in (_REGION, _UNSAID) and isinstance(error, ClientError):
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            if region := headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region"):
                return f"The bucket is in the region {region}: give it with the option region or in AWS_REGION."
        return hint

    def told(self, error: BaseException, request: str, path: str, attempts: int) -> BaseException:
        if isinstance(error, BotoCoreError) and not isinstance(error, (*self.unanswered, *self.nobody)):
            text = f"botocore can't ask {self.server()}: {error}"
            return StorageError(text, path=f"s3://{path}", hint="Check the options.")
        return super().told(error, request, path, attempts)


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


async def _frozen(session: AioSession) -> tuple[str | None, ...] | None:
    found = await session.get_credentials()
    return None if found is None else tuple(await found.get_frozen_credentials())


async def _md5(data: Body) -> str:
    """As the header Content-MD5 has it; every server checks that one."""
    digest = await asyncio.to_thread(lambda: hashlib.md5(data.getbuffer(), usedforsecurity=False).digest())
    return base64.b64encode(digest).decode()


def _source(path: str) -> dict[str, str]:
    bucket, _, key = path.partition("/")
    return {"Bucket": bucket, "Key": key}


def _info(answer: Mapping[str, Any]) -> ObjectInfo:
    whole = str(answer.get("ContentRange", "")).rpartition("/")[2]
    size = int(whole or answer.get("ContentLength", answer.get("Size", 0)))
    named = {name: answer[name] for name in ("ETag", "LastModified", "StorageClass", "VersionId") if name in answer}
    return ObjectInfo(size, _token(answer), answer.get("Metadata", {}), answer.get("LastModified"), named)


def _strange(missing: str) -> StorageError:
    return StorageError(
        f"The server does not answer as S3 does: it does not tell {missing}", hint="Check the endpoint."
    )


def _token(answer: Mapping[str, Any]) -> str:
    if not answer.get("ETag"):
        raise _strange("an ETag")
    version = answer.get("VersionId")
    etag = str(answer["ETag"]).strip('"')
    return f"{etag}@{version}" if version and version != "null" else etag


def _etag(token: str) -> str:
    """The ETag in a token, without quotes."""
    return token.partition("@")[0]
