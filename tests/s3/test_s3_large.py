"""Results on S3 that are larger than one request may carry or copy, on each server."""

from __future__ import annotations

import hashlib
import mmap
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
    limits = {"mad_prefect_s3.transfers": {"_COPY_PART": 24 * MEBIBYTE}}

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
