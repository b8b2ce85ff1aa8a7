"""S3 as botocore speaks it. Importing this imports aiobotocore: `storage` does so when the first URL is opened."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials
from aiobotocore.session import AioSession
from botocore import UNSIGNED, exceptions
from botocore.parsers import ResponseParserError

from mad_prefect_core.sdk import Body, Failure, Fault, ObjectClient, ObjectInfo, Page, ReadRequest, StorageError, Upload
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
    "400",  # what a HEAD is answered where the token has expired
)
_BUSY = (
    *("ConditionalRequestConflict", "OperationAborted", "RequestTimeout"),
    *("SlowDown", "Throttling", "ThrottlingException"),
)


class S3Client(ObjectClient):
    """One account on one server. A token is the ETag, and the version's id where the bucket keeps versions."""

    service = "S3"
    scheme = "s3"
    nobodys = "0" * 32
    unanswered = (
        *ObjectClient.unanswered,
        *(exceptions.HTTPClientError, exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError),
        *(exceptions.ProxyConnectionError, ResponseParserError, aiohttp.ClientError),
    )
    nobody = (exceptions.NoCredentialsError,)
    codes = {  # noqa: RUF012  as the base has it
        **dict.fromkeys(_EXPIRED, Fault.REFUSED),
        **dict.fromkeys(_BUSY, Fault.TRANSIENT),
        **dict.fromkeys(("NoSuchBucket", "NoSuchUpload")),
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
    conditional = r"\.amazonaws\.com(\.cn)?(:\d+)?(/|$)"
    options: S3Options

    def __init__(self, options: S3Options) -> None:
        super().__init__(options)
        hide_keys()
        self._session = self._new_session(self.access)
        self._making = asyncio.Lock()
        self._client: Any = None
        self._quotes = True  # whether the server wants quotes around the ETags of conditions
        if options.checks is False:
            logger.warning(
                "The storage 's3' does not check the certificate of %s: with verify=False, anybody on the way can read "
                "and change the data. Give the path of a file of its authorities instead.",
                urlsplit(str(self.access["endpoint_url"] or "")).netloc.rpartition("@")[2] or "AWS",
            )

    def _new_session(self, access: Mapping[str, str | None]) -> AioSession:
        session = AioSession(profile=access["profile"])
        if self.options.role_arn:
            source = AioSession(profile=access["profile"])
            if access["key"]:
                source.set_credentials(access["key"], access["secret"], access["token"])
            provider = _Role(source, self.options, access["region"])
            # First of all: of a profile, botocore leaves out the provider of the environment.
            session.get_component("credential_provider").providers.insert(0, provider)
        elif access["key"]:
            session.set_credentials(access["key"], access["secret"], access["token"])
        return session

    async def who(self) -> tuple[str | None, ...] | None:
        """Key, secret and token as they are now; None for anonymous requests."""
        return None if self.options.anon else await _frozen(self._session)

    async def renew(self) -> None:
        access = await asyncio.to_thread(self.options.access)
        session = self._new_session(access)
        if await _frozen(session) not in (None, await self.who()):
            logger.info("The server refused the old credentials, and there are new ones.")
            async with self._making:
                self.access, self._session, self._client = access, session, None

    async def connected(self) -> Any:
        """The client of botocore."""
        async with self._making:
            if self._client is None:
                self._client = await self.opened.enter_async_context(self._session.create_client("s3", **self._said()))
            return self._client

    def _said(self) -> dict[str, Any]:
        options, access = self.options, self.access
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
        more = options.client_kwargs.get_secret_value() | {"verify": options.checks, "config": AioConfig(**config)}
        return {name: value for name, value in said.items() if value} | more

    def url(self) -> str:
        endpoint = self._client.meta.endpoint_url if self._client is not None else self.access["endpoint_url"]
        return str(endpoint or "S3")

    def disputed(self) -> bool:
        quotes, self._quotes = self._quotes, False  # it compares ours in quotes with its own without: older Ceph
        return quotes

    async def _call(self, method: str, path: str, **named: Any) -> dict[str, Any]:
        client = await self.connected()
        operation = client.meta.method_to_api_mapping[method]
        known = client.meta.service_model.operation_model(operation).input_shape.members
        more = {"RequestPayer": "requester"} if self.options.requester_pays else {}
        more |= self.options.s3_additional_kwargs
        named |= {name: value for name, value in _named(path).items() if name in known}
        answer: dict[str, Any] = await getattr(client, method)(**{n: v for n, v in more.items() if n in known}, **named)
        return answer

    async def head(self, path: str) -> ObjectInfo:
        return _info(await self._call("head_object", path))

    async def get(self, path: str, wanted: ReadRequest) -> tuple[bytes, ObjectInfo]:
        named = {"Range": wanted.range} if wanted.range else {}
        named |= {"IfMatch": f'"{_etag(wanted.version)}"'} if wanted.version else {}
        named |= {"IfNoneMatch": f'"{_etag(wanted.unless)}"'} if wanted.unless else {}
        answer = await self._call("get_object", path, **named)
        async with answer["Body"] as body:
            return await body.read(), _info(answer)

    async def put(self, path: str, data: Body, metadata: Mapping[str, str], expected: str | None) -> str:
        condition = {}
        if expected is not None:
            etag = f'"{_etag(expected)}"' if self._quotes else _etag(expected)
            condition = {"IfMatch": etag} if expected else {"IfNoneMatch": "*"}
        more = {"Metadata": dict(metadata), **condition} if metadata else condition
        return _token(await self._call("put_object", path, Body=data, ContentMD5=await data.md5(), **more))

    async def begin(self, path: str, upload: Upload) -> None:
        answer = await self._call("create_multipart_upload", path, Metadata=upload.metadata)
        upload.state = answer["UploadId"]

    async def send(self, path: str, upload: Upload, number: int, start: int, data: Body) -> Any:
        named = {"UploadId": upload.state, "PartNumber": number, "Body": data, "ContentMD5": await data.md5()}
        return {"PartNumber": number, "ETag": (await self._call("upload_part", path, **named))["ETag"]}

    async def finish(self, path: str, upload: Upload, parts: Sequence[Any]) -> None:
        named = {"IfNoneMatch": "*"} if upload.create else {}
        whole = {"UploadId": upload.state, "MultipartUpload": {"Parts": list(parts)}}
        await self._call("complete_multipart_upload", path, **whole, **named)

    async def abandon(self, path: str, upload: Upload) -> None:
        await self._call("abort_multipart_upload", path, UploadId=upload.state)

    async def copy(self, path: str, source: str) -> str:
        answer = await self._call("copy_object", path, CopySource=_named(source))
        return _token({**answer, **answer.get("CopyObjectResult", {})})

    async def send_copy(self, path: str, upload: Upload, number: int, source: str, wanted: ReadRequest) -> Any:
        named = {"UploadId": upload.state, "PartNumber": number, "CopySourceRange": wanted.range}
        named |= {"CopySource": _named(source), "CopySourceIfMatch": f'"{_etag(wanted.version or "")}"'}
        answer = await self._call("upload_part_copy", path, **named)
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    async def page(self, folder: str, *, flat: bool, most: int | None, after: str | None) -> Page:
        bucket, _, prefix = folder.partition("/")
        named: dict[str, Any] = {} if flat else {"Delimiter": "/"}
        named |= {"MaxKeys": most} if most else {}
        named |= {"ContinuationToken": after} if after else {}
        answer = await self._call("list_objects_v2", bucket, Prefix=prefix, **named)
        answer["IsTruncated"]  # all lists say it
        found = [(f"{bucket}/{entry['Key']}", _info(entry)) for entry in answer.get("Contents", ())]
        folders = [f"{bucket}/{entry['Prefix'].rstrip('/')}" for entry in answer.get("CommonPrefixes", ())]
        return Page(found, folders, answer.get("NextContinuationToken"))

    async def delete(self, path: str) -> None:
        await self._call("delete_object", path)

    async def sign(self, path: str, seconds: int) -> str:
        client = await self.connected()
        return str(await client.generate_presigned_url("get_object", Params=_named(path), ExpiresIn=seconds))

    def failure(self, error: BaseException) -> Failure | None:
        if not isinstance(error, exceptions.ClientError):
            return None
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Failure(status, str(said.get("Code", "")), str(said.get("Message") or ""))

    def hint(self, error: BaseException, said: Failure) -> str | None:
        hint = super().hint(error, said)
        if hint in (_REGION, _UNSAID) and isinstance(error, exceptions.ClientError):
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            if region := headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region"):
                return f"The bucket is in the region {region}: give it with the option region or in AWS_REGION."
        return hint

    def told(self, error: BaseException, request: str, path: str, attempts: int) -> BaseException:
        if isinstance(error, exceptions.BotoCoreError) and not isinstance(error, (*self.unanswered, *self.nobody)):
            text = f"botocore can't ask {self.server()}: {error}"
            return StorageError(text, path=f"s3://{path}", hint="Check the options.")
        return super().told(error, request, path, attempts)


@dataclass
class _Role:
    """A provider of botocore's chain of credentials: those of a role, taken on anew before they run out."""

    METHOD: ClassVar = "mad-prefect-assume-role"
    CANONICAL_NAME: ClassVar = None
    source: AioSession
    options: S3Options
    region: str | None

    async def load(self) -> Any:
        more = {"RoleSessionName": "mad-prefect"}
        if self.options.external_id:
            more["ExternalId"] = self.options.external_id.get_secret_value()
        creator = functools.partial(self.source.create_client, region_name=self.region, verify=self.options.checks)
        credentials = await self.source.get_credentials()
        fetcher = AioAssumeRoleCredentialFetcher(creator, credentials, self.options.role_arn, extra_args=more)
        return AioDeferredRefreshableCredentials(method=self.METHOD, refresh_using=fetcher.fetch_credentials)


async def _frozen(session: AioSession) -> tuple[str | None, ...] | None:
    found = await session.get_credentials()
    return None if found is None else tuple(await found.get_frozen_credentials())


def _named(path: str) -> dict[str, str]:
    bucket, _, key = path.partition("/")
    return {"Bucket": bucket, "Key": key}


def _info(answer: Mapping[str, Any]) -> ObjectInfo:
    whole = str(answer.get("ContentRange", "")).rpartition("/")[2]
    size = int(whole or answer.get("ContentLength", answer.get("Size", 0)))
    named = {name: answer[name] for name in ("ETag", "LastModified", "StorageClass", "VersionId") if name in answer}
    return ObjectInfo(size, _token(answer), answer.get("Metadata", {}), answer.get("LastModified"), named)


def _token(answer: Mapping[str, Any]) -> str:
    etag, version = answer["ETag"].strip('"'), answer.get("VersionId")
    return f"{etag}@{version}" if version and version != "null" else etag


def _etag(token: str) -> str:
    """The ETag in a token, without quotes."""
    return token.partition("@")[0]
