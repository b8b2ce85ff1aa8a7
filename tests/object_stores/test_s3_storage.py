"""What is special to S3."""

from __future__ import annotations

from typing import Any


def test_the_token_changes_with_the_bytes_also_where_versions_are_kept(any_bucket: Any) -> None:
    store, path = any_bucket.store(), any_bucket.put("x", b"2")
    enabled = {"Status": "Enabled"}
    any_bucket.server.client().put_bucket_versioning(Bucket=any_bucket.name, VersioningConfiguration=enabled)
    token = store.replace(path, b"3", store.read(path).token)
    assert token == store.stat(path).token
    assert store.replace(path, b"4", token) != token


def test_every_byte_goes_up_with_its_md5(any_bucket: Any) -> None:
    with any_bucket.fs().open(any_bucket.path("small"), "wb") as file:
        file.write(b"data")
    with any_bucket.fs().open(any_bucket.path("large"), "wb") as file:
        file.write(bytes(20 * 2**20))
    sent = [request for request in any_bucket.proxy.requests if request.method == "PUT"]
    assert len(sent) == 4
    assert all("content-md5" in request.headers for request in sent)
