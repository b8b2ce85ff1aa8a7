"""The server that these tests run against is one that Google's own client and gcsfs as it is agree with."""

from __future__ import annotations

import io
from typing import Any

import pytest
from gcsfs.core import GCSFileSystem
from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.cloud import storage
from google.oauth2.credentials import Credentials

MEGABYTE = 2**20


@pytest.fixture
def server(gcs_server: Any) -> Any:
    return gcs_server


def client(bucket: Any, credentials: Any = None) -> Any:
    who = credentials or AnonymousCredentials()
    return storage.Client("p", credentials=who, client_options={"api_endpoint": bucket.proxy.url})


def test_googles_client_writes_reads_lists_rewrites_and_deletes(bucket: Any) -> None:
    held = client(bucket).bucket(bucket.name)
    blob = held.blob("d e/ü#?.bin")
    blob.metadata = {"who": "me"}
    blob.upload_from_string(b"0123456789\n")
    assert bucket.get("d e/ü#?.bin") == b"0123456789\n"

    found = held.get_blob("d e/ü#?.bin")
    assert (found.size, found.generation, found.metadata) == (11, blob.generation, {"who": "me"})
    assert (blob.download_as_bytes(), blob.download_as_bytes(start=2, end=4)) == (b"0123456789\n", b"234")
    copy = held.blob("copy")
    assert copy.rewrite(blob)[0] is None
    assert copy.generation > blob.generation
    for number in range(5):
        held.blob(f"many/{number}").upload_from_string(b"")
    pages = held.list_blobs(prefix="many/", page_size=2).pages
    assert [[entry.name for entry in page] for page in pages] == [
        ["many/0", "many/1"], ["many/2", "many/3"], ["many/4"],
    ]  # fmt: skip
    listed = held.list_blobs(delimiter="/")
    assert ([entry.name for entry in listed], listed.prefixes) == (["copy"], {"d e/", "many/"})
    blob.delete()
    with pytest.raises(NotFound):
        blob.delete()
    with pytest.raises(NotFound):
        client(bucket).bucket("none").blob("x").upload_from_string(b"")


def test_googles_client_uploads_in_parts(bucket: Any) -> None:
    data = bytes(range(256)) * (3 * MEGABYTE // 256) + b"end"
    blob = client(bucket).bucket(bucket.name).blob("big", chunk_size=MEGABYTE)
    blob.upload_from_file(io.BytesIO(data), checksum="md5")
    assert bucket.get("big") == data
    assert [request.method for request in bucket.proxy.requests].count("PUT") == 4


def test_googles_client_is_told_of_conditions_that_are_not_met(bucket: Any) -> None:
    blob = client(bucket).bucket(bucket.name).blob("x")
    blob.upload_from_string(b"1", if_generation_match=0)
    first = blob.generation
    with pytest.raises(PreconditionFailed):
        blob.upload_from_string(b"2", if_generation_match=0)
    blob.upload_from_string(b"2", if_generation_match=first)
    for act in (
        lambda: blob.upload_from_string(b"3", if_generation_match=first),
        lambda: blob.delete(if_generation_match=first),
        lambda: blob.download_as_bytes(if_generation_match=first),
        lambda: blob.rewrite(blob, if_source_generation_match=first),
    ):
        with pytest.raises(PreconditionFailed):
            act()
    assert bucket.get("x") == b"2"


def test_googles_client_reads_a_generation_only_where_it_is_kept(bucket: Any) -> None:
    held = client(bucket).bucket(bucket.name)
    old, lost = bucket.server.put(bucket.name, "x", b"1").generation, bucket.held
    bucket.put("x", b"2")
    with pytest.raises(NotFound):
        held.blob("x", generation=old).download_as_bytes()
    lost.keeps_versions = True
    old = lost.objects["x"].generation
    bucket.put("x", b"3")
    assert held.blob("x", generation=old).download_as_bytes() == b"2"


def test_googles_client_is_refused_without_a_token_or_a_permission(own_bucket: Any) -> None:
    reader = Credentials(own_bucket.server.token("storage.objects.get"))
    own_bucket.put("x", b"data")
    assert client(own_bucket, reader).bucket(own_bucket.name).blob("x").download_as_bytes() == b"data"
    with pytest.raises(Forbidden):
        client(own_bucket, reader).bucket(own_bucket.name).blob("x").delete()
    with pytest.raises(RefreshError):  # what its own answer to a 401 comes to
        client(own_bucket, Credentials("unknown")).bucket(own_bucket.name).blob("x").reload()


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_gcsfs_as_it_is_works_with_it(own_bucket: Any) -> None:
    fs = GCSFileSystem(token="anon", project="p", endpoint_url=own_bucket.proxy.url, skip_instance_cache=True)
    fs.mkdir("made")
    fs.pipe_file("made/a", b"1")
    with fs.open("made/big", "wb", block_size=MEGABYTE) as file:
        file.write(b"x" * 3 * MEGABYTE)
    with pytest.raises(FileExistsError):
        fs.pipe_file("made/a", b"2", mode="create")
    fs.copy("made/a", "made/d/b")
    assert sorted(own_bucket.server.buckets["made"].objects) == ["a", "big", "d/b"]
    assert fs.cat_file("made/big", 5, 8) == b"xxx"
    assert fs.ls("made", detail=False) == ["made/a", "made/big", "made/d"]
    fs.rm("made", recursive=True)
    assert not fs.exists("made/a")
