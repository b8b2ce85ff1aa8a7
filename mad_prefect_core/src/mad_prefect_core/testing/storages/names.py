"""Names and listings: every name stands for itself, and what is there is listed."""

from __future__ import annotations

import contextlib
import string
import unicodedata

import pytest

from mad_prefect_core.testing.base import needs
from mad_prefect_core.testing.storages.place import Place, StorageBase
from mad_prefect_core.testing.storages.processes import apart

__all__ = ["HOSTILE", "NameContract"]

HOSTILE = (
    *(f"a{character}b" for character in string.punctuation + " " if character != "/"),
    "[x]", "[!x]", "a**b", "{}", "{a,b}", "${x}", "a b  c", "%2e%2e", "a%2Fb", "%00", "a+b%20c", "..a", "...", "-rf",
    "~", "it's", 'a"b', "];DROP TABLE x;--", "x?versionId=1", "x#y", "a&b=c", "ünï-日本-🦆", "CON",
    unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), "x" * 236, "k=v/k=v",
)  # fmt: skip


class NameContract(StorageBase, contract=True):
    """Hostile names, listing and deleting."""

    def test_every_name_stands_for_itself(self, place: Place) -> None:
        """A name with any characters (quotes, wildcards, percent signs, other scripts) is that file and no other."""
        files = {f"d {name}/{name}.bin": name.encode() for name in HOSTILE}
        for key, data in files.items():
            place.publish(key, data)
        assert {key: place.bytes_at(key) for key in files} == files
        for key, data in files.items():
            stat, stored = place.at(key).stat(), place.at(key).read()
            assert stat is not None
            assert stored is not None
            assert (stat.size, stored.data) == (len(data), data), key

    def test_every_name_is_listed_as_it_is(self, place: Place) -> None:
        """Files with hostile names are listed under these very names."""
        keys = {f"d {name}/{name}.bin" for name in HOSTILE}
        for key in keys:
            place.publish(key, b"data")
        assert place.listing(".bin") == keys
        for key in keys:
            folder, _, name = key.rpartition("/")
            listed = [str(path).rpartition("/")[2] for path in place.fs.ls(place.path(folder), detail=False)]
            assert listed == [name]

    def test_a_name_that_looks_like_a_pattern_is_none(self, place: Place) -> None:
        """Reading, replacing, linking or deleting `*.bin` or `[x].bin` reaches no other file."""
        for key in ("x.bin", "y.bin", "d/x.bin"):
            place.publish(key, b"own")
        for key in ("*.bin", "?.bin", "[x].bin", "[xy].bin", "{x,y}.bin", "**/x.bin", "**"):
            assert place.at(key).stat() is None
            assert place.at(key).read() is None
            assert place.bytes_at(key) is None
            assert not place.at(key).exists()
            place.at(key).delete()
        for key in ("*.bin", "[x].bin"):
            place.publish(key, b"literal").link_to(place.at(f"link {key}"))
            assert place.bytes_at(f"link {key}") == b"literal"
            place.at(key).delete()
            assert place.bytes_at(key) is None
        assert {place.bytes_at(key) for key in ("x.bin", "y.bin", "d/x.bin")} == {b"own"}

    def test_what_is_there_is_listed(self, place: Place) -> None:
        """A folder lists its files and folders, in the ways that fsspec has for it."""
        for key in ("d/x.bin", "d/e/y.bin", "other/x.bin"):
            place.publish(key, key.encode())
        folder = place.path("d")
        assert {str(path).rpartition("/")[2] for path in place.fs.ls(folder, detail=False)} == {"x.bin", "e"}
        kinds = {entry["name"].rpartition("/")[2]: entry["type"] for entry in place.fs.ls(folder, detail=True)}
        assert kinds == {"x.bin": "file", "e": "directory"}
        assert place.listing(".bin") == {"d/x.bin", "d/e/y.bin", "other/x.bin"}
        assert [str(path).rpartition("/")[2] for path in place.fs.glob(f"{folder}/*/*.bin")] == ["y.bin"]
        assert place.fs.isdir(folder)
        assert not place.fs.isfile(folder)
        assert place.fs.isfile(f"{folder}/x.bin")
        assert not place.fs.isdir(f"{folder}/x.bin")
        assert place.fs.exists(f"{folder}/x.bin")
        found = place.fs.info(f"{folder}/x.bin")
        assert (found["size"], found["type"]) == (7, "file")

    def test_where_there_is_no_folder_nothing_is_listed(self, place: Place) -> None:
        """A folder that is not there has no files: its listing is empty, or a `FileNotFoundError`."""
        place.publish("d/x.bin", b"data")
        missing = place.path("none")
        with contextlib.suppress(FileNotFoundError):
            assert place.fs.ls(missing, detail=False) == []
        assert not place.fs.exists(missing)
        assert not place.fs.isdir(missing)
        assert not place.fs.isfile(f"{missing}/x.bin")
        with pytest.raises(FileNotFoundError):
            place.fs.open(f"{missing}/x.bin", "rb").read()

    def test_deleting_takes_one_file(self, place: Place) -> None:
        """Deleting a file takes that one; a file that is not there is none to delete."""
        for key in ("d/x.bin", "d/x.bin.bin", "d/xx.bin"):
            place.publish(key, b"data")
        for _ in range(2):
            place.at("d/x.bin").delete()
            assert place.listing(".bin") == {"d/x.bin.bin", "d/xx.bin"}
            assert place.at("d/x.bin").stat() is None
            assert not place.at("d/x.bin").exists()

    def test_an_open_file_is_read_in_any_order(self, place: Place) -> None:
        """A file that is open for reading gives any part of it, in any order."""
        data = bytes(range(256)) * 40_000
        with place.publish("x.bin", data).open() as file:
            file.seek(5_000_000)
            assert file.read(300) == data[5_000_000:5_000_300]
            file.seek(0)
            assert file.read(10) == data[:10]
            file.seek(-7, 2)
            assert file.read() == data[-7:]
            file.seek(0)
            assert file.read() == data

    @needs("strong_listing")
    def test_what_another_client_writes_is_seen_at_once(self, place: Place) -> None:
        """What another client publishes, overwrites or deletes shows at once in every listing, also one made before."""
        writer = place.another_client()
        place.publish("d/x.bin", b"old")
        for number in range(2):
            key, newer = f"d/new{number}.bin", b"overwritten %d" % number
            path = place.path(key)
            assert not place.fs.exists(path)
            listed = {str(found) for found in place.fs.ls(place.path("d"), detail=False)}
            files = {key: b"12345", "d/x.bin": newer}
            if self.shared_between_processes:
                apart(_publish, writer, files)
            else:
                _publish(writer, files)
            assert len(place.fs.ls(place.path("d"), detail=False)) == len(listed) + 1
            assert place.fs.exists(path)
            assert place.fs.isfile(path)
            assert place.fs.info(path)["size"] == 5
            assert key in place.listing()
            assert len(place.fs.glob(f"{place.path('d')}/new*.bin")) == number + 1
            assert place.bytes_at("d/x.bin") == newer
            assert place.fs.info(place.path("d/x.bin"))["size"] == len(newer)
        writer.at("d/x.bin").delete()
        assert "d/x.bin" not in place.listing()
        assert not place.fs.exists(place.path("d/x.bin"))


def _publish(place: Place, files: dict[str, bytes]) -> None:
    for key, data in files.items():
        place.publish(key, data)
