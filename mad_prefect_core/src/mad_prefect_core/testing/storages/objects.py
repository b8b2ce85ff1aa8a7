"""Files and small objects: what one writer may rely on."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from contextlib import suppress

import pytest

from mad_prefect_core.errors import StorageConflictError, StorageError
from mad_prefect_core.session import DuckSession
from mad_prefect_core.testing.base import complaint, needs, raises
from mad_prefect_core.testing.handles import open_handles
from mad_prefect_core.testing.storages.place import Place, StorageBase

__all__ = ["ObjectContract"]


_COPY = "A link is a copy, made whole, that shares nothing with its source."
_COMPARE = "Compare the version where it is written, in one step, and raise StorageConflictError."


class ObjectContract(StorageBase, contract=True):
    """Publish, link, stat, read, replace."""

    def test_a_published_file_is_the_file(self, place: Place) -> None:
        """A published file has exactly the staged bytes, and replaces the one before; its folders are made."""
        data = random.Random(1).randbytes(12_000_000)  # more than one part of a multipart upload
        for content in (b"old", data, b"new"):
            location = place.publish("deep/er/x.bin", content, durable=True)
            wrong = place.unlike({"deep/er/x.bin": content})
            assert not wrong, complaint("A published file has other bytes than were staged", "Send all of them.", wrong)
            stat = location.stat()
            assert stat is not None, "stat() gives None for a file that was published"
            assert stat.size == len(content), "stat() gives another size than was published"
        assert place.listing() == {"deep/er/x.bin"}, "The listing is not the one file that was published"

    def test_an_empty_file_is_a_file(self, place: Place) -> None:
        """A file of 0 bytes is there, and so is a small object of 0 bytes."""
        location = place.publish("x.bin", b"")
        stat, stored = location.stat(), location.read()
        assert stat is not None, "stat() takes a file of 0 bytes for missing"
        assert stat.size == 0, "stat() gives another size than 0 for a file of 0 bytes"
        assert stored is not None, "read() takes a file of 0 bytes for missing"
        assert stored.data == b"", "read() gives bytes for a file of 0 bytes"
        assert location.exists(), "isfile() takes a file of 0 bytes for missing"
        assert place.listing() >= {"x.bin"}, "A file of 0 bytes is not listed"

    def test_a_file_that_is_replaced_is_read_as_it_is_now(self, place: Place) -> None:
        """A file that was read and is then replaced, by as many bytes, is read as the new one in every way, by this
        client and by another that has read the old one."""
        other = place.another_client()
        wrong = set()
        for number in range(5):
            data = b"version %d" % number
            place.publish("x.bin", data)
            for client, mine in (("the client that wrote it", place), ("another client", other)):
                stored = mine.at("x.bin").read()
                ways = {
                    "open()": mine.bytes_at("x.bin"),
                    "cat_file()": mine.fs.cat_file(mine.path("x.bin")),
                    "read()": stored.data if stored else None,
                }
                wrong |= {f"{way} of {client} gives {found!r}" for way, found in ways.items() if found != data}
        assert not wrong, complaint(
            "A file that was replaced is read as before",
            "Key what is cached by the file's version, and ask for it at each open.",
            sorted(wrong),
        )

    def test_what_is_opened_is_closed(self, place: Place) -> None:
        """Twenty rounds of everything that a storage does leave no more files and connections open than one."""
        before = None
        for number in range(23):
            if number == 3:  # pools are full
                before = open_handles()
            _do_everything(place, number)
        if before is None or (after := open_handles()) is None:
            pytest.skip("this system does not tell which files a process has open")
        left = [name for name, count in (Counter(after) - Counter(before)).items() for _ in range(count)]
        assert len(left) < 10, complaint(
            f"{len(left)} files or connections were left open by 20 rounds",
            "Close what is opened, also where a call raises.",
            left,
        )

    def test_what_is_staged_is_not_seen(self, place: Place) -> None:
        """No reader of `*.bin`, and no listing, sees a file that is only staged; two that stage do not meet."""
        place.publish("d/x.bin", b"old")
        one, two = place.at("d/x.bin").stage(), place.at("d/x.bin").stage()
        try:
            assert one != two, "Two that stage the same file write over each other. Give each a name of its own."
            for staged in (one, two):
                assert not staged.name.endswith(".bin"), (
                    f"A staged file is seen by readers of `*.bin`. Give it a name with another end, not {staged.name}"
                )
                staged.write_bytes(b"half")
            seen = [str(path).rpartition("/")[2] for path in place.fs.glob(f"{place.path('d')}/*.bin")]
            assert (place.listing(".bin"), seen) == ({"d/x.bin"}, ["x.bin"]), (
                "A file that is only staged is listed. Stage it where no listing of files shows it."
            )
            assert not place.unlike({"d/x.bin": b"old"}), "Staging a file changes the one that is there"
        finally:
            one.unlink(missing_ok=True)
            two.unlink(missing_ok=True)

    def test_staged_files_do_not_pile_up(self, place: Place) -> None:
        """The staged file is gone once it is published."""
        location = place.at("x.bin")
        for durable in (False, True):
            staged = location.stage()
            staged.write_bytes(b"data")
            location.publish(staged, durable=durable)
            assert not staged.exists(), (
                "The staged file is still there after it was published, and the disk fills. Delete it in publish()."
            )

    def test_a_publish_of_nothing_is_an_error(self, place: Place) -> None:
        """Publishing a staged file that is not there raises `OSError`, and the old file stays."""
        location = place.publish("x.bin", b"old")
        with raises(OSError, "Publishing a staged file that is not there raises nothing", "Raise FileNotFoundError."):
            location.publish(location.stage())
        assert not place.unlike({"x.bin": b"old"}), "Publishing nothing changes the file that is there"

    def test_a_link_has_the_bytes_and_outlives_its_source(self, place: Place) -> None:
        """A link has the bytes of its source, replaces what was there, and stays when the source is deleted."""
        source, target = place.publish("a/x.run", b"new"), place.publish("b/x.bin", b"old one")
        token = source.link_to(target)
        wrong = place.unlike({"b/x.bin": b"new", "a/x.run": b"new"})
        assert not wrong, complaint("A link has other bytes than its source", _COPY, wrong)
        stat = target.stat()
        assert stat is not None, "stat() gives None for a link"
        assert token in (None, stat.token), "The token that linking returned is not that of the file"
        source.delete()
        wrong = place.unlike({"b/x.bin": b"new"})
        assert not wrong, complaint("A link is lost with its source", _COPY, wrong)

    def test_a_link_and_its_source_go_separate_ways(self, place: Place) -> None:
        """What is published over a link or its source later does not reach the other one."""
        source, target = place.publish("x.run", b"old"), place.at("deep/x.bin")
        source.link_to(target)
        place.publish("deep/x.bin", b"new")
        wrong = place.unlike({"x.run": b"old"})
        assert not wrong, complaint("What is published over a link reaches its source", _COPY, wrong)
        source.link_to(target)
        place.publish("x.run", b"newer")
        wrong = place.unlike({"deep/x.bin": b"old"})
        assert not wrong, complaint("What is published over the source of a link reaches the link", _COPY, wrong)

    def test_a_folder_that_has_files_is_not_removed(self, place: Place) -> None:
        """`rmdir` of a folder that is not empty removes nothing, whether or not it raises `OSError`."""
        place.publish("d/x.bin", b"data")
        with suppress(OSError):
            place.fs.rmdir(place.path("d"))
        wrong = place.unlike({"d/x.bin": b"data"})
        assert not wrong, complaint("rmdir() deletes the files in a folder", "Raise OSError where it has any.", wrong)

    def test_a_link_to_nothing_is_an_error(self, place: Place) -> None:
        """Linking a file that is not there raises `FileNotFoundError`, and the target stays."""
        target = place.publish("x.bin", b"old")
        with raises(FileNotFoundError, "Linking a file that is not there raises nothing", "Raise FileNotFoundError."):
            place.at("none.run").link_to(target)
        assert not place.unlike({"x.bin": b"old"}), "Linking a file that is not there changes the target"
        assert place.listing() == {"x.bin"}, "Linking a file that is not there leaves something behind"

    def test_a_link_again_or_to_itself_keeps_the_bytes(self, place: Place) -> None:
        """Linking a file to its own link, or to itself, changes nothing and leaves nothing beside it."""
        source, target = place.publish("x.run", b"data"), place.at("x.bin")
        try:
            for _ in range(2):
                source.link_to(target)
            source.link_to(source)
        except OSError as error:
            pytest.fail(complaint(f"Linking a file again, or to itself, raises {type(error).__name__}", _COPY, [error]))
        wrong = place.unlike({"x.run": b"data", "x.bin": b"data"})
        assert not wrong, complaint("Linking a file again, or to itself, changes its bytes", _COPY, wrong)
        left = {key for key in place.listing() if not key.endswith(".lock")} - {"x.run", "x.bin"}
        assert not left, complaint("Linking a file again leaves something beside it", _COPY, left)

    def test_where_there_is_no_file_there_is_none(self, place: Place) -> None:
        """`stat` and `read` give None for a file or folder that is not there; `stat` also for a folder."""
        place.publish("d/x.bin", b"data")
        wrong = []
        for key in ("none.bin", "none/x.bin", "d/x.bin/none", "d/x", "x.bin"):
            wrong += [f"stat() of {key!r}"] if place.at(key).stat() is not None else []
            wrong += [f"read() of {key!r}"] if place.at(key).read() is not None else []
        wrong += ["stat() of a folder"] if place.at("d").stat() is not None else []
        assert not wrong, complaint("Something is found where there is no file", "Return None.", wrong)

    def test_a_token_tells_of_other_bytes(self, place: Place) -> None:
        """The token differs whenever the bytes may: after each overwrite, however fast, also by as many bytes."""
        tokens = set()
        for number in range(20):
            stat = place.publish("x.bin", b"%02d" % number).stat()
            assert stat is not None, "stat() gives None for a file that was published"
            tokens.add(stat.token)
        assert len(tokens) == 20, complaint(
            f"20 files one after the other at one path have {len(tokens)} tokens: a cache would take one for another",
            "Make it of the version or the content; size and time are not enough.",
        )

    def test_a_token_of_an_untouched_file_stays(self, place: Place) -> None:
        """A file that nobody touches keeps its token, for every client: or nothing would ever be found in the cache."""
        before = place.publish("x.bin", b"data").stat()
        place.publish("y.bin", b"data")
        assert not place.unlike({"x.bin": b"data"})
        seen = {
            "the same client": place.at("x.bin").stat(),
            "another client": place.another_client().at("x.bin").stat(),
        }
        wrong = [f"{client}: {found}, and before {before}" for client, found in seen.items() if found != before]
        assert not wrong, complaint(
            "The token of a file that nobody touched changes: nothing is ever found in the cache",
            "Make it of the file alone.",
            wrong,
        )

    @needs("largest_object")
    def test_a_file_larger_than_it_holds_is_refused(self, place: Place) -> None:
        """A file that is larger than the storage declares is a `StorageError` that tells the limit, and the one before
        it stays."""
        largest = place.storage.capabilities.largest_object
        assert largest is not None
        location = place.publish("x.bin", b"old")
        staged = location.stage()
        try:
            with staged.open("wb") as file:
                file.truncate(largest + 1)
            with raises(StorageError, f"A file of more than {largest:,} bytes is sent", "Declare it as a number."):
                location.publish(staged)
        finally:
            staged.unlink(missing_ok=True)
        assert not place.unlike({"x.bin": b"old"}), "A file that was refused has changed the one before"
        if largest <= self.parts_above + 2**20:
            place.publish("x.bin", bytes(largest))
            wrong = place.unlike({"x.bin": bytes(largest)})
            assert not wrong, complaint("A file as large as it declares does not fit", "Declare what does.", wrong)

    @needs("conditional_create")
    def test_a_small_object_is_created_once(self, place: Place) -> None:
        """A small object is created if there is none; where there is one that is a conflict, and it stays."""
        location = place.at("deep/er/m.json")
        place.replace("deep/er/m.json", b"1", None)
        with raises(StorageConflictError, "An object that is there is created again", _COMPARE):
            place.replace("deep/er/m.json", b"2", None)
        found = location.read()
        assert found is not None, "read() gives None for an object that was created"
        assert found.data == b"1", "A create that was refused has changed the object"
        place.publish("x.bin", b"published")
        with raises(StorageConflictError, "A file that was published is created again", _COMPARE):
            place.replace("x.bin", b"2", None)
        assert not place.unlike({"x.bin": b"published"}), "A create that was refused has changed the file"

    @needs("conditional_replace")
    def test_a_version_is_replaced_by_its_token(self, place: Place) -> None:
        """The token that `replace` or `read` gave replaces that version."""
        location = place.at("m.json")
        token = place.replace("m.json", b"0", None)
        for number in range(1, 6):
            found = location.read()
            assert found is not None, "read() gives None for an object that was written"
            assert found.data == b"%d" % (number - 1), "read() gives other bytes than were written last"
            assert found.token == token, "replace() returns another token than read() gives of the same version"
            token = place.replace("m.json", b"%d" % number, token)
        assert not place.unlike({"m.json": b"5"}), "The object is not what was written last"

    @needs("conditional_replace")
    def test_a_version_that_is_gone_is_a_conflict(self, place: Place) -> None:
        """Replacing a version that was replaced, published over or deleted is a conflict, and nothing is written."""
        location = place.at("m.json")
        first = place.replace("m.json", b"1", None)
        second = place.replace("m.json", b"2", first)
        for state, token, left in (("was replaced", first, b"2"), ("was published over", second, b"3")):
            if left == b"3":
                place.publish("m.json", b"3")
            with raises(StorageConflictError, f"A version that {state} is replaced all the same", _COMPARE):
                place.replace("m.json", b"lost", token)
            assert not place.unlike({"m.json": left}), "A replacement that was refused has changed the object"
        location.delete()
        with raises(StorageConflictError, "A version that was deleted is replaced all the same", _COMPARE):
            place.replace("m.json", b"lost", second)
        assert not place.unlike({"m.json": None}), "A replacement that was refused has made the object"


def _do_everything(place: Place, number: int) -> None:
    """Each thing that is asked of a storage, also where it fails."""
    location = place.publish("d/x.csv", b"n\n%d\n" % number)
    location.link_to(place.at("d/link.csv"))
    found = location.read()
    place.at("none.csv").read()
    location.stat()
    place.listing()
    with location.open() as file:
        file.read(1)
    with DuckSession() as session:
        for query in ("FROM read_csv($1)", "FROM read_csv($1) LIMIT 0"):
            session.sql(query, [location.duckdb_files(session)]).fetchall()
    capabilities = place.storage.capabilities
    if capabilities.conditional_replace:
        place.replace("d/x.csv", b"n\n", found.token if found else None)
    if capabilities.conditional_create:
        with contextlib.suppress(StorageConflictError):
            place.replace("d/x.csv", b"n\n", None)
    with contextlib.suppress(OSError):
        place.at("none.csv").open().read()
    place.at("d/link.csv").delete()
