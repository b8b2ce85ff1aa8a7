"""Storages, and stores, that are wrong in one way each, by the contract test that is to notice it.

Each is the memory storage or the local one with one promise broken, as a real plugin might break it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import shutil
import tempfile
import threading
import time
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fsspec.implementations.local import LocalFileSystem
from memory_storage import MemoryFiles, MemoryStorage, MemoryStore
from pydantic import SecretStr

from mad_prefect_core.contracts import FileStat, Options, Session, StorageCapabilities, Versioned
from mad_prefect_core.errors import StorageConflictError
from mad_prefect_core.shared_files import SharedFile, serve
from mad_prefect_local import LocalOptions, LocalStorage, LocalStore


class TruncatesLargeFiles(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        staged.write_bytes(staged.read_bytes()[:8_000_000])
        super().publish(staged, path)


class TakesEmptyForMissing(MemoryStore):
    def stat(self, path: str) -> FileStat | None:
        found = super().stat(path)
        return found if found and found.size else None


class StagesUnderTheSuffix(LocalStore):
    def stage(self, path: str) -> Path:
        return super().stage(path).with_name(f"{uuid.uuid4()}{Path(path).suffix}")


class LeavesStagedFiles(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        self.fs.write_whole(path, staged.read_bytes())


class PublishesNothingSilently(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        if staged.exists():
            super().publish(staged, path)


class LinksSymbolically(LocalStore):
    def link(self, source: str, path: str) -> None:
        staged = self.stage(path)
        os.symlink(source, staged)
        os.replace(staged, path)


class WritesInPlace(LocalStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        if os.path.exists(path):
            shutil.copyfile(staged, path)
            staged.unlink()
        else:
            super().publish(staged, path, durable=durable)


class LinksNothingSilently(MemoryStore):
    def link(self, source: str, path: str) -> None:
        if self.fs.isfile(source):
            self.fs.write_whole(path, self.fs.cat_file(source))


class DeletesBeforeLinking(MemoryStore):
    def link(self, source: str, path: str) -> None:
        if self.fs.isfile(path):
            self.fs.rm_file(path)
        self.fs.write_whole(path, self.fs.cat_file(source))


class _RemovesAll(LocalFileSystem):
    cachable = False

    def rmdir(self, path: str) -> None:
        shutil.rmtree(path)


class RemovesFullFolders(LocalStore):
    def __init__(self, fs: Any) -> None:
        super().__init__(_RemovesAll())


class TakesFoldersForFiles(MemoryStore):
    def stat(self, path: str) -> FileStat | None:
        return super().stat(path) or (FileStat(0, "") if self.fs.isdir(path) else None)


class TokenOfTheSize(MemoryStore):
    def stat(self, path: str) -> FileStat | None:
        found = super().stat(path)
        return FileStat(found.size, str(found.size)) if found else None


class TokenOfTheMoment(MemoryStore):
    numbers = itertools.count()

    def stat(self, path: str) -> FileStat | None:
        found = super().stat(path)
        return FileStat(found.size, str(next(self.numbers))) if found else None


class CreatesAgain(MemoryStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        current = self.read(path)
        return super().replace(path, data, expected or (current.token if current else None))


class ReturnsTheOldToken(MemoryStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        token = super().replace(path, data, expected)
        return expected or token


class ReplacesWhatIsGone(MemoryStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        return super().replace(path, data, expected if self.fs.isfile(path) else None)


class DecodesNames(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        super().publish(staged, unquote(path))


class OnOtherFiles(MemoryStore):
    """On a filesystem that is wrong."""

    files: type[MemoryFiles]

    def __init__(self, fs: Any) -> None:
        super().__init__(self.files())


class NormalisingFiles(MemoryFiles):
    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return [unicodedata.normalize("NFC", found) for found in super().find(path)]


class NormalisesListings(OnOtherFiles):
    files = NormalisingFiles


class GlobbingFiles(MemoryFiles):
    def rm_file(self, path: str) -> None:
        for found in self.glob(path):
            super().rm_file(found)


class DeletesByPattern(OnOtherFiles):
    files = GlobbingFiles


class FlatFiles(MemoryFiles):
    def isdir(self, path: str) -> bool:
        return False


class KnowsNoFolders(OnOtherFiles):
    files = FlatFiles


class OptimisticFiles(MemoryFiles):
    def exists(self, path: str, **kwargs: Any) -> bool:
        return True


class TakesAllForThere(OnOtherFiles):
    files = OptimisticFiles


class PrefixFiles(MemoryFiles):
    def rm_file(self, path: str) -> None:
        for found in [key for key in self.store if key.startswith(self._strip_protocol(path))]:
            super().rm_file(found)


class DeletesByPrefix(OnOtherFiles):
    files = PrefixFiles


class ForwardFiles(MemoryFiles):
    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        class Forward(io.BytesIO):
            def seek(self, offset: int, whence: int = 0) -> int:
                return super().seek(abs(offset))

        return Forward(self.cat_file(path)) if mode == "rb" else super().open(path, mode, **kwargs)


class SeeksFromTheStart(OnOtherFiles):
    files = ForwardFiles


class CachingFiles(MemoryFiles):
    def __init__(self) -> None:
        super().__init__()
        self.listings: dict[str, Any] = {}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        if path not in self.listings:
            self.listings[path] = super().ls(path, detail=True)
        found = self.listings[path]
        return found if detail else [entry["name"] for entry in found]


class CachesListings(OnOtherFiles):
    files = CachingFiles


class LocksNobodyOut(MemoryStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        current = self.read(path)
        time.sleep(0.005)
        if (current.token if current else None) != expected:
            raise StorageConflictError("Another writer was faster", path=path)
        self.fs.write_whole(path, data)
        found = self.read(path)
        assert found is not None
        return found.token


class LocksThreadsOnly(LocalStore):
    lock = threading.Lock()

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        with self.lock:
            current = self.read(path)
            time.sleep(0.005)
            if (current.token if current else None) != expected:
                raise StorageConflictError("Another writer was faster", path=path)
            staged = self.stage(path)
            staged.write_bytes(data)
            self.publish(staged, path, durable=False)
            found = self.read(path)
            assert found is not None
            return found.token


class BreaksLocksThatAreOld(LocalStore):
    """Takes a lock that nobody has let go for a second, and does not look again whether its own was taken."""

    contract = {"locks_last": 1}

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        lock = f"{path}.lock"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        while True:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
                break
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - os.stat(lock).st_mtime > 1:
                        os.unlink(lock)
                time.sleep(0.01)
        try:
            current = self.read(path)
            if (current.token if current else None) != expected:
                raise StorageConflictError("Another writer was faster", path=path)
            staged = self.stage(path)
            staged.write_bytes(data)
            self.publish(staged, path, durable=False)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(lock)
        found = self.read(path)
        assert found is not None
        return found.token


class PublishesInTwoSteps(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        self.fs.write_whole(path, staged.read_bytes()[: staged.stat().st_size // 2])
        time.sleep(0.001)
        super().publish(staged, path)


class HidingFiles(MemoryFiles):
    hidden: set[str] = set()

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        shown = [entry for entry in super().ls(path, detail=True, **kwargs) if entry["name"] not in self.hidden]
        return shown if detail else [entry["name"] for entry in shown]


class ListsNothingWhileItReplaces(OnOtherFiles):
    """As a server that deletes a file before it moves another to its name, behind a client that asks again."""

    files = HidingFiles

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        self.fs.hidden.add(path)
        time.sleep(0.02)
        super().publish(staged, path)
        self.fs.hidden.discard(path)


class ListsAStrayWhileItReplaces(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        stray = f"{path.rpartition('/')[0]}/{uuid.uuid4().hex}.bin"
        self.fs.write_whole(stray, b"")
        time.sleep(0.02)
        super().publish(staged, path)
        self.fs.rm_file(stray)


class LiveFiles(MemoryFiles):
    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode != "rb":
            return super().open(path, mode, **kwargs)
        return SharedFile(lambda start, end: self.cat_file(path, start, end), self.size(path))


class MixesVersions(OnOtherFiles):
    files = LiveFiles


def _copy_in_parts(staged: Path, path: str, size: int) -> None:
    """Copy so slowly that between two parts there is time to look, and to be killed."""
    with open(staged, "rb") as source, open(path, "wb") as target:
        while data := source.read(size):
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
    staged.unlink()


class CopiesInPlace(LocalStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        _copy_in_parts(staged, path, 2**18)


class DeletesBeforePublishing(LocalStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        if os.path.exists(path):
            os.remove(path)
        super().publish(staged, path, durable=durable)


class _Modest(MemoryStorage):
    """Of a storage that promises no whole files."""

    capabilities = StorageCapabilities()
    opens: type[MemoryStore]

    def open(self, url: str, options: Options) -> MemoryStore:
        return self.opens(MemoryFiles())


class _IgnoresFailures(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        with contextlib.suppress(OSError):
            super().publish(staged, path)


class PublishesNothingOfWhatFails(_Modest):
    opens = _IgnoresFailures


class _Locks(MemoryStore):
    free_from: dict[str, float] = {}

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        time.sleep(max(0.0, self.free_from.pop(path, 0.0) - time.monotonic()))
        self.free_from[path] = time.monotonic() + 1
        super().publish(staged, path)
        del self.free_from[path]


class KeepsItsLockWhereItFails(_Modest):
    contract = {"patience": 2}
    opens = _Locks


class _MakesFolders(MemoryStore):
    """What it does first is to make a folder, and where that is there already it fails."""

    busy: set[str] = set()

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        if path in self.busy:
            raise FileExistsError(path)
        self.busy.add(path)
        super().publish(staged, path)
        self.busy.discard(path)


class LeavesAFolderWhereItFails(_Modest):
    opens = _MakesFolders


class _Moves(MemoryStore):
    def link(self, source: str, path: str) -> None:
        data = self.fs.cat_file(source)
        self.fs.rm_file(source)
        self.fs.write_whole(path, data)
        self.fs.write_whole(source, data)


class TakesTheSourceAway(_Modest):
    opens = _Moves


class IgnoresFailedWrites(MemoryStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        try:
            return super().replace(path, data, expected)
        except StorageConflictError:
            raise
        except OSError:
            return "written, surely"


class TakesALostReplyForALostRace(MemoryStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        try:
            return super().replace(path, data, expected)
        except StorageConflictError:
            raise
        except OSError:
            return super().replace(path, data, expected)


class ReplacesWithoutAVersion(MemoryStore):
    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        current = self.read(path)
        return super().replace(path, data, current.token if current and expected else expected)


class TakesUnreadableForMissing(MemoryStore):
    def read(self, path: str) -> Versioned | None:
        try:
            return super().read(path)
        except OSError:
            return None


class ClearsTheWay(LocalStore):
    def stage(self, path: str) -> Path:
        parent = Path(path).parent
        if parent.is_file():
            parent.unlink()
        return super().stage(path)


class PlainPassword(MemoryStorage):
    class PlainOptions(Options):
        password: str = ""

    options = PlainOptions


class LogsItsPassword(MemoryStorage):
    class SecretOptions(Options):
        password: SecretStr = SecretStr("")

    options = SecretOptions
    given = {"password": "v3ry-s3cret"}

    def open(self, url: str, options: Options) -> MemoryStore:
        assert isinstance(options, self.SecretOptions)
        logging.getLogger(__name__).debug("connecting with %s", options.password.get_secret_value())
        return super().open(url, options)


class _SaysIt(MemoryStore):
    said = ""

    def link(self, source: str, path: str) -> None:
        if not self.fs.isfile(source):
            raise FileNotFoundError(f"{source} as user:{self.said}")
        self.fs.write_whole(path, self.fs.cat_file(source))


class SaysItsPasswordInErrors(LogsItsPassword):
    def open(self, url: str, options: Options) -> MemoryStore:
        assert isinstance(options, self.SecretOptions)
        store = _SaysIt(MemoryFiles())
        store.said = options.password.get_secret_value()
        return store


class ReadsTheWholeFolder(LocalStore):
    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        return [f"{Path(path).parent}/*{Path(path).suffix}" for path in paths]


class GivesNamesAsPatterns(LocalStore):
    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        return list(paths)


class CopiesOnce(MemoryStore):
    copies: dict[str, str] = {}

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        for path in paths:
            if path not in self.copies:
                handle, self.copies[path] = tempfile.mkstemp()
                os.write(handle, self.fs.cat_file(path))
                os.close(handle)
        return [self.copies[path] for path in paths]


class ReadsForOneOnly(MemoryStore):
    lock = threading.Lock()

    def duckdb_files(self, session: Session, paths: Sequence[str]) -> list[str]:
        if not self.lock.acquire(blocking=False):
            raise OSError("busy")
        try:
            time.sleep(0.01)
            return serve(session, self.fs, paths)
        finally:
            self.lock.release()


class ShiftsLaterParts(MemoryFiles):
    """As where the positions of two threads that read one file mix."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        data = super().cat_file(path, start, end)
        return data[::-1] if start and start > 4_000_000 else data


class MixesPositions(OnOtherFiles):
    files = ShiftsLaterParts


class ClaimsABadProtocol(MemoryStorage):
    protocols = ("Memory Store",)


class ReadOnlyFiles(MemoryFiles):
    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode != "rb":
            raise NotImplementedError("publish() is how files are written here")
        return super().open(path, mode, **kwargs)


class OpensForReadingOnly(OnOtherFiles):
    files = ReadOnlyFiles


class ForgetsSmallObjects(MemoryStore):
    def read(self, path: str) -> Versioned | None:
        return None

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        self.fs.write_whole(path, data)
        return "token"


class SweepingFiles(MemoryFiles):
    def rm_file(self, path: str) -> None:
        place = "/".join(self._strip_protocol(path).split("/")[:2])
        for found in [key for key in self.store if key.startswith(f"{place}/")]:
            super().rm_file(found)


class DeletesEverything(OnOtherFiles):
    files = SweepingFiles


class KnowsBucketsOnly(MemoryStore):
    def path(self, url: str) -> str:
        return "/".join(super().path(url).split("/")[:2])


class AtomicForSmallFilesOnly(LocalStore):
    """As where a client sends what is larger than its threshold in another way."""

    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        if staged.stat().st_size <= 4 * 2**20:
            super().publish(staged, path, durable=durable)
        else:
            _copy_in_parts(staged, path, 4 * 2**20)


class ClientError(Exception):
    """As those of a client library: no `OSError`."""


class TakesItsClientsLostReplyForALostRace(MemoryStore):
    contract = {"client_errors": (ClientError,)}

    def replace(self, path: str, data: bytes, expected: str | None) -> str:
        try:
            return super().replace(path, data, expected)
        except ClientError:
            return super().replace(path, data, expected)


class SaysThatItSendsAgain(MemoryStore):
    contract = {"sends_again": True}


class TakesBackslashesForFolders(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        super().publish(staged, path.replace("\\", "/"))

    def read(self, path: str) -> Versioned | None:
        return super().read(path.replace("\\", "/"))


class CutsVersionsOffNames(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        super().publish(staged, path.partition("?versionid=")[0])


class DeclaresRefusedCharactersInWords(MemoryStorage):
    capabilities = replace(MemoryStorage.capabilities, refused_characters=("backslash",))


class _CutsAt500(MemoryStore):
    def publish(self, staged: Path, path: str, *, durable: bool = True) -> None:
        staged.write_bytes(staged.read_bytes()[:500])
        super().publish(staged, path)


class HoldsLessThanItDeclares(MemoryStorage):
    capabilities = replace(MemoryStorage.capabilities, largest_object=1000)

    def open(self, url: str, options: Options) -> MemoryStore:
        return _CutsAt500(MemoryFiles())


class RememberingFiles(MemoryFiles):
    known: dict[tuple[str, int], bytes] = {}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        data = super().cat_file(path, None, None)
        return self.known.setdefault((path, len(data)), data)[start:end]


class CachesContentByNameAndSize(OnOtherFiles):
    files = RememberingFiles


class LeakingFiles(MemoryFiles):
    leaked: list[Any] = []

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        self.leaked.append(open(os.devnull))  # noqa: SIM115  that is the fault
        return super().open(path, mode, **kwargs)


class LeavesConnectionsOpen(OnOtherFiles):
    files = LeakingFiles


class _OnDisk(LocalStorage):
    def __init__(self, store: type[LocalStore]) -> None:
        self.store = store

    def open(self, url: str, options: LocalOptions) -> LocalStore:
        return self.store(super().open(url, options).fs)


class _InMemory(MemoryStorage):
    def __init__(self, store: type[MemoryStore]) -> None:
        self.store = store

    def open(self, url: str, options: Options) -> MemoryStore:
        return self.store(MemoryFiles())


def is_on_disk(wrong: type[Any]) -> bool:
    """Whether a storage, or a store, that is wrong is one on the local disk."""
    return issubclass(wrong, LocalStorage | LocalStore)


def storage_of(wrong: type[Any]) -> Any:
    """The storage that is wrong, or that opens a store which is."""
    if issubclass(wrong, LocalStorage | MemoryStorage):
        return wrong()
    return _OnDisk(wrong) if is_on_disk(wrong) else _InMemory(wrong)


PLANTED: dict[str, dict[type[Any], str]] = {
    "test_a_published_file_is_the_file": {
        TruncatesLargeFiles: "A published file has other bytes than were staged",
    },
    "test_a_file_that_is_replaced_is_read_as_it_is_now": {
        CachesContentByNameAndSize: "A file that was replaced is read as before",
    },
    "test_what_is_opened_is_closed": {
        LeavesConnectionsOpen: "files or connections were left open by 20 rounds",
    },
    "test_a_file_larger_than_it_holds_is_refused": {
        HoldsLessThanItDeclares: "A file as large as it declares does not fit",
    },
    "test_an_empty_file_is_a_file": {
        TakesEmptyForMissing: "stat() takes a file of 0 bytes for missing",
    },
    "test_what_is_staged_is_not_seen": {
        StagesUnderTheSuffix: "A staged file is seen by readers of `*.bin`",
    },
    "test_staged_files_do_not_pile_up": {
        LeavesStagedFiles: "The staged file is still there after it was published, and the disk fills",
    },
    "test_a_publish_of_nothing_is_an_error": {
        PublishesNothingSilently: "Publishing a staged file that is not there raises nothing",
    },
    "test_a_link_has_the_bytes_and_outlives_its_source": {
        LinksSymbolically: "A link is lost with its source",
    },
    "test_a_link_and_its_source_go_separate_ways": {
        WritesInPlace: "What is published over a link reaches its source",
    },
    "test_a_folder_that_has_files_is_not_removed": {
        RemovesFullFolders: "rmdir() deletes the files in a folder",
    },
    "test_a_link_to_nothing_is_an_error": {
        LinksNothingSilently: "Linking a file that is not there raises nothing",
    },
    "test_a_link_again_or_to_itself_keeps_the_bytes": {
        DeletesBeforeLinking: "Linking a file again, or to itself, raises FileNotFoundError",
    },
    "test_where_there_is_no_file_there_is_none": {
        TakesFoldersForFiles: "Something is found where there is no file",
    },
    "test_a_token_tells_of_other_bytes": {
        TokenOfTheSize: "files one after the other at one path have 1 tokens",
    },
    "test_a_token_of_an_untouched_file_stays": {
        TokenOfTheMoment: "The token of a file that nobody touched changes",
    },
    "test_a_small_object_is_created_once": {
        CreatesAgain: "An object that is there is created again",
    },
    "test_a_version_is_replaced_by_its_token": {
        ReturnsTheOldToken: "replace() returns another token than read() gives of the same version",
    },
    "test_a_version_that_is_gone_is_a_conflict": {
        ReplacesWhatIsGone: "A version that was deleted is replaced all the same",
        ReplacesWithoutAVersion: "A version that was replaced is replaced all the same",
    },
    "test_every_name_stands_for_itself": {
        DecodesNames: "Files with special characters in their names are not there",
    },
    "test_names_that_look_alike_are_two": {
        TakesBackslashesForFolders: "Two names are one file, so that one overwrites the other",
        CutsVersionsOffNames: "Two names are one file, so that one overwrites the other",
    },
    "test_a_name_that_it_refuses_is_refused_before_anything_is_written": {
        DeclaresRefusedCharactersInWords: "A name with 'backslash', which the storage declares as refused, is taken",
    },
    "test_every_name_is_listed_as_it_is": {
        NormalisesListings: "Listings give other names than were written",
    },
    "test_a_name_that_looks_like_a_pattern_is_none": {
        DeletesByPattern: "A name that looks like a pattern reaches other files",
    },
    "test_what_is_there_is_listed": {
        KnowsNoFolders: "Folders and files are not listed as they are",
    },
    "test_where_there_is_no_folder_nothing_is_listed": {
        TakesAllForThere: "exists() is true of a folder that is not there",
    },
    "test_deleting_takes_one_file": {
        DeletesByPrefix: "Deleting a file deletes others",
    },
    "test_an_open_file_is_read_in_any_order": {
        SeeksFromTheStart: "After seek(-7, 2), read(-1) gives other bytes than are there",
    },
    "test_what_another_client_writes_is_seen_at_once": {
        CachesListings: "What another client wrote does not show",
    },
    "test_a_publish_that_fails_leaves_the_old_file_or_the_new": {
        DeletesBeforePublishing: "A write that failed leaves neither the old file nor the new one",
    },
    "test_a_link_that_fails_leaves_the_old_file_or_the_new": {
        DeletesBeforeLinking: "A write that failed leaves neither the old file nor the new one",
    },
    "test_after_a_publish_that_fails_the_next_succeeds": {
        PublishesNothingOfWhatFails: "A write that failed raises nothing, or what is no OSError",
        KeepsItsLockWhereItFails: "The next publish took",
        LeavesAFolderWhereItFails: "The next publish does not succeed, where one request fails before operation 1 (",
    },
    "test_a_link_that_fails_keeps_its_source": {
        TakesTheSourceAway: "A link that failed has changed its source",
    },
    "test_a_large_publish_that_fails_leaves_the_old_file_or_the_new": {
        AtomicForSmallFilesOnly: "A write that failed leaves neither the old file nor the new one",
    },
    "test_a_replace_that_fails_leaves_the_old_object_or_the_new": {
        IgnoresFailedWrites: "A write that failed leaves neither the old file nor the new one",
    },
    "test_a_lost_reply_is_not_a_conflict": {
        TakesALostReplyForALostRace: "A write whose reply was lost is reported as a conflict",
        TakesItsClientsLostReplyForALostRace: "A write whose reply was lost is reported as a conflict",
    },
    "test_a_request_that_is_lost_once_is_sent_again": {
        SaysThatItSendsAgain: "A request that was lost once is not sent again",
    },
    "test_what_can_not_be_read_is_not_taken_for_missing": {
        TakesUnreadableForMissing: "What can't be read is taken for missing, or for another file",
    },
    "test_a_first_publish_that_fails_leaves_none_or_all": {
        PublishesInTwoSteps: "A write that failed leaves neither the old file nor the new one",
    },
    "test_a_large_first_publish_that_fails_leaves_none_or_all": {
        AtomicForSmallFilesOnly: "A write that failed leaves neither the old file nor the new one",
    },
    "test_a_staging_that_fails_is_an_os_error": {
        ClearsTheWay: "A file is lost to one whose folder has its name",
    },
    "test_of_threads_that_create_one_object_one_wins": {
        LocksNobodyOut: "of 16 writers that created one object at once were told that they did",
    },
    "test_of_processes_that_create_one_object_one_wins": {
        LocksThreadsOnly: "of 16 writers that created one object at once were told that they did",
    },
    "test_no_update_of_racing_threads_is_lost": {
        LocksNobodyOut: "Of 40 updates by racing writers",
    },
    "test_no_update_of_racing_processes_is_lost": {
        LocksThreadsOnly: "Of 40 updates by racing writers",
    },
    "test_a_writer_that_was_stopped_overwrites_nothing": {
        BreaksLocksThatAreOld: "A writer that was stopped and went on has overwritten what another one had written",
        LocksThreadsOnly: "A writer that was stopped and went on has overwritten what another one had written",
    },
    "test_a_reader_beside_writers_sees_whole_files": {
        PublishesInTwoSteps: "A reader beside writers sees parts of files of 1,000,000 bytes, or none",
        ListsNothingWhileItReplaces: "A reader beside writers sees parts of files of 1,000,000 bytes, or none",
        ListsAStrayWhileItReplaces: "A reader beside writers sees parts of files of 1,000,000 bytes, or none",
    },
    "test_a_reader_beside_writers_sees_whole_large_files": {
        AtomicForSmallFilesOnly: "A reader beside writers sees parts of files of 22,020,096 bytes, or none",
    },
    "test_a_file_that_is_open_is_one_file": {
        MixesVersions: "A file that was replaced while it was open reads as 1,000,000 bytes of 2 files",
    },
    "test_a_writer_killed_at_random_leaves_whole_files": {
        CopiesInPlace: "A writer that is killed leaves neither the old file nor the new one, whole",
    },
    "test_a_writer_of_large_files_killed_at_random_leaves_whole_files": {
        AtomicForSmallFilesOnly: "A writer that is killed leaves neither the old file nor the new one",
    },
    "test_a_writer_killed_at_each_operation_leaves_whole_files": {
        DeletesBeforePublishing: "A writer that is killed leaves neither the old file nor the new one, whole",
    },
    "test_a_writer_killed_at_each_operation_of_a_large_publish_leaves_whole_files": {
        AtomicForSmallFilesOnly: "A writer that is killed leaves neither the old file nor the new one, whole",
    },
    "test_options_do_not_show_their_secrets": {
        PlainPassword: "Options that are named like secrets are shown",
    },
    "test_nothing_shows_a_secret": {
        LogsItsPassword: "A secret is shown",
        SaysItsPasswordInErrors: "A secret is shown",
    },
    "test_duckdb_reads_exactly_the_files_it_is_given": {
        ReadsTheWholeFolder: "DuckDB reads more or less than one parquet file",
    },
    "test_duckdb_takes_every_name_literally": {
        GivesNamesAsPatterns: "DuckDB reads other files than the one named",
    },
    "test_duckdb_reads_no_other_file_for_one_that_is_missing": {
        GivesNamesAsPatterns: "For 'd/*.parquet', which is not there, DuckDB reads another file",
    },
    "test_duckdb_sees_what_was_overwritten": {
        CopiesOnce: "DuckDB reads a parquet file as it was before it was overwritten",
    },
    "test_many_threads_read_at_once": {
        ReadsForOneOnly: "Of 8 threads that read at once one was refused",
    },
    "test_large_files_are_read_right_every_time": {
        MixesPositions: "A large parquet file is read wrongly",
    },
    "test_the_plugin_host_takes_it": {
        ClaimsABadProtocol: "The plugin host does not take it",
    },
    "test_what_is_copied_to_mad_is_read_there": {
        OpensForReadingOnly: "DuckDB can't write to mad://",
    },
    "test_an_asset_is_stored_cached_and_queried": {
        ForgetsSmallObjects: "An asset is not found in the cache",
    },
    "test_a_run_that_fails_half_way_leaves_the_last_result": {
        DeletesEverything: "A run that failed has changed the result before it",
    },
    "test_an_asset_names_its_own_storage": {
        KnowsBucketsOnly: "An asset can't be stored by its own URL",
    },
}
"""By the contract test that is to notice it: what is wrong, and what the failure says."""
