"""Files and small objects: what one writer may rely on."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.testing.base import needs
from mad_prefect_core.testing.storages.place import Place, StorageBase

__all__ = ["ObjectContract"]


class ObjectContract(StorageBase, contract=True):
    """Publish, link, stat, read, replace."""

    def test_a_published_file_is_the_file(self, place: Place) -> None:
        """A published file has exactly the staged bytes, and replaces the one before; its folders are made."""
        data = random.Random(1).randbytes(12_000_000)  # more than one part of a multipart upload
        for content in (b"old", data, b"new"):
            location = place.publish("deep/er/x.bin", content, durable=True)
            assert place.bytes_at("deep/er/x.bin") == content
            stat = location.stat()
            assert stat is not None
            assert stat.size == len(content)
        assert place.listing() == {"deep/er/x.bin"}

    def test_an_empty_file_is_a_file(self, place: Place) -> None:
        """A file of 0 bytes is there, and so is a small object of 0 bytes."""
        location = place.publish("x.bin", b"")
        stat, stored = location.stat(), location.read()
        assert stat is not None
        assert stat.size == 0
        assert stored is not None
        assert stored.data == b""
        assert location.exists()
        assert place.listing() >= {"x.bin"}

    def test_what_is_staged_is_not_seen(self, place: Place) -> None:
        """No reader of `*.bin`, and no listing, sees a file that is only staged; two that stage do not meet."""
        place.publish("d/x.bin", b"old")
        one, two = place.at("d/x.bin").stage(), place.at("d/x.bin").stage()
        try:
            assert one != two
            for staged in (one, two):
                assert not staged.name.endswith(".bin")
                staged.write_bytes(b"half")
            assert place.listing(".bin") == {"d/x.bin"}
            assert [str(path).rpartition("/")[2] for path in place.fs.glob(f"{place.path('d')}/*.bin")] == ["x.bin"]
            assert place.bytes_at("d/x.bin") == b"old"
        finally:
            one.unlink()
            two.unlink()

    def test_staged_files_do_not_pile_up(self, place: Place) -> None:
        """The staged file is gone once it is published."""
        location = place.at("x.bin")
        for durable in (False, True):
            staged = location.stage()
            staged.write_bytes(b"data")
            location.publish(staged, durable=durable)
            assert not staged.exists()

    def test_a_publish_of_nothing_is_an_error(self, place: Place) -> None:
        """Publishing a staged file that is not there raises `OSError`, and the old file stays."""
        location = place.publish("x.bin", b"old")
        with pytest.raises(OSError):  # noqa: PT011  whichever it is
            location.publish(location.stage())
        assert place.bytes_at("x.bin") == b"old"

    def test_a_link_has_the_bytes_and_outlives_its_source(self, place: Place) -> None:
        """A link has the bytes of its source, replaces what was there, and stays when the source is deleted."""
        source, target = place.publish("a/x.run", b"new"), place.publish("b/x.bin", b"old one")
        token = source.link_to(target)
        assert place.bytes_at("b/x.bin") == b"new"
        assert place.bytes_at("a/x.run") == b"new"
        stat = target.stat()
        assert stat is not None
        assert token in (None, stat.token), "the token that linking returned is not that of the file"
        source.delete()
        assert place.bytes_at("b/x.bin") == b"new"

    def test_a_link_and_its_source_go_separate_ways(self, place: Place) -> None:
        """What is published over a link or its source later does not reach the other one."""
        source, target = place.publish("x.run", b"old"), place.at("deep/x.bin")
        source.link_to(target)
        place.publish("deep/x.bin", b"new")
        assert place.bytes_at("x.run") == b"old"
        source.link_to(target)
        place.publish("x.run", b"newer")
        assert place.bytes_at("deep/x.bin") == b"old"

    def test_a_folder_that_has_files_is_not_removed(self, place: Place) -> None:
        """`rmdir` of a folder that is not empty removes nothing, whether or not it raises `OSError`."""
        place.publish("d/x.bin", b"data")
        with suppress(OSError):
            place.fs.rmdir(place.path("d"))
        assert place.bytes_at("d/x.bin") == b"data"

    def test_a_link_to_nothing_is_an_error(self, place: Place) -> None:
        """Linking a file that is not there raises `FileNotFoundError`, and the target stays."""
        target = place.publish("x.bin", b"old")
        with pytest.raises(FileNotFoundError):
            place.at("none.run").link_to(target)
        assert place.bytes_at("x.bin") == b"old"
        assert place.listing() == {"x.bin"}

    def test_a_link_again_or_to_itself_keeps_the_bytes(self, place: Place) -> None:
        """Linking a file to its own link, or to itself, changes nothing and leaves nothing beside it."""
        source, target = place.publish("x.run", b"data"), place.at("x.bin")
        for _ in range(2):
            source.link_to(target)
        source.link_to(source)
        assert (place.bytes_at("x.run"), place.bytes_at("x.bin")) == (b"data", b"data")
        assert {key for key in place.listing() if not key.endswith(".lock")} == {"x.run", "x.bin"}

    def test_where_there_is_no_file_there_is_none(self, place: Place) -> None:
        """`stat` and `read` give None for a file or folder that is not there; `stat` also for a folder."""
        place.publish("d/x.bin", b"data")
        for key in ("none.bin", "none/x.bin", "d/x.bin/none", "d/x", "x.bin"):
            assert place.at(key).stat() is None
            assert place.at(key).read() is None
        assert place.at("d").stat() is None

    def test_a_token_tells_of_other_bytes(self, place: Place) -> None:
        """The token differs whenever the bytes may: after each overwrite, however fast, also by as many bytes."""
        tokens = set()
        for number in range(20):
            stat = place.publish("x.bin", b"%02d" % number).stat()
            assert stat is not None
            tokens.add(stat.token)
        assert len(tokens) == 20

    def test_a_token_of_an_untouched_file_stays(self, place: Place) -> None:
        """A file that nobody touches keeps its token, for every client: or nothing would ever be found in the cache."""
        before = place.publish("x.bin", b"data").stat()
        place.publish("y.bin", b"data")
        assert place.bytes_at("x.bin") == b"data"
        assert place.at("x.bin").stat() == before
        assert place.another_client().at("x.bin").stat() == before

    @needs("conditional_create")
    def test_a_small_object_is_created_once(self, place: Place) -> None:
        """A small object is created if there is none; where there is one that is a conflict, and it stays."""
        location = place.at("deep/er/m.json")
        place.replace("deep/er/m.json", b"1", None)
        with pytest.raises(StorageConflictError):
            place.replace("deep/er/m.json", b"2", None)
        found = location.read()
        assert found is not None
        assert found.data == b"1"
        place.publish("x.bin", b"published")
        with pytest.raises(StorageConflictError):
            place.replace("x.bin", b"2", None)
        assert place.bytes_at("x.bin") == b"published"

    @needs("conditional_replace")
    def test_a_version_is_replaced_by_its_token(self, place: Place) -> None:
        """The token that `replace` or `read` gave replaces that version."""
        location = place.at("m.json")
        token = place.replace("m.json", b"0", None)
        for number in range(1, 6):
            found = location.read()
            assert found is not None
            assert (found.data, found.token) == (b"%d" % (number - 1), token)
            token = place.replace("m.json", b"%d" % number, token)
        assert place.bytes_at("m.json") == b"5"

    @needs("conditional_replace")
    def test_a_version_that_is_gone_is_a_conflict(self, place: Place) -> None:
        """Replacing a version that was replaced, published over or deleted is a conflict, and nothing is written."""
        location = place.at("m.json")
        first = place.replace("m.json", b"1", None)
        second = place.replace("m.json", b"2", first)
        with pytest.raises(StorageConflictError):
            place.replace("m.json", b"lost", first)
        assert place.bytes_at("m.json") == b"2"
        place.publish("m.json", b"3")
        with pytest.raises(StorageConflictError):
            place.replace("m.json", b"lost", second)
        assert place.bytes_at("m.json") == b"3"
        location.delete()
        with pytest.raises(StorageConflictError):
            place.replace("m.json", b"lost", second)
        assert place.bytes_at("m.json") is None
