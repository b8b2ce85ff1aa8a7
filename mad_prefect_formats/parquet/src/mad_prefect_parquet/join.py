"""One Parquet file of several: their row groups byte for byte, under one footer that tells their new places.

The numbers of members are those of `parquet.thrift` in the Parquet project's format repository.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from mad_prefect_parquet import thrift
from mad_prefect_parquet.thrift import I64, LIST, Member, Structure

__all__ = ["join"]

_MAGIC = b"PAR1"
_TAIL = 8  # bytes: the footer's length, and the magic
_BUFFER = 1 << 20  # bytes
_MOST_GROUPS = 32_767  # what their ordinals can count

# FileMetaData
_ROWS, _ROW_GROUPS = 3, 4
# RowGroup
_CHUNKS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
# ColumnChunk
_CHUNK_OFFSET, _META, _OFFSET_INDEX, _COLUMN_INDEX = 2, 3, 4, 6
# ColumnMetaData: data pages, index pages, dictionary page, Bloom filter
_PAGES = (9, 10, 11, 14)


def join(files: Sequence[Callable[[], BinaryIO]], path: Path, row_group_size: int) -> bool:
    """Write all rows of `files`, in order, to a new file at `path`, unless that would be a worse file than one that
    is written anew: its row groups would be too small. False then, and where the files' columns differ."""
    footers = []
    for opened in files:
        with opened() as file:
            footers.append(_footer(file))
    groups = sum(len(_groups(footer)) for footer, _ in footers)
    rows = sum(footer[_ROWS].value for footer, _ in footers)
    if groups > _MOST_GROUPS or rows < groups * row_group_size / 2 or not _alike([footer for footer, _ in footers]):
        return False
    joined = footers[0][0]
    moved: list[Structure] = []
    with path.open("wb") as out:
        out.write(_MAGIC)
        for opened, (footer, length) in zip(files, footers, strict=True):
            by = out.tell() - len(_MAGIC)
            moved += (_moved(group, by) for group in _groups(footer))
            with opened() as file:
                _copy(file, out, length)
        for number, group in enumerate(moved):
            if _ORDINAL in group:
                group[_ORDINAL] = Member(thrift.I16, number)
        kind, _ = joined[_ROW_GROUPS].value
        joined[_ROW_GROUPS] = Member(LIST, (kind, moved))
        joined[_ROWS] = Member(I64, rows)
        footer_bytes = thrift.written(joined)
        out.write(footer_bytes + len(footer_bytes).to_bytes(4, "little") + _MAGIC)
    return True


def _footer(file: BinaryIO) -> tuple[Structure, int]:
    """A file's footer, and where it begins."""
    end = file.seek(-_TAIL, 2)
    length = int.from_bytes(file.read(4), "little")
    begin = file.seek(end - length)
    return thrift.read(file.read(length)), begin


def _groups(footer: Structure) -> list[Structure]:
    groups: list[Structure] = footer[_ROW_GROUPS].value[1]
    return groups


def _alike(footers: Sequence[Structure]) -> bool:
    """Whether all but rows is the same: schema, order of values, writer, and what else is said of the whole file."""
    own = [{number: member for number, member in f.items() if number not in (_ROWS, _ROW_GROUPS)} for f in footers]
    return all(other == own[0] for other in own)


def _moved(group: Structure, by: int) -> Structure:
    """A row group whose bytes are so much farther behind."""
    kind, chunks = group[_CHUNKS].value
    moved = _shifted(group, (_GROUP_OFFSET,), by)
    moved[_CHUNKS] = Member(LIST, (kind, [_moved_chunk(chunk, by) for chunk in chunks]))
    return moved


def _moved_chunk(chunk: Structure, by: int) -> Structure:
    moved = _shifted(chunk, (_CHUNK_OFFSET, _OFFSET_INDEX, _COLUMN_INDEX), by)
    kind, meta = chunk[_META]
    moved[_META] = Member(kind, _shifted(meta, _PAGES, by))
    return moved


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
