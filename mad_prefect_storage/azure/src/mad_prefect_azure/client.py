"""Azure Blob Storage by Azure's own library, which is imported when the first URL is opened."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    IncompleteReadError,
    ResourceModifiedError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import CredentialUnavailableError
from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobPrefix, BlobServiceClient

from mad_prefect_azure.options import AzureOptions
from mad_prefect_core.sdk import (
    Body,
    Failure,
    ObjectClient,
    ObjectInfo,
    OptionError,
    Page,
    RefusedError,
    StorageError,
    without_password,
)

__all__ = ["AzureClient"]

_AT_ONCE = 64 * 2**20  # bytes that one request brings
_POLL = 0.2  # seconds


class _Transport(AioHttpTransport):  # type: ignore[misc]  # it is not typed
    """Sends each request once."""

    async def open(self) -> None:
        await super().open()
        # aiohttp would send a request again by itself whose answer was lost, and nobody would know that it did.
        self.session._retry_connection = False


class AzureClient(ObjectClient):
    """One account. A bucket is a container, a token the ETag."""

    scheme = "az"
    in_url = True
    nobodys = '"0x0"'
    unanswered = (*ObjectClient.unanswered, AzureError)
    nobody = (CredentialUnavailableError,)
    codes = dict.fromkeys(  # 404, 409 and 412, and nothing to be compared with
        ("BlobImmutableDueToPolicy", "ContainerBeingDeleted", "ContainerNotFound", "LeaseIdMissing", "SnapshotsPresent")
    )
    discarded = frozenset({"InvalidBlockList"})  # others who write the blob meanwhile discard all blocks of it
    hints = {  # noqa: RUF012  as the base has it
        403: "The credentials need the role Storage Blob Data Contributor, or a SAS token the permissions racwdl.",
        "AuthenticationFailed": "The key or token is wrong or has expired, or this machine's clock is.",
        "credentials": "Give the options account_key, sas_token or connection_string, or log in by `az login`.",
        "ContainerNotFound": "Make the container, or correct its name: mad-prefect makes none.",
    }
    part = 4 * 2**20
    most_parts = 50_000
    options: AzureOptions

    def __init__(self, options: AzureOptions, host: str) -> None:
        super().__init__(options)
        self._host = host
        self._access = options.access()
        self._opened: list[Any] = []
        self._service = self._new_service()

    def _new_service(self) -> BlobServiceClient:
        said, name = self._access, self._host.partition(".")[0] or self._access["account_name"]
        who: Any = None
        principal = [said[each] for each in ("tenant_id", "client_id", "client_secret")]
        if said["account_key"]:
            who = {"account_name": name, "account_key": said["account_key"]}
        elif said["sas_token"]:
            who = AzureSasCredential(said["sas_token"])
        elif not (said["anon"] or said["connection_string"]):
            who = ClientSecretCredential(*principal) if all(principal) else DefaultAzureCredential()
            self._opened.append(who)
        limits = {"connection_timeout": self.options.connect_timeout, "read_timeout": self.options.read_timeout}
        named: dict[str, Any] = {"max_single_put_size": _AT_ONCE, "max_single_get_size": _AT_ONCE, "retry_total": 0}
        named |= {"transport": _Transport(**limits)}
        if said["connection_string"]:
            service = BlobServiceClient.from_connection_string(said["connection_string"], who, **named)
            if self._host and service.account_name != name:
                hint = f"It is for the account {service.account_name!r}, and the URL names {name!r}."
                raise OptionError("The connection string belongs to another account", hint=hint)
        elif name or said["endpoint_url"]:
            host = self._host.replace(".dfs.", ".blob.") or f"{name}.blob.core.windows.net"
            service = BlobServiceClient(without_password(said["endpoint_url"] or f"https://{host}"), who, **named)
        else:
            hint = "Give the option account_name or connection_string, or write abfs://container@account.host/folder."
            raise OptionError("No account of Azure is named", hint=hint)
        self._opened.append(service)
        return service

    def server(self) -> str:
        return without_password(self._service.url.partition("?")[0].rstrip("/"))

    def knows_conditions(self, bucket: str) -> bool:
        return ".blob." in self.server()

    async def who(self) -> Any:
        """What options, block and environment said; None for anonymous requests."""
        return self._access if not self._access["anon"] else None

    async def renewed(self, used: Any) -> bool:
        if self._access is not used:
            return True  # another task was quicker
        access = await asyncio.to_thread(self.options.access)
        if access == used:
            return False
        self._access = access
        self._service = self._new_service()  # requests that are under way go on with the old one
        return True

    def _blob(self, path: str) -> Any:
        container, _, key = path.partition("/")
        return self._service.get_blob_client(container, key)

    # -- requests ------------------------------------------------------------------------------------------------------

    async def head(self, path: str) -> ObjectInfo:
        return _info(await self._blob(path).get_blob_properties())

    async def get(
        self, path: str, *, span: tuple[int, int] | None = None, tail: int | None = None, version: str | None = None,
        unless: str | None = None,
    ) -> tuple[bytes, ObjectInfo] | None:  # fmt: skip
        first, last = span or (0, tail or 0)  # there are no ranges from the end: most objects are no longer than a tail
        named: dict[str, Any] = {"offset": first, "length": last - first} if last else {}
        named |= _only(version) | ({"etag": unless, "match_condition": MatchConditions.IfModified} if unless else {})
        try:
            found = await self._blob(path).download_blob(**named)
        except HttpResponseError as error:
            if error.status_code != 304:
                raise
            return None
        except ValueError as error:  # there is no Content-Range
            raise _strange() from error
        info = _info(found.properties)
        if tail and info.size > tail:
            try:
                return await self.get(path, span=(info.size - tail, info.size), version=info.token)
            except ResourceModifiedError:  # since then
                return await self.get(path, tail=tail, unless=unless)
        return await found.readall(), info

    async def put(self, path: str, data: Body, metadata: Mapping[str, str], expected: str | None) -> str:
        named = {"metadata": dict(metadata), "validate_content": True, "overwrite": expected != "", **_only(expected)}
        return _token((await self._blob(path).upload_blob(data.getvalue(), **named))["etag"])

    async def begin(self, path: str, size: int, metadata: Mapping[str, str], create: bool, md5: Any) -> Any:
        condition = {"match_condition": MatchConditions.IfMissing} if create else {}
        return os.urandom(16).hex(), {"metadata": dict(metadata), **condition}

    async def send(self, path: str, upload: Any, number: int, start: int, data: Body) -> BlobBlock:
        block = f"{upload[0]}-{number:06}"  # apart from those of others who write the blob
        await self._blob(path).stage_block(block, data.getvalue(), validate_content=True)
        return BlobBlock(block)

    async def finish(self, path: str, upload: Any, parts: Sequence[BlobBlock]) -> None:
        await self._blob(path).commit_block_list(list(parts), **upload[1])

    async def abandon(self, path: str, upload: Any) -> None:
        """Azure throws blocks away after a week, or when the blob is written."""

    async def copy(self, path: str, source: str) -> str:
        blob = self._blob(path)
        answer = await blob.start_copy_from_url(self._blob(source).url)
        state = answer["copy_status"]
        while state == "pending":
            await asyncio.sleep(_POLL)
            state = (await blob.get_blob_properties()).copy.status
        if state != "success":
            raise HttpResponseError(f"The copy ended as {state}")
        return _token(answer["etag"])

    async def page(self, folder: str, *, flat: bool, most: int | None, after: str | None) -> Page:
        container, _, prefix = folder.partition("/")
        client = self._service.get_container_client(container)
        listed = client.list_blobs if flat else client.walk_blobs
        pages: Any = listed(prefix, include=["metadata"], results_per_page=most).by_page(after)
        try:
            found: list[Any] = [entry async for entry in await anext(pages)]
        except AttributeError as error:  # there is no body
            raise _strange() from error
        folders = [f"{container}/{each.name.rstrip('/')}" for each in found if isinstance(each, BlobPrefix)]
        blobs = [each for each in found if not isinstance(each, BlobPrefix)]
        files = [each for each in blobs if (each.metadata or {}).get("hdi_isfolder") != "true"]
        return Page([(f"{container}/{each.name}", _info(each)) for each in files], folders, pages.continuation_token)

    async def delete(self, path: str) -> None:
        await self._blob(path).delete_blob()

    async def close(self) -> None:
        for opened in self._opened:
            await opened.close()

    # -- what failed ---------------------------------------------------------------------------------------------------

    def failure(self, error: BaseException) -> Failure | None:
        if not isinstance(error, HttpResponseError) or isinstance(error, IncompleteReadError):
            return None
        code, text = getattr(error, "error_code", None), error.message.partition("\n")[0]
        return Failure(error.status_code or 0, str(getattr(code, "value", code) or ""), text)

    def told(self, error: BaseException, request: str, path: str, attempts: int) -> BaseException:
        answer = getattr(error, "response", None)
        if not isinstance(error, ClientAuthenticationError) or (
            answer is not None and self._service.primary_hostname in answer.request.url
        ):
            return super().told(error, request, path, attempts)
        # A chain of credentials ends where one fails for another reason than that it is not set up.
        chain = getattr(self._service.credential, "credentials", ())
        tried = re.findall(r"^\t(\w+: .*)", error.message, re.MULTILINE)
        if chain and len(tried) == len(chain):
            return super().told(CredentialUnavailableError(), request, path, attempts)
        reason = tried[-1] if tried else error.message.partition("\n")[0]
        return RefusedError(
            f"The credentials for {self.server()} are of no use: {reason}",
            path=f"az://{path}",
            hint="Check the credentials.",
        )


def _only(version: str | None) -> dict[str, Any]:
    return {"etag": version, "match_condition": MatchConditions.IfNotModified} if version else {}


def _info(said: Any) -> ObjectInfo:
    named = {"etag": said.etag, "last_modified": said.last_modified}
    whole = (said.content_range or "").rpartition("/")[2]  # its `size` is that of the range that was asked for
    return ObjectInfo(int(whole or said.size), _token(said.etag), said.metadata or {}, said.last_modified, named)


def _token(etag: str | None) -> str:
    if not etag:
        raise _strange()
    return etag


def _strange() -> StorageError:
    return StorageError("The server does not answer as Azure does", hint="Check the endpoint.")
