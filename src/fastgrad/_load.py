"""What a file of telemetry holds: exactly what was written, or an error that says what is wrong with it.

Every size is compared with the file's before memory is asked for, every byte that is used is covered by a CRC-32, and
steps must go on without a gap. Of a file that was cut short the whole chunks are given, with a warning.
"""

import os
import re
import stat
import sys
import time
import warnings
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad import _archive
from fastgrad._archive import Member
from fastgrad._owner import has_owner
from fastgrad._record import arranged, require_exponents, require_known
from fastgrad._rows import Rows
from fastgrad._stream import AFTER, NUMBER, STATISTICS, STEPS

Array = npt.NDArray[Any]

_STEP, _VALUE = np.dtype(np.int64), np.dtype(np.float64)
_HEADER = ("names.npy", "every.npy", "layers.npy")
_CHUNK = re.compile(rf"({STEPS}|{STATISTICS})(\d{{6,9}})(?:{AFTER}(\d{{1,18}}))?\.npy")
_PATIENCE, _LOOKS = 0.05, 100  # seconds between looks at a file that is being written to


class CutShortWarning(UserWarning, ValueError):  # noqa: N818
    """A file of telemetry ends in the midst of a write; what was given is what came before that.

    A ValueError too, so that whoever has warnings raised gets for such a file what `load` raises for any other that is
    not whole.
    """


class Contents(NamedTuple):
    """A file's `every` and number of layers, the steps, and their records."""

    every: int
    layers: int
    steps: Rows
    statistics: Rows


class _Chunk(NamedTuple):
    steps: Member
    statistics: Member
    after: int | None  # steps that come before it, where they do not end with the one that is due before its first
    certain: bool  # listed in the file's directory

    def length(self, file: BufferedReader, row: tuple[int, int]) -> int:
        """Return how many steps it has, all of whose bytes are in the file."""
        steps, statistics = (_archive.header(file, member) for member in self[:2])
        count = steps.shape[0] if len(steps.shape) == 1 else 0
        wanted = (_STEP, (count,)), (_VALUE, (count, *row))
        if not count or wanted != (
            (np.dtype(steps.dtype), steps.shape),
            (np.dtype(statistics.dtype), statistics.shape),
        ):
            raise ValueError(
                f"{self.steps.name} is {steps.dtype} {steps.shape} and {self.statistics.name} {statistics.dtype} "
                f"{statistics.shape}, wants {_STEP.str} (steps,) and {_VALUE.str} (steps, {row[0]}, {row[1]})"
            )
        return count


def read(path: Path) -> Contents:
    """Return what a file holds, with a CutShortWarning where it was cut short.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is foreign or damaged.
    """
    for look in range(_LOOKS + 1):
        try:
            with _opened(path) as file:
                try:
                    contents, cut = _contents(file)
                except ValueError:
                    cut = True
                    if look == _LOOKS or not has_owner(file):
                        raise
                else:
                    if not cut or not has_owner(file):
                        break
        except ValueError as error:
            raise ValueError(f"path: got {path}, wants a whole file of telemetry ({error})") from error
        time.sleep(_PATIENCE)
    if cut:
        got = f"the first {len(contents.steps)} steps are there"
        text = f"path: got {path}, wants a whole file of telemetry (it was cut short in a write; {got})"
        warnings.warn(CutShortWarning(text), stacklevel=3)
    return contents


def _opened(path: Path) -> BufferedReader:
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is no regular file")
    return file


def _contents(file: BufferedReader) -> tuple[Contents, bool]:
    """Return what a file holds, and whether it was cut short."""
    size = os.fstat(file.fileno()).st_size
    members, directory = _archive.walked(file, size), _archive.listed(file, size)
    certain = 0 if directory is None else len(directory.entries)
    if directory is not None and not directory.lists(members[:certain]):
        raise ValueError("its directory is not that of its members")
    names, every, layers = _described(file, members)
    cut = directory is None or len(members) > certain or directory.start != members[-1].end
    chunks = _chunks(members, certain, cut)
    steps, statistics = _filled(file, chunks, names, layers, every)
    if cut and not len(steps):
        raise ValueError("it was cut short before its first steps were whole")
    return Contents(every, layers, steps, statistics), cut


def _described(file: BufferedReader, members: Sequence[Member]) -> tuple[list[str], int, int]:
    """Return the names of a file's statistics, its `every` and number of layers."""
    found = {member.name: member for member in members}
    if len(found) != len(members):
        raise ValueError("two of its members have one name")
    if not set(_HEADER) <= set(found):
        raise ValueError(f"it has no {', '.join(sorted(set(_HEADER) - set(found)))}")
    kept, every, layers = (_array(file, found[name]) for name in _HEADER)
    if kept.ndim != 1 or kept.dtype.kind != "U" or (kept.size and kept.view(np.uint32).max() > sys.maxunicode):
        raise ValueError(f"its names are {kept.dtype.str} {kept.shape}, wants (statistics,) of text")
    names = kept.tolist()
    require_known(names)
    return names, _number("every", every, 2**63), _number("layers", layers, 2**31)


def _number(name: str, array: Array, below: int) -> int:
    if array.dtype != _STEP or array.shape or not 1 <= (value := int(array)) < below:
        raise ValueError(f"its {name} is {array.dtype.str} {array.shape}, wants an integer >= 1")
    return value


def _array(file: BufferedReader, member: Member) -> Array:
    head = _archive.header(file, member)
    array: Array = np.empty(head.shape, head.dtype)
    if not _archive.read_into(file, member, array):
        raise ValueError(f"{member.name} is damaged")
    return array


def _chunks(members: Sequence[Member], certain: int, cut: bool) -> list[_Chunk]:
    """Return the chunks in order; only of the last one, where the file was cut short, may a half be missing."""
    halves: dict[str, dict[int, tuple[Member, int | None, bool]]] = {STEPS: {}, STATISTICS: {}}
    for index, member in enumerate(members):
        if member.name in _HEADER:
            continue
        match = _CHUNK.fullmatch(member.name)
        if match is None or int(match[2]) in halves[match[1]] or match[2] != NUMBER.format(int(match[2])):
            raise ValueError(f"{member.name[:80]!r} is none of its members")
        halves[match[1]][int(match[2])] = member, None if match[3] is None else int(match[3]), index < certain
    steps, statistics = halves.values()
    whole = len(statistics)
    if sorted(statistics) != list(range(whole)) or sorted(steps) not in (
        list(range(whole + half)) for half in (0, cut)
    ):
        raise ValueError("some of its chunks are missing")
    if whole in steps and steps[whole][2]:
        raise ValueError(f"{steps[whole][0].name} has no statistics")
    pairs = [(steps[number], statistics[number]) for number in range(whole)]
    if any(one[1] != other[1] for one, other in pairs):
        raise ValueError("the members of a chunk have different names")
    return [_Chunk(one[0], other[0], one[1], one[2] and other[2]) for one, other in pairs]


def _counts(file: BufferedReader, chunks: Sequence[_Chunk], row: tuple[int, int]) -> list[int]:
    """Return how many steps chunks have, of those before the first that is neither listed nor whole."""
    counts: list[int] = []
    for chunk in chunks:
        try:
            counts.append(chunk.length(file, row))
        except ValueError:
            if chunk.certain:
                raise
            break
    return counts


def _filled(
    file: BufferedReader, chunks: Sequence[_Chunk], names: Sequence[str], layers: int, every: int
) -> tuple[Rows, Rows]:
    """Return steps and records of all chunks, or of those before the first that is neither listed nor whole."""
    row = len(names), layers
    counts = _counts(file, chunks, row)
    steps, statistics = np.empty(sum(counts), _STEP), np.empty((sum(counts), *row), _VALUE)
    at, due = 0, 0
    for chunk, count in zip(chunks, counts, strict=False):
        mine = slice(at, at + count)
        parts = (chunk.steps, steps[mine]), (chunk.statistics, statistics[mine])
        damaged = [member.name for member, out in parts if not _archive.read_into(file, member, out)]
        if damaged and chunk.certain:
            raise ValueError(f"{' and '.join(damaged)} damaged")
        if damaged:
            break
        if chunk.after not in (None, at):
            raise ValueError(f"{chunk.steps.name} comes after {at} steps")
        _require_consecutive(chunk, steps[mine], every, due if at else None)
        require_exponents(arranged(names, statistics[mine]))
        at, due = at + count, int(steps[at + count - 1]) + every
    return Rows.holding(steps[:at]), Rows.holding(arranged(names, statistics[:at]))


def _require_consecutive(chunk: _Chunk, steps: Array, every: int, due: int | None) -> None:
    """Raise ValueError unless steps go on by `every`, and those of a chunk that says nothing else with the one due."""
    first = int(steps[0])
    if steps.min() < 0 or first % every or (steps[1:] - steps[:-1] != every).any():
        raise ValueError(f"{chunk.steps.name} has others than the multiples of {every} from its first step on")
    if due is not None and (first == due) != (chunk.after is None):
        raise ValueError(f"{chunk.steps.name} begins with step {first} after a chunk that ends before step {due}")
