"""`mad://` in a DuckDB database that several bases share, such as the one of `duckdb.sql`.

DuckDB lists the files of a statement in the thread that asks, where the base in force is known, and opens them in
threads of its own, where it is not. So a listed name says its base for good: that of the base under which `mad://` was
registered is the path, that of another base has a token before it. A relation that `duckdb.sql` gave is listed again
each time its rows are asked for, below the base that it was made under.

A statement that writes lists nothing. It begins with a look, in the thread that asks, at what is there. Until that
call of DuckDB returns, the path is claimed for the base that was in force.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

from fsspec import AbstractFileSystem

from mad_prefect_core.addresses import is_called_by_duckdb
from mad_prefect_core.errors import PathError
from mad_prefect_core.mounts import BaseKey, Mount, default_mount
from mad_prefect_core.relation_bases import RelationBases
from mad_prefect_core.settings import all_settings

__all__ = ["SharedMad"]

_TOKEN = re.compile(r"@([0-9a-f]{32})/(.*)", re.DOTALL)
_LISTED = 2**16  # names
_CLAIMS = 64


class _Claim(NamedTuple):
    """That a call of DuckDB, which a user's code has made, is for a base."""

    base: str
    thread: int
    frame: int
    at: int

    @classmethod
    def of(cls, base: str, frame: FrameType) -> _Claim:
        """For the call of DuckDB in this frame, by the code that made it; a thread may have been started in DuckDB."""
        while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "duckdb":
            frame = frame.f_back
        return cls(base, threading.get_ident(), id(frame), frame.f_lasti)

    def is_live(self) -> bool:
        """Whether the thread is still in the call of DuckDB in which the claim was made."""
        frame = sys._current_frames().get(self.thread)
        while frame is not None and id(frame) != self.frame:
            frame = frame.f_back
        return frame is not None and frame.f_lasti == self.at


class SharedMad(AbstractFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """Each call goes to the filesystem of its path's base.

    Args:
        home: The base whose files have plain names.
        files_of: The filesystem of a base.
    """

    protocol = "mad"
    cachable = False

    def __init__(self, home: Mount, files_of: Callable[[Mount], Any]) -> None:
        super().__init__()
        self._files_of = files_of
        self._lock = threading.Lock()
        self._tokens: dict[BaseKey, str] = {}
        self._files: dict[str, Any] = {}
        self._home = self._token(home)
        self._listed: OrderedDict[str, None] = OrderedDict()
        """Names of the home base that DuckDB may open."""
        self._claims: dict[str, _Claim] = {}
        self._listings: dict[str, list[_Claim]] = {}
        self._relations = RelationBases()

    def glob(self, path: str, **kwargs: Any) -> list[str]:
        """What a statement that reads begins with."""
        given, name = self._split(path)
        if is_called_by_duckdb(1):
            base = self._listing_base(name)
        else:
            base = self._base_of_statement(name, sys._getframe(1))
        if given not in (None, base):
            raise PathError("A file was listed under another base", hint="Name it by its path below the base.")
        found: list[str] = self._files[base].glob(name, **kwargs)
        if base != self._home:
            return [f"@{base}/{name}" for name in found]
        self._remember(found)
        return found

    def open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> Any:
        """A listed file for reading, or one for writing."""
        files, name = self._reading(path) if mode == "rb" else self._writing(path)
        return files.open(name, mode, *args, **kwargs)

    def size(self, path: str) -> int:
        """Of a listed file."""
        files, name = self._reading(path)
        return int(files.size(name))

    def modified(self, path: str) -> dt.datetime:
        """When a listed file was."""
        files, name = self._reading(path)
        found: dt.datetime = files.modified(name)
        return found

    def isfile(self, path: str) -> bool:
        """What a COPY begins with."""
        files, name = self._writing(path)
        return bool(files.isfile(name))

    def isdir(self, path: str) -> bool:
        """What an EXPORT begins with."""
        files, name = self._writing(path)
        return bool(files.isdir(name))

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is such a file or folder."""
        files, name = self._writing(path)
        return bool(files.exists(name, **kwargs))

    def info(self, path: str, **kwargs: Any) -> Any:
        """What is known of a file or folder."""
        files, name = self._writing(path)
        return files.info(name, **kwargs)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        """What is in a folder that is written to."""
        files, name = self._writing(path)
        return files.ls(name, detail=detail, **kwargs)

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a folder."""
        files, name = self._writing(path)
        files.mkdir(name, create_parents=create_parents, **kwargs)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it."""
        files, name = self._writing(path)
        files.makedirs(name, exist_ok=exist_ok)

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Give a file that was just written its name."""
        files, name = self._writing(path2)
        files.mv(self._split(path1)[1], name, **kwargs)

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete a file that is written again."""
        files, name = self._writing(path)
        files.rm(name, recursive=recursive, maxdepth=maxdepth)

    def rm_file(self, path: str) -> None:
        """As `rm`."""
        files, name = self._writing(path)
        files.rm_file(name)

    def _split(self, path: str) -> tuple[str | None, str]:
        name = path.removeprefix("mad://")
        match = _TOKEN.fullmatch(name)
        return (match[1], match[2]) if match and match[1] in self._files else (None, name)

    def _token(self, base: Mount) -> str:
        with self._lock:
            if base.key not in self._tokens:
                token = secrets.token_hex(16)
                self._files[token] = self._files_of(base)
                self._tokens[base.key] = token
            return self._tokens[base.key]

    def _base_of_statement(self, name: str, frame: FrameType) -> str:
        in_force = self._token(default_mount())
        with self._lock:
            base = self._relations.base(frame, in_force)
            claim = _Claim.of(base, frame)  # this thread's others are of calls that have returned
            others = [other for other in self._listings.get(name, ()) if other.thread != claim.thread]
            self._listings[name] = [*_live(others), claim]
            if len(self._listings) > _CLAIMS:
                self._listings = {name: live for name, claims in self._listings.items() if (live := _live(claims))}
        return base

    def _listing_base(self, name: str) -> str:
        """The base of a listing by DuckDB itself: of the calls in which the same was listed, as `read_csv` does."""
        with self._lock:
            bases = {claim.base for claim in _live(self._listings.get(name, []))}
        if len(bases) > 1:
            raise _unknown(name)
        return bases.pop() if bases else self._only_base()

    def _remember(self, names: list[str]) -> None:
        with self._lock:
            for name in names:
                self._listed[name] = None
                self._listed.move_to_end(name)
            while len(self._listed) > _LISTED:
                self._listed.popitem(last=False)

    def _reading(self, path: str) -> tuple[Any, str]:
        base, name = self._split(path)
        if base is None:
            if name in self._listed:
                base = self._home
            elif is_called_by_duckdb(2):
                base = self._claimed(name) or self._only_base()
            else:
                base = self._token(default_mount())
                if base != self._home:  # it may be a file of the home base whose listing is forgotten
                    raise _unknown(name)
        return self._files[base], name

    def _writing(self, path: str) -> tuple[Any, str]:
        base, name = self._split(path)
        if base is not None:
            raise PathError("A file was listed under another base", hint="Name it by its path below the base.")
        if is_called_by_duckdb(2):
            base = self._claimed(name) or self._only_base()
        else:
            base = self._token(default_mount())
            self._claim(name, base, sys._getframe(2))
        return self._files[base], name

    def _claim(self, name: str, base: str, frame: FrameType) -> None:
        claim = _Claim.of(base, frame)
        own = _written_as(name)
        with self._lock:
            for path, other in list(self._claims.items()):
                meet = path == own or path.startswith(f"{own}/") or own.startswith(f"{path}/")
                if meet and other.base != base and other.thread != claim.thread and other.is_live():
                    raise PathError(
                        "The same path is being written below another base in this DuckDB database",
                        path=name,
                        hint="Write from a connection of its own: duckdb.connect(), then register_mad(connection).",
                    )
            self._claims[own] = claim
            if len(self._claims) > _CLAIMS:
                self._claims = {path: other for path, other in self._claims.items() if other.is_live()}

    def _claimed(self, name: str) -> str | None:
        for path in _with_parents(_written_as(name)):
            if (claim := self._claims.get(path)) is not None and claim.is_live():
                return claim.base
        return None

    def _only_base(self) -> str:
        """The base of a call by DuckDB itself, which says nothing of the statement: known only where all of the process
        have the same base in force."""
        if len({(settings.filesystem_url, settings.filesystem_block_name) for settings in all_settings()}) > 1:
            raise _unknown()
        return self._token(default_mount())


def _live(claims: list[_Claim]) -> list[_Claim]:
    return [claim for claim in claims if claim.is_live()]


def _written_as(name: str) -> str:
    """DuckDB writes to `tmp_x` what becomes `x`."""
    folder, slash, file = name.strip("/").rpartition("/")
    return f"{folder}{slash}{file.removeprefix('tmp_')}"


def _with_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _unknown(name: str | None = None) -> PathError:
    return PathError(
        "Which base mad:// means can't be known here: several are in force in this process",
        path=name,
        hint="Use a connection of its own for each base: duckdb.connect(), then register_mad(connection). "
        "Write with USE_TMP_FILE true.",
    )
