"""The files that a format is given, as a pyarrow filesystem: on any storage, for readers that take one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import fs

__all__ = ["arrow_filesystem"]


def arrow_filesystem(opener: Callable[[str], Callable[[], BinaryIO]]) -> fs.PyFileSystem:
    """A filesystem for reading: `opener` says how a file is opened, by its path."""
    return fs.PyFileSystem(_Files(opener))


class _Files(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow is not typed
    """Files are opened by name. There are no folders to list, and nothing is written."""

    def __init__(self, opener: Callable[[str], Callable[[], BinaryIO]]) -> None:
        self._opener = opener

    def get_type_name(self) -> str:
        return "mad-prefect"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[fs.FileInfo]:
        return [fs.FileInfo(path, fs.FileType.File) for path in paths]  # one that is not there says so when opened

    def open_input_file(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(_Closing(self._opener(path)()), mode="r")

    open_input_stream = open_input_file

    def _refuse(self, *_: Any, **__: Any) -> Any:
        # As pyarrow expects it of a filesystem that only reads, and has no folders.
        raise NotImplementedError("Of the files that a format is given, each is read by its name")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = _refuse
    get_file_info_selector = move = open_append_stream = open_output_stream = _refuse


class _Closing:
    """A file that is closed when pyarrow lets go of it, which it does without closing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __del__(self) -> None:
        self._file.close()
