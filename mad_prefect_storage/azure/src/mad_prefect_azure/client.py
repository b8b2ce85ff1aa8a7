"""Azure Blob Storage by Azure's own library, which is imported when the first URL is opened."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, IncompleteReadError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobPrefix, BlobServiceClient

from mad_prefect_azure.options import AzureOptions
from mad_prefect_core.sdk import Body, Failure, ObjectClient, ObjectInfo, OptionError, Page, ReadRequest, Upload

__all__ = ["AzureClient"]

_SIZES = {"max_single_get_size": 64 * 2**20, "max_single_put_size": 5000 * 2**20}  # bytes of one request


class _Transport(AioHttpTransport):  # type: ignore[misc]  # it is not typed
    """Sends each request once."""

    async def open(self) -> None:
        await super().open()
        # aiohttp would send a request again by itself whose answer was lost, and nobody would know that it did.
        self.session._retry_connection = False

    async def send(self, request: Any, *, sent: Body | None = None, **named: Any) -> Any:
        request.data = Body(sent.getvalue(), sent.moved) if sent else request.data  # each time from the start
        return await super().send(request, **named)


class AzureClient(ObjectClient):
    """One account. A bucket is a container, a token the ETag."""

    service = "Azure"
    scheme = "az"
    in_url = True
    nobodys = '"0x0"'
    unanswered = (*ObjectClient.unanswered, AzureError)
    strange = (*ObjectClient.strange, AttributeError, ValueError)
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
    tails = False
    conditional = r"\.blob\."
    options: AzureOptions

    def connect(self) -> None:
        said, given = self.access, self.host.partition(".")[0] or self.options.account_name
        name = given or said["account_name"]
        who: Any = None
        principal = [said[each] for each in ("tenant_id", "client_id", "client_secret")]
        if said["account_key"]:
            who = {"account_name": name, "account_key": said["account_key"]}
        elif said["sas_token"]:
            who = AzureSasCredential(said["sas_token"])
        elif not (said["anon"] or said["connection_string"]):
            who = ClientSecretCredential(*principal) if any(principal) else DefaultAzureCredential()
            self.opened.push_async_callback(who.close)
        limits = {"connection_timeout": self.options.connect_timeout, "read_timeout": self.options.read_timeout}
        named: dict[str, Any] = {"transport": _Transport(**limits), "retry_total": 0, **_SIZES}
        if said["connection_string"]:
            self._service = BlobServiceClient.from_connection_string(said["connection_string"], who, **named)
            if given and self._service.account_name != given:
                hint = f"It is for the account {self._service.account_name!r}, and {given!r} is named."
                raise OptionError("The connection string belongs to another account", hint=hint)
        elif name or said["endpoint_url"]:
            host = self.host.replace(".dfs.", ".blob.") or f"{name}.blob.core.windows.net"
            self._service = BlobServiceClient(said["endpoint_url"] or f"https://{host}", who, **named)
        else:
            hint = "Give the option account_name or connection_string, or write abfs://container@account.host/folder."
            raise OptionError("No account of Azure is named", hint=hint)
        self.opened.push_async_callback(self._service.close)

    def url(self) -> str:
        return str(self._service.url)

    def _blob(self, path: str) -> Any:
        return self._service.get_blob_client(*path.split("/", 1))

    async def head(self, path: str) -> ObjectInfo:
        return _info(await self._blob(path).get_blob_properties())

    async def get(self, path: str, wanted: ReadRequest) -> tuple[bytes, ObjectInfo]:
        first, last = wanted.span or (0, 0)
        named: dict[str, Any] = {"offset": first, "length": last - first} if last else {}
        named |= _if(MatchConditions.IfNotModified, wanted.version) | _if(MatchConditions.IfModified, wanted.unless)
        found = await self._blob(path).download_blob(**named)
        return await found.readall(), _info(found.properties)

    async def put(self, path: str, data: Body, metadata: Mapping[str, str], expected: str | None) -> str:
        named = {"metadata": dict(metadata), "overwrite": expected != "", "validate_content": True, "sent": data}
        named |= _if(MatchConditions.IfNotModified, expected)
        return str((await self._blob(path).upload_blob(data.getvalue(), **named))["etag"] or "")

    # Azure throws blocks away after a week, or when the blob is written.
    async def send(self, path: str, upload: Upload, number: int, start: int, data: Body) -> BlobBlock:
        block = f"{upload.mark}-{number:06}"  # apart from those of others who write the blob
        await self._blob(path).stage_block(block, data.getvalue(), validate_content=True, sent=data)
        return BlobBlock(block)

    async def finish(self, path: str, upload: Upload, parts: Sequence[BlobBlock]) -> None:
        condition = {"match_condition": MatchConditions.IfMissing} if upload.create else {}
        await self._blob(path).commit_block_list(list(parts), metadata=dict(upload.metadata), **condition)

    async def copy(self, path: str, source: str) -> str | None:
        blob = self._blob(path)
        answer = await blob.start_copy_from_url(self._blob(source).url)
        state = answer["copy_status"]
        while state == "pending":
            await asyncio.sleep(0.2)  # seconds
            state = (await blob.get_blob_properties()).copy.status
        if state != "success":
            raise HttpResponseError(f"The copy ended as {state}")
        return str(answer["etag"] or "") or None

    async def page(self, folder: str, *, flat: bool, most: int | None, after: str | None) -> Page:
        container, _, prefix = folder.partition("/")
        client = self._service.get_container_client(container)
        listed = client.list_blobs if flat else client.walk_blobs
        pages: Any = listed(prefix, include=["metadata"], results_per_page=most).by_page(after)
        found: list[Any] = [entry async for entry in await anext(pages)]
        folders = [f"{container}/{each.name.rstrip('/')}" for each in found if isinstance(each, BlobPrefix)]
        blobs = [each for each in found if not isinstance(each, BlobPrefix)]
        files = [each for each in blobs if (each.metadata or {}).get("hdi_isfolder") != "true"]
        return Page([(f"{container}/{each.name}", _info(each)) for each in files], folders, pages.continuation_token)

    async def delete(self, path: str) -> None:
        await self._blob(path).delete_blob()

    def failure(self, error: BaseException) -> Failure | None:
        if not isinstance(error, HttpResponseError) or isinstance(error, IncompleteReadError):
            return None
        code, text = getattr(error, "error_code", None), error.message.partition("\n")[0]
        return Failure(error.status_code or 0, str(getattr(code, "value", code) or ""), text)

    def no_token(self, error: BaseException) -> str | None:
        answer = getattr(error, "response", None)
        own = answer is not None and self._service.primary_hostname in answer.request.url
        if own or not isinstance(error, ClientAuthenticationError):
            return None
        # A chain of credentials ends where one fails for another reason than that it is not set up.
        chain = getattr(self._service.credential, "credentials", ())
        tried = re.findall(r"^\t(\w+: .*)", error.message, re.MULTILINE) or [error.message.partition("\n")[0]]
        return "" if len(tried) == len(chain) else tried[-1]


def _if(condition: MatchConditions, version: str | None) -> dict[str, Any]:
    return {"etag": version, "match_condition": condition} if version else {}


def _info(said: Any) -> ObjectInfo:
    named = {"etag": said.etag, "last_modified": said.last_modified}
    whole = (said.content_range or "").rpartition("/")[2]  # its `size` is that of the range that was asked for
    return ObjectInfo(int(whole or said.size), said.etag or "", said.metadata or {}, said.last_modified, named)
