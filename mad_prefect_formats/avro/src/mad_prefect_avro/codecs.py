"""The codecs of Avro's blocks. pyarrow, which the core needs anyway, brings those that Python lacks."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa

from mad_prefect_core.sdk import ConfigurationError

__all__ = ["CODECS", "MOST_CONTENT", "Codec", "check", "compress", "decompress"]

Codec = Literal["bzip2", "deflate", "null", "snappy", "xz", "zstandard"]
CODECS: tuple[Codec, ...] = ("bzip2", "deflate", "null", "snappy", "xz", "zstandard")

MOST_CONTENT = 1 << 28
"""Bytes that a compressed block may hold. Writers make blocks of some 64 kB, or of one row that is larger."""

_MOST_MEMORY = 1 << 28  # bytes that xz may need for itself
_MOST_OF_SNAPPY = 64  # bytes of content that one of its bytes can stand for
_OF_PYARROW = {"snappy": "snappy", "zstandard": "zstd"}


def check(codec: str) -> None:
    """Raises `ConfigurationError` for a codec that is not there."""
    if codec not in CODECS:
        raise ConfigurationError(
            f"The Avro codec {codec!r} is unknown here", hint=f"Those known are {', '.join(CODECS)}."
        )
    if (name := _OF_PYARROW.get(codec)) and not pa.Codec.is_available(name):
        raise ConfigurationError(
            f"The Avro codec {codec!r} is not part of this build of pyarrow",
            hint="Install one that has it: `pip install --force-reinstall pyarrow`.",
        )


def compress(codec: str, data: bytes, level: int | None) -> bytes:
    """The bytes of a block as they are stored."""
    if codec == "deflate":
        deflate = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION if level is None else level, wbits=-15)
        return deflate.compress(data) + deflate.flush()
    if codec == "bzip2":
        return bz2.compress(data, 9 if level is None else level)
    if codec == "xz":
        return lzma.compress(data, preset=level)
    if codec == "snappy":
        return bytes(pa.Codec("snappy").compress(data, asbytes=True)) + zlib.crc32(data).to_bytes(4, "big")
    if codec == "zstandard":
        return bytes(pa.Codec("zstd", compression_level=level).compress(data, asbytes=True))
    return data


def decompress(codec: str, data: bytes) -> bytes:
    """The bytes that were compressed. Raises the library's own error, or `ValueError`, where they are damaged, or are
    more than `MOST_CONTENT`: a few bytes may claim to be any number."""
    if codec == "deflate":
        deflated = zlib.decompressobj(wbits=-15)
        content = deflated.decompress(data, MOST_CONTENT)
        if not deflated.eof:
            raise _too_large() if deflated.unconsumed_tail else ValueError("a block's content does not end")
        return content
    if codec == "bzip2":
        return _of_stream(bz2.BZ2Decompressor, data)
    if codec == "xz":
        return _of_stream(lambda: lzma.LZMADecompressor(memlimit=_MOST_MEMORY), data)
    if codec == "snappy":
        size = _snappy_size(data)
        if size > min(MOST_CONTENT, _MOST_OF_SNAPPY * len(data)):
            raise _too_large()
        content = bytes(pa.Codec("snappy").decompress(data[:-4], size, asbytes=True))
        if zlib.crc32(content) != int.from_bytes(data[-4:], "big"):
            raise ValueError("a block does not have the checksum that it says")
        return content
    if codec == "zstandard":
        # A frame need not say how large its content is, so it is read as a stream.
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            content = bytes(stream.read(MOST_CONTENT + 1))
        if len(content) > MOST_CONTENT:
            raise _too_large()
        return content
    return data


def _of_stream(make: Callable[[], Any], data: bytes) -> bytes:
    """The content of compressed streams, one after the other."""
    content = b""
    while data:
        stream = make()
        content += stream.decompress(data, MOST_CONTENT + 1 - len(content))
        if len(content) > MOST_CONTENT:
            raise _too_large()
        if not stream.eof:
            raise ValueError("a block's content does not end")
        data = stream.unused_data
    return content


def _too_large() -> ValueError:
    return ValueError(f"a block has more than {MOST_CONTENT >> 20} MiB of content")


def _snappy_size(data: bytes) -> int:
    """What compressed bytes begin with: the size of the content, low bits first."""
    size = 0
    for place, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size
    raise ValueError("a block does not begin with a size")
