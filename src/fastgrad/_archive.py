"""The layout of an .npz: a zip archive whose members are stored as they are, none compressed, one after the other.

Written so that `zipfile` and `numpy.load` read it. Read by numbers that are compared with the file's size before
anything is done with them; an array's header is matched with what NumPy writes, and never evaluated. What an array
means is not known here, and nothing is repaired.
"""

import math
import re
import struct
import zlib
from collections.abc import Sequence
from io import BufferedReader, BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
_LONG = struct.Struct("<Q")
_IN_EXTRA = 0xFFFFFFFF  # what stands for a number of 32 bits that is kept as one of 64 elsewhere
_MOST_ENTRIES = 0xFFFF
_EXTRA_64 = 1
_VERSION, _UNIX, _DATE, _MODE = 45, 3 << 8, 1 << 5 | 1, 0o600 << 16  # first of January, 1980
_UTF8 = 1 << 11

_NPY = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '([<>|]\w+)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n", re.DOTALL
)
_NPY_MOST = 10 + 0xFFFF


class Member(NamedTuple):
    """One file of the archive: its name, CRC-32 and size, and where its local header and its bytes start."""

    name: str
    crc: int
    size: int
    start: int
    data: int

    @property
    def end(self) -> int:
        return self.data + self.size


def packed(name: str, array: npt.ArrayLike, start: int) -> tuple[Member, list[bytes]]:
    """Return an array as the member that starts at `start`, and the bytes that are to stand there."""
    content = BytesIO()
    np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
    data, encoded = content.getvalue(), name.encode()
    member = Member(name, zlib.crc32(data), len(data), start, start + _LOCAL.size + len(encoded))
    sizes = member.crc, member.size, member.size
    return member, [_LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _DATE, *sizes, len(encoded), 0) + encoded, data]


def entry(member: Member) -> bytes:
    """Return what the directory says of a member."""
    name, far = member.name.encode(), member.start >= _IN_EXTRA
    extra = struct.pack("<2HQ", _EXTRA_64, _LONG.size, member.start) if far else b""
    numbers = member.crc, member.size, member.size, len(name), len(extra), 0, 0, 0, _MODE
    start = _IN_EXTRA if far else member.start
    return _CENTRAL.pack(b"PK\1\2", _UNIX | _VERSION, _VERSION, 0, 0, 0, _DATE, *numbers, start) + name + extra


def directory(entries: bytes, count: int, start: int) -> bytes:
    """Return the directory of so many entries that starts at `start`, with which the file is to end."""
    size, end = len(entries), start + len(entries)
    long = b""
    if start >= _IN_EXTRA or count >= _MOST_ENTRIES:
        record = (_END64.size - 12, _UNIX | _VERSION, _VERSION, 0, 0, count, count, size, start)
        long = _END64.pack(b"PK\6\6", *record) + _LOCATOR.pack(b"PK\6\7", 0, end, 1)
    counts = [min(count, _MOST_ENTRIES)] * 2
    return entries + long + _END.pack(b"PK\5\6", 0, 0, *counts, min(size, _IN_EXTRA), min(start, _IN_EXTRA), 0)


def walked(file: BufferedReader, size: int) -> list[Member]:
    """Return the members that follow each other from the file's beginning, up to what is not a whole one.

    Their bytes are within the file. Nothing else is known of them.
    """
    members: list[Member] = []
    while (member := _member_at(file, members[-1].end if members else 0, size)) is not None:
        members.append(member)
    return members


def _member_at(file: BufferedReader, start: int, size: int) -> Member | None:
    header = _read(file, start, _LOCAL.size)
    if len(header) < _LOCAL.size:
        return None
    mark, _, flags, method, _, _, crc, packed_size, full_size, name_length, extra_length = _LOCAL.unpack(header)
    rest = _read(file, start + _LOCAL.size, name_length + extra_length)
    name, extra = rest[:name_length], rest[name_length:]
    long = _from_extra(extra, full_size, packed_size)
    if mark != b"PK\3\4" or flags & ~_UTF8 or method or long is None or long[0] != long[1] or not name.isascii():
        return None
    member = Member(name.decode("ascii"), crc, long[0], start, start + _LOCAL.size + name_length + extra_length)
    return member if member.end <= size else None


def _from_extra(extra: bytes, *numbers: int) -> list[int] | None:
    """Return the numbers, each that is kept in an extra field read from there; None where it is not."""
    if _IN_EXTRA not in numbers:
        return list(numbers)
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _EXTRA_64:
            wanted = numbers.count(_IN_EXTRA)
            if len(field) < wanted * _LONG.size:
                return None
            kept = iter(struct.unpack_from(f"<{wanted}Q", field))
            return [next(kept) if number == _IN_EXTRA else number for number in numbers]
    return None


class Directory(NamedTuple):
    """What the end of an archive says of it: (name, CRC-32, size, start) of each member, and where it starts itself."""

    entries: list[tuple[str, int, int, int]]
    start: int

    def lists(self, members: Sequence[Member]) -> bool:
        """Return whether it lists these members and no others, in this order."""
        return self.entries == [(each.name, each.crc, each.size, each.start) for each in members]


def listed(file: BufferedReader, size: int) -> Directory | None:
    """Return the directory with which a file ends, None where it does not end in one.

    Raises
    ------
    ValueError
        The directory contradicts itself.
    """
    end = size - _END.size
    record = _read(file, end, _END.size) if end >= 0 else b""
    if len(record) < _END.size or not record.startswith(b"PK\5\6"):
        return None
    _, _, _, count, total, length, start, comment = _END.unpack(record)
    locator = _read(file, end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if len(locator) == _LOCATOR.size and locator.startswith(b"PK\6\7"):
        end = _LOCATOR.unpack(locator)[2]
        record = _read(file, end, _END64.size)
        if (
            len(record) < _END64.size
            or end != size - _END.size - _LOCATOR.size - _END64.size
            or record[:4] != b"PK\6\6"
        ):
            raise ValueError("its directory's end is damaged")
        count, total, length, start = _END64.unpack(record)[6:]
    if comment or count != total or start + length != end:
        raise ValueError("its directory's end is damaged")
    return Directory(_entries(_read(file, start, length), count), start)


def _entries(text: bytes, count: int) -> list[tuple[str, int, int, int]]:
    entries, at = [], 0
    while at < len(text):
        if len(text) - at < _CENTRAL.size:
            raise ValueError("its directory is damaged")
        fields = _CENTRAL.unpack_from(text, at)
        mark, _, _, flags, method, _, _, crc, packed_size, full_size, name_length, extra_length, comment = fields[:13]
        at += _CENTRAL.size + name_length + extra_length
        name = text[at - extra_length - name_length : at - extra_length]
        long = _from_extra(text[at - extra_length : at], full_size, packed_size, fields[-1])
        if mark != b"PK\1\2" or comment or at > len(text) or long is None or not name.isascii():
            raise ValueError("its directory is damaged")
        if method or flags & ~_UTF8 or long[0] != long[1]:
            raise ValueError(f"its member {name.decode('ascii')!r} is compressed or encrypted")
        entries.append((name.decode("ascii"), crc, long[0], long[2]))
    if len(entries) != count:
        raise ValueError(f"its directory has {len(entries)} entries and says {count}")
    return entries


class Header(NamedTuple):
    """How NumPy says an array is stored."""

    dtype: str
    shape: tuple[int, ...]


def header(file: BufferedReader, member: Member) -> Header:
    """Return the header of the array that a member is; its numbers agree with the member's size.

    Raises
    ------
    ValueError
        It is no array as NumPy writes it, or one of another size.
    """
    text = _read(file, member.data, min(member.size, _NPY_MOST))
    found = _NPY.match(text)
    if found is None or int.from_bytes(found[1], "little") != found.end() - 10:
        raise ValueError(f"its member {member.name} is no array")
    numbers = [number.strip() for number in found[3].decode().split(",") if number.strip()]
    if any(not number.isdigit() or len(number) > 18 for number in numbers):
        raise ValueError(f"its member {member.name} has a shape of ({found[3].decode()[:80]})")
    dtype, shape = found[2].decode(), tuple(map(int, numbers))
    if not re.fullmatch(r"[<>|](i8|f8|U[1-9]\d{0,3})", dtype):
        raise ValueError(f"its member {member.name} is of dtype {dtype[:80]}")
    if math.prod(shape) * np.dtype(dtype).itemsize != member.size - found.end():
        raise ValueError(f"its member {member.name} is too short or too long for an array of shape {shape}")
    return Header(dtype, shape)


def read_into(file: BufferedReader, member: Member, out: Array) -> bool:
    """Fill a contiguous array with that of a member; return whether its bytes are those that the CRC is of."""
    view = memoryview(out.reshape(-1).view(np.uint8).data if out.size else b"")
    head = _read(file, member.data, member.size - len(view))
    filled = 0
    while filled < len(view) and (more := file.readinto(view[filled:])):
        filled += more
    return filled == len(view) and zlib.crc32(view, zlib.crc32(head)) == member.crc


def _read(file: BufferedReader, start: int, length: int) -> bytes:
    """Return that many bytes, fewer where the file ends; asks for no more memory than there are bytes."""
    size = file.seek(0, 2)
    file.seek(min(start, size))
    return file.read(max(0, min(length, size - start)))
