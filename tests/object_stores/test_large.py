"""Results on object stores that are larger than one request may carry or copy, on each server."""

from __future__ import annotations

import hashlib
import mmap
import re
from typing import Any
from urllib.parse import unquote

import pytest
from large_results import LIMIT, MEBIBYTE, LargeResultTests
from moto.s3.models import FakeKey


def mapped(key: Any) -> mmap.mmap | None:
    """The bytes of a large object of moto's where they are, on disk."""
    if key.contentsize < 16 * MEBIBYTE:
        return None
    with key.lock:
        key._value_buffer.flush()
        return mmap.mmap(key._value_buffer.fileno(), 0, access=mmap.ACCESS_READ)


class Amazon:
    """A proxy's ear: refuses what AWS refuses for its size."""

    def __init__(self, bucket: Any) -> None:
        self._client = bucket.server.client()
        self._ask = bucket.proxy.ask
        bucket.proxy.ask = self

    def __call__(self, method: str, path: str, body: bytes, headers: Any) -> Any:
        source = unquote(headers.get("x-amz-copy-source", "")).lstrip("/")
        if source and "uploadId=" not in path:
            bucket, _, key = source.partition("/")
            if self._client.head_object(Bucket=bucket, Key=key)["ContentLength"] > LIMIT:
                return self._refusal("InvalidRequest", "The specified copy source is larger than the maximum allowable")
        if method == "PUT" and len(body) > LIMIT:
            return self._refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        return self._ask(method, path, body, headers)

    def _refusal(self, code: str, message: str) -> Any:
        answer = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        return 400, [("Content-Type", "application/xml")], answer.encode()


class TestS3(LargeResultTests):
    limits = {"mad_prefect_s3.client:S3Client": {"copy_part": 24 * MEBIBYTE}}

    @pytest.fixture(autouse=True)
    def _moto_has_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It would hold an object four times over, of which two are for a checksum that nobody asked for, and read all
        of it for each of its ranges."""
        monkeypatch.setenv("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", str(MEBIBYTE))
        monkeypatch.setattr("moto.s3.models.MultipartChecksumBuilder.addPart", lambda *_: None)
        monkeypatch.setattr("moto.s3.models.MultipartChecksumBuilder.build", lambda _: None)
        value: Any = FakeKey.value
        monkeypatch.setattr(FakeKey, "value", property(lambda key: mapped(key) or value.fget(key), value.fset))

    @pytest.fixture
    def lake(self, any_based: Any) -> Any:
        Amazon(any_based)
        return any_based

    def sha256(self, lake: Any, key: str) -> str:
        where, digest = {"Bucket": lake.name, "Key": key}, hashlib.sha256()
        client = lake.server.client()
        size, step = client.head_object(**where)["ContentLength"], 64 * MEBIBYTE
        for start in range(0, size, step):
            found = client.get_object(**where, Range=f"bytes={start}-{min(start + step, size) - 1}")
            digest.update(found["Body"].read())
        return digest.hexdigest()

    def parts(self, lake: Any) -> dict[str, int]:
        seen = {"sent": 0, "copied": 0}
        for request in lake.proxy.requests:
            if "partNumber=" not in request.query:
                continue
            number = int(request.query.partition("partNumber=")[2].partition("&")[0])
            assert 1 <= number <= 10_000
            copied = request.headers.get("x-amz-copy-source-range")
            if copied:
                first, _, last = copied.removeprefix("bytes=").partition("-")
                length = int(last) + 1 - int(first)
            else:
                length = int(request.headers["content-length"])
            assert 0 < length <= LIMIT  # the server refuses parts that are too small
            seen["copied" if copied else "sent"] += 1
        return seen


class TestGCS(LargeResultTests):
    @pytest.fixture
    def lake(self, own_bucket: Any, based_on: Any) -> Any:
        own_bucket.server.rewritten_at_once = LIMIT
        return based_on(own_bucket)

    def sha256(self, lake: Any, key: str) -> str:
        return hashlib.sha256(lake.get(key)).hexdigest()

    def parts(self, lake: Any) -> dict[str, int]:
        seen = {"sent": 0, "copied": 0}
        for request in lake.proxy.requests:
            sent = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", request.headers.get("content-range", ""))
            if sent:
                start, last, size = map(int, sent.groups())
                assert last + 1 == size or (last + 1 - start) % 2**18 == 0
                seen["sent"] += 1
            seen["copied"] += "rewriteToken=" in request.query
        return seen


class TestAzurite(LargeResultTests):
    """Azure copies a blob of any size in one request."""

    @pytest.fixture
    def lake(self, azurite_server: Any, new_bucket: Any, based_on: Any) -> Any:
        return based_on(new_bucket(azurite_server))

    def sha256(self, lake: Any, key: str) -> str:
        digest = hashlib.sha256()
        for chunk in lake.container.download_blob(key).chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def parts(self, lake: Any) -> dict[str, int]:
        sent = [int(request.headers["content-length"]) for request in lake.proxy.requests if lake.is_part(request)]
        assert all(0 < length <= LIMIT for length in sent)
        return {"sent": len(sent)}
