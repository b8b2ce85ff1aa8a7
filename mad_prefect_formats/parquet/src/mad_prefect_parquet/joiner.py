"""One Parquet file of several: their row groups byte for byte, under one footer that tells their new places.

The numbers of members are those of `parquet.thrift` in the Parquet project's format repository.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from mad_prefect_core.sdk import FormatJoiner
from mad_prefect_parquet import thrift
from mad_prefect_parquet.thrift import Member, Structure

__all__ = ["ParquetJoiner"]

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: the footer's length, and the magic
_BUFFER = 1 << 20  # bytes
_MOST_GROUPS = 32_767  # what their ordinals can count

# FileMetaData
_ROWS, _ROW_GROUPS = 3, 4
# RowGroup
_CHUNKS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
# ColumnChunk: the page index has places of pages in it, which would be wrong; readers do without
_CHUNK_OFFSET, _META, _PAGE_INDEX = 2, 3, (4, 5, 6, 7)
# ColumnMetaData: data pages, index pages, dictionary page, Bloom filter
_PAGES = (9, 10, 11, 14)


class ParquetJoiner(FormatJoiner):
    """Joins files that have the same columns, unless their row groups are too small for readers to be quick."""

    def __init__(self, path: Path, row_group_size: int) -> None:
        self._path = path
        self._row_group_size = row_group_size
        self._out = path.open("wb")
        self._out.write(_MAGIC)
        self._about: Structure | None = None
        self._groups: list[bytes] = []  # as they stand in the footer: of a large file there are many
        self._rows = 0

    def add(self, opened: Callable[[], BinaryIO]) -> bool:
        with opened() as file:
            try:
                footer, length = _footer(file)
                groups: list[Structure] = footer[_ROW_GROUPS].value[1]
                rows: int = footer[_ROWS].value
                by = self._out.tell() - len(_MAGIC)
                moved = [_moved(group, by, len(self._groups) + number) for number, group in enumerate(groups)]
            except (KeyError, TypeError, ValueError):
                return False  # whoever reads it will say what is wrong with it
            about = {number: member for number, member in footer.items() if number not in (_ROWS, _ROW_GROUPS)}
            # Schema, order of values, writer, and whatever else is said of a whole file.
            if self._about not in (None, about) or len(self._groups) + len(groups) > _MOST_GROUPS:
                return False
            if self._rows < len(self._groups) * self._row_group_size / 2:  # the last file may have a small one
                return False
            _copy(file, self._out, length)
        self._groups += map(thrift.written, moved)
        self._rows += rows
        self._about = about
        return True

    def close(self) -> None:
        rows = {_ROWS: Member(thrift.I64, self._rows), _ROW_GROUPS: Member(thrift.LIST, (thrift.STRUCT, self._groups))}
        footer = thrift.written((self._about or {}) | rows)
        self._out.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
        self._out.close()

    def abort(self) -> None:
        self._out.close()
        self._path.unlink(missing_ok=True)


def _footer(file: BinaryIO) -> tuple[Structure, int]:
    """A file's footer, and where it begins."""
    end = file.seek(0, 2) - _TAIL
    file.seek(max(end, 0))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    begin = end - length
    if tail[4:] != _MAGIC or begin < len(_MAGIC):
        raise ValueError("That is no Parquet")
    file.seek(begin)
    return thrift.read(file.read(length)), begin


def _moved(group: Structure, by: int, number: int) -> Structure:
    """A row group whose bytes are so much farther behind, and that is the `number`-th now."""
    kind, chunks = group[_CHUNKS].value
    moved = _shifted(group, (_GROUP_OFFSET,), by)
    moved[_CHUNKS] = Member(thrift.LIST, (kind, [_moved_chunk(chunk, by) for chunk in chunks]))
    if _ORDINAL in group:
        moved[_ORDINAL] = Member(thrift.I16, number)
    return moved


def _moved_chunk(chunk: Structure, by: int) -> Structure:
    moved = _shifted(chunk, (_CHUNK_OFFSET,), by)
    kind, meta = chunk[_META]
    moved[_META] = Member(kind, _shifted(meta, _PAGES, by))
    return {number: member for number, member in moved.items() if number not in _PAGE_INDEX}


def _shifted(structure: Structure, offsets: Sequence[int], by: int) -> Structure:
    """With these members, as far as they are there, so much larger; 0 says that there is nothing."""
    found = {number: structure[number] for number in offsets if number in structure and structure[number].value}
    return structure | {number: Member(kind, value + by) for number, (kind, value) in found.items()}


def _copy(file: BinaryIO, out: BinaryIO, end: int) -> None:
    """All between a file's magic and its footer."""
    file.seek(len(_MAGIC))
    left = end - len(_MAGIC)
    while left:
        part = file.read(min(left, _BUFFER))
        if not part:
            raise EOFError("The file is shorter than when its footer was read")
        out.write(part)
        left -= len(part)
