# SPDX-License-Identifier: MIT
"""Character vectors out of R's lazy-load databases (`Rdata.rdb`).

A database is a run of records: 4-byte big-endian size of the unpacked object, then a zlib stream. Each
object is in R's XDR serialisation (R Internals, section 1.8): a flags word per item, whose low byte is
the type. Only what data sets of text need is read: vectors, pairlists (attributes), symbols.
"""
import struct
import zlib
from typing import Iterator, Union

_HAS_ATTR, _HAS_TAG = 0x200, 0x400
_LATIN1 = 1 << 2                      # in the "levels" bits of a CHARSXP
_NIL, _REF = 254, 255
_SYMBOL, _PAIRLIST, _CHAR, _STRINGS, _LIST = 1, 2, 9, 16, 19
_NUMBERS = {10: 4, 13: 4, 14: 8, 15: 16, 24: 1}     # logical, integer, double, complex, raw: bytes each

Value = Union[None, str, list]


class RDataError(ValueError):
    """The bytes are not a lazy-load database, or use a type that text data does not need."""


class _Reader:
    """A cursor over one serialised object."""

    def __init__(self, data: bytes):
        self.data, self.at, self.refs = data, 0, []
        if self._bytes(2) != b"X\n":
            raise RDataError("not an XDR serialisation: it does not start with 'X'")
        version = self._int()
        self._bytes(8)                             # versions of the writer and of the oldest reader
        if version == 3:
            self._bytes(self._int())               # native encoding
        elif version != 2:
            raise RDataError(f"serialisation version {version}, expected 2 or 3")

    def _bytes(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise RDataError(f"object ends at byte {len(self.data)}, expected {count} more at {self.at}")
        self.at += count
        return self.data[self.at - count:self.at]

    def _int(self) -> int:
        return struct.unpack(">i", self._bytes(4))[0]

    def _length(self) -> int:
        """Vector length; -1 announces a 64-bit one."""
        count = self._int()
        return count if count != -1 else struct.unpack(">q", self._bytes(8))[0]

    def item(self) -> Value:
        """Read one value. Attributes are read past and dropped."""
        flags = self._int()
        kind = flags & 0xFF
        if kind == _NIL:
            return None
        if kind == _REF:
            return self.refs[(flags >> 8 or self._int()) - 1]
        if kind == _CHAR:
            return self._char(flags)
        if kind == _SYMBOL:
            self.refs.append(self.item())
            return self.refs[-1]
        if kind == _PAIRLIST:
            return self._pairlist(flags)
        value = self._vector(kind)
        if flags & _HAS_ATTR:
            self.item()
        return value

    def _char(self, flags: int) -> Value:
        size = self._int()
        if size == -1:
            return None                            # NA
        encoding = "latin-1" if flags >> 12 & _LATIN1 else "utf-8"
        return self._bytes(size).decode(encoding)

    def _vector(self, kind: int) -> list:
        if kind in _NUMBERS:
            self._bytes(self._length() * _NUMBERS[kind])
            return []
        if kind in (_STRINGS, _LIST):
            return [self.item() for _ in range(self._length())]
        raise RDataError(f"item of type {kind} at byte {self.at - 4}, expected vectors of text")

    def _pairlist(self, flags: int) -> list:
        values = []
        while flags & 0xFF == _PAIRLIST:
            if flags & _HAS_ATTR:
                self.item()
            if flags & _HAS_TAG:
                self.item()
            values.append(self.item())
            flags = self._int()
        if flags & 0xFF != _NIL:
            raise RDataError(f"pairlist ends in type {flags & 0xFF}, expected {_NIL}")
        return values


def unserialize(data: bytes) -> Value:
    """Parse one object; numbers come back as empty lists, text as strings in (nested) lists."""
    return _Reader(data).item()


def records(database: bytes) -> Iterator[bytes]:
    """Unpack the records of a lazy-load database, in file order."""
    at = 0
    while at < len(database):
        size = int.from_bytes(database[at:at + 4], "big")
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(database[at + 4:])
        except zlib.error as error:
            raise RDataError(f"record at byte {at}: {error}") from None
        if len(data) != size or not stream.eof:
            raise RDataError(f"record at byte {at}: {len(data)} bytes, expected {size}")
        yield data
        at = len(database) - len(stream.unused_data)


def strings(value: Value) -> list[str]:
    """All text in a value, in order."""
    if isinstance(value, str):
        return [value]
    return [s for part in value or () for s in strings(part)]
