"""The codecs of Avro's blocks. pyarrow, which the core needs anyway, brings those that Python lacks."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Literal

import pyarrow as pa

from mad_prefect_core.errors import ConfigurationError

__all__ = ["CODECS", "Codec", "check", "compress", "decompress"]

Codec = Literal["bzip2", "deflate", "null", "snappy", "xz", "zstandard"]
CODECS: tuple[Codec, ...] = ("bzip2", "deflate", "null", "snappy", "xz", "zstandard")

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
    """The bytes that were compressed. Raises the library's own error, or `ValueError`, where they are damaged."""
    if codec == "deflate":
        return zlib.decompress(data, wbits=-15)
    if codec == "bzip2":
        return bz2.decompress(data)
    if codec == "xz":
        return lzma.decompress(data)
    if codec == "snappy":
        found = bytes(pa.Codec("snappy").decompress(data[:-4], _snappy_size(data), asbytes=True))
        if zlib.crc32(found) != int.from_bytes(data[-4:], "big"):
            raise ValueError("a block does not have the checksum that it says")
        return found
    if codec == "zstandard":
        # A frame need not say how large its content is, so it is read as a stream.
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return bytes(stream.read())
    return data


def _snappy_size(data: bytes) -> int:
    """What compressed bytes begin with: the size of the content, low bits first."""
    size = 0
    for place, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size
    raise ValueError("a block does not begin with a size")
