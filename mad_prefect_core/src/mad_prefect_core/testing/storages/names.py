"""Names and listings: every name stands for itself, and what is there is listed."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterable
from functools import partial

from mad_prefect_core.errors import PathError
from mad_prefect_core.testing.base import complaint, needs, raises
from mad_prefect_core.testing.storages.place import Place, StorageBase
from mad_prefect_core.testing.storages.processes import apart

__all__ = ["NameContract"]

_ALIKE = (
    "x", "X", "x.", "x ", " x", "x?", "x?versionid=1", "x?versionId=null", "x#1", "x;1", "x@1", "x:1", "x~1", "x&1",
    "x!1", "x$1", "x%00", "'x'", '"x"', "_x", ".x", "~x", "a/b", "a\\b", "a%2Fb", "a%5Cb", "a__b", "a:b", "a|b", "a b",
    "a%20b", "a+b",
    "ß", "ss", "ﬁ", "fi", "İ", "i", unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"),
)  # fmt: skip
"""Names of which a server or a client might take two for one."""

_DECLARE = "Escape such names, or declare the characters in `refused_characters`."


_STALE = "Have the filesystem cache no listings."


class NameContract(StorageBase, contract=True):
    """Hostile names, listing and deleting."""

    def test_every_name_stands_for_itself(self, place: Place) -> None:
        """A name with any characters (quotes, wildcards, percent signs, other scripts) is that file and no other."""
        files = {f"d {name}/{name}.bin": name.encode() for name in self.possible(place, self.hostile_names)}
        wrong = _unlike(place, files)
        assert not wrong, complaint("Files with special characters in their names are not there", _DECLARE, wrong)

    def test_names_that_look_alike_are_two(self, place: Place) -> None:
        """Names that differ in one character, in case or in spelling (`a\\b` and `a/b`, `x` and `x?versionid=1`) are
        two files."""
        files = {f"d/{name}": name.encode() for name in self.possible(place, _ALIKE)}
        for key, data in files.items():
            place.publish(key, data)
        wrong = place.unlike(files)
        assert not wrong, complaint("Two names are one file, so that one overwrites the other", _DECLARE, wrong)
        assert place.listing() == files.keys(), "Listings give other names than were written"

    @needs("refused_characters")
    def test_a_name_that_it_refuses_is_refused_before_anything_is_written(self, place: Place) -> None:
        """A name with a character that the storage declares as refused is a `PathError` that shows it, and nothing is
        written."""
        for character in place.storage.capabilities.refused_characters:
            for act in (place.publish, partial(place.replace, expected=None)):
                cause = f"A name with {character!r}, which the storage declares as refused, is taken"
                with raises(PathError, cause, "Declare single characters, as one text."):
                    act(f"d/a{character}b.bin", b"data")
        assert place.listing() == set(), "A name that was refused has been written"

    def test_every_name_is_listed_as_it_is(self, place: Place) -> None:
        """Files with hostile names are listed under these very names."""
        keys = {f"d {name}/{name}.bin" for name in self.possible(place, self.hostile_names)}
        for key in keys:
            place.publish(key, b"data")
        found = place.listing(".bin")
        wrong = [f"{key!r} is not listed" for key in sorted(keys - found)]
        wrong += [f"{key!r} is listed, and was never written" for key in sorted(found - keys)]
        for key in keys:
            folder, _, name = key.rpartition("/")
            listed = [str(path).rpartition("/")[2] for path in place.fs.ls(place.path(folder), detail=False)]
            wrong += [] if listed == [name] else [f"ls of the folder of {key!r} gives {listed}"]
        assert not wrong, complaint("Listings give other names than were written", _DECLARE, wrong)

    def test_a_name_that_looks_like_a_pattern_is_none(self, place: Place) -> None:
        """Reading, replacing, linking or deleting `*.bin` or `[x].bin` reaches no other file."""
        for key in ("x.bin", "y.bin", "d/x.bin"):
            place.publish(key, b"own")
        patterns = ("*.bin", "?.bin", "[x].bin", "[xy].bin", "{x,y}.bin", "**/x.bin", "**")
        wrong = []
        for key in self.possible(place, patterns):
            location = place.at(key)
            seen = {
                "stat()": location.stat(), "read()": location.read(), "open()": place.bytes_at(key),
                "isfile()": location.exists() or None,
            }  # fmt: skip
            wrong += [f"{way} of {key!r} finds one" for way, found in seen.items() if found is not None]
            location.delete()
        for key in self.possible(place, ("*.bin", "[x].bin")):
            place.publish(key, b"literal").link_to(place.at(f"link {key}"))
            wrong += place.unlike({f"link {key}": b"literal"})
            place.at(key).delete()
            wrong += place.unlike({key: None})
        wrong += place.unlike(dict.fromkeys(("x.bin", "y.bin", "d/x.bin"), b"own"))
        assert not wrong, complaint(
            "A name that looks like a pattern reaches other files", "Use calls that take names literally.", wrong
        )

    def test_what_is_there_is_listed(self, place: Place) -> None:
        """A folder lists its files and folders, in the ways that fsspec has for it."""
        for key in ("d/x.bin", "d/e/y.bin", "other/x.bin"):
            place.publish(key, key.encode())
        folder, fs = place.path("d"), place.fs
        info = fs.info(f"{folder}/x.bin")

        def last(paths: Iterable[object]) -> list[str]:
            return sorted(str(path).rpartition("/")[2] for path in paths)

        seen = {
            "ls(folder)": (last(fs.ls(folder, detail=False)), ["e", "x.bin"]),
            "ls(folder, detail=True)": (
                {entry["name"].rpartition("/")[2]: entry["type"] for entry in fs.ls(folder, detail=True)},
                {"x.bin": "file", "e": "directory"},
            ),
            "find(base)": (place.listing(".bin"), {"d/x.bin", "d/e/y.bin", "other/x.bin"}),
            "glob(folder/*/*.bin)": (last(fs.glob(f"{folder}/*/*.bin")), ["y.bin"]),
            "isdir(folder)": (fs.isdir(folder), True),
            "isfile(folder)": (fs.isfile(folder), False),
            "isfile(file)": (fs.isfile(f"{folder}/x.bin"), True),
            "isdir(file)": (fs.isdir(f"{folder}/x.bin"), False),
            "exists(file)": (fs.exists(f"{folder}/x.bin"), True),
            "info(file)": ((info["size"], info["type"]), (7, "file")),
        }
        wrong = [f"{call} gives {found} instead of {right}" for call, (found, right) in seen.items() if found != right]
        assert not wrong, complaint("Folders and files are not listed as they are", "See `Store.fs`.", wrong)

    def test_where_there_is_no_folder_nothing_is_listed(self, place: Place) -> None:
        """A folder that is not there has no files: its listing is empty, or a `FileNotFoundError`."""
        place.publish("d/x.bin", b"data")
        missing = place.path("none")
        with contextlib.suppress(FileNotFoundError):
            assert place.fs.ls(missing, detail=False) == [], "A folder that is not there has files"
        assert not place.fs.exists(missing), "exists() is true of a folder that is not there"
        assert not place.fs.isdir(missing), "isdir() is true of a folder that is not there"
        assert not place.fs.isfile(f"{missing}/x.bin"), "isfile() is true of a file that is not there"
        with raises(FileNotFoundError, "A file that is not there can be opened and read", "Raise FileNotFoundError."):
            place.fs.open(f"{missing}/x.bin", "rb").read()

    def test_deleting_takes_one_file(self, place: Place) -> None:
        """Deleting a file takes that one; a file that is not there is none to delete."""
        for key in ("d/x.bin", "d/x.bin.bin", "d/xx.bin"):
            place.publish(key, b"data")
        for _ in range(2):
            place.at("d/x.bin").delete()
            lost = {"d/x.bin.bin", "d/xx.bin"} - place.listing(".bin")
            assert not lost, complaint("Deleting a file deletes others", "Take names literally, and whole.", lost)
            assert "d/x.bin" not in place.listing(), "A file that was deleted is listed"
            assert place.at("d/x.bin").stat() is None, "stat() finds a file that was deleted"
            assert not place.at("d/x.bin").exists(), "isfile() finds a file that was deleted"

    def test_an_open_file_is_read_in_any_order(self, place: Place) -> None:
        """A file that is open for reading gives any part of it, in any order."""
        data = bytes(range(256)) * 40_000
        with place.publish("x.bin", data).open() as file:
            for offset, whence, length in ((5_000_000, 0, 300), (0, 0, 10), (-7, 2, -1), (0, 0, -1)):
                file.seek(offset, whence)
                start = offset if whence == 0 else len(data) + offset
                expected = data[start:] if length < 0 else data[start : start + length]
                assert file.read(length) == expected, (
                    f"After seek({offset}, {whence}), read({length}) gives other bytes than are there"
                )

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
                apart(_publish, writer, files, seconds=self.patience)
            else:
                _publish(writer, files)
            fs = place.fs
            ways = {
                "ls()": len(fs.ls(place.path("d"), detail=False)) == len(listed) + 1,
                "exists()": fs.exists(path),
                "isfile()": fs.isfile(path),
                "info()": fs.info(path)["size"] == 5,
                "find()": key in place.listing(),
                "glob()": len(fs.glob(f"{place.path('d')}/new*.bin")) == number + 1,
                "open() of what was overwritten": place.bytes_at("d/x.bin") == newer,
                "info() of what was overwritten": fs.info(place.path("d/x.bin"))["size"] == len(newer),
            }
            stale = [way for way, fresh in ways.items() if not fresh]
            assert not stale, complaint("What another client wrote does not show", _STALE, stale)
        writer.at("d/x.bin").delete()
        assert "d/x.bin" not in place.listing(), f"What another client deleted is still listed. {_STALE}"
        assert not place.fs.exists(place.path("d/x.bin")), f"What another client deleted still exists. {_STALE}"


def _unlike(place: Place, files: dict[str, bytes]) -> list[str]:
    """Publish files of different bytes beside each other, and say which of them are not what was published."""
    for key, data in files.items():
        place.publish(key, data)
    wrong = []
    for key, data in files.items():
        stat, stored = place.at(key).stat(), place.at(key).read()
        seen = (place.bytes_at(key), stored and stored.data, stat and stat.size)
        if seen != (data, data, len(data)):
            content = "no file" if seen[0] is None else f"a file with the bytes of {seen[0].decode(errors='replace')!r}"
            wrong.append(f"{key!r} is {content if seen[0] != data else 'another file to stat() or read()'}")
    return wrong


def _publish(place: Place, files: dict[str, bytes]) -> None:
    for key, data in files.items():
        place.publish(key, data)
