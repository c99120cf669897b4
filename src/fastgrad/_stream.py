"""The file to which a run's statistics go while it lasts: an .npz that grows by a chunk at a time.

It can be read between any two chunks, by `numpy.load` too. A write that fails leaves the file as it was before; only a
process that is killed in the middle of a write leaves one that cannot be read. Values are not looked at.
"""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from fastgrad import _checks
from fastgrad._rows import Rows

Array = npt.NDArray[Any]
Members = Mapping[str, npt.ArrayLike]

_CHUNK_BYTES = 8 << 20  # each write reads the archive's directory, so chunks are to be few
_STEPS, _STATISTICS = "steps_{:06}", "statistics_{:06}"


class Stream:
    """Writes steps as they are done. The file is made, or made anew, with the first of them.

    Parameters
    ----------
    path : Path
    every : int
        Only steps that are a multiple of it are written.
    names : tuple of str
        Of the rows of a step's statistics.
    layers : int
    """

    def __init__(self, path: Path, every: int, names: tuple[str, ...], layers: int) -> None:
        self._path = path.absolute()  # a change of directory does not change the file
        self._every = every
        self._header: Members = {"names": np.array(names), "every": every, "layers": layers}
        self._row = (len(names), layers)
        self._full = max(1, _CHUNK_BYTES // (8 * len(names) * layers))
        self._chunks = 0
        self._end = 0  # of the last member, where the archive's directory starts
        self._left: tuple[int, ...] = ()  # what tells the file as this stream has left it
        self._clear()

    def __len__(self) -> int:
        """Return how many steps wait to be written."""
        return len(self._steps)

    def put(self, at: int, first: int, statistics: Array) -> None:
        """Have (steps, len(names), layers) of the consecutive steps from `first` on wait, after `at` others."""
        chosen = slice(-first % self._every, None, self._every)
        self._statistics.put(at, statistics[chosen])
        self._steps.put(at, np.arange(first, first + len(statistics))[chosen])

    def write_if_enough(self) -> None:
        """Write when a chunk is full, or as soon as there is anything for a new file; raises as `write` does."""
        if not self._end or len(self) >= self._full:
            self.write()

    def write(self) -> None:
        """Write what waits.

        Raises
        ------
        OSError
            The file cannot be written, or is not as this stream has left it. What was to be written waits for the next
            time.
        """
        if not len(self):
            return
        chunk = {
            _STEPS.format(self._chunks): self._steps.view(),
            _STATISTICS.format(self._chunks): self._statistics.view()[: len(self)],
        }
        if self._end:
            if _identity(self._path) != self._left:
                raise OSError(f"file: {self._path} was changed by another, wants the one that this Trainer began")
            self._end = _added(self._path, self._end, chunk)
        else:
            self._end = _begun(self._path, {**self._header, **chunk})
        self._left = _identity(self._path)
        self._chunks += 1
        self._clear()

    def _clear(self) -> None:
        self._steps, self._statistics = Rows((), np.int64), Rows(self._row)


def _identity(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size


def _begun(path: Path, members: Members) -> int:
    """Make an archive of arrays in the place of whatever was there, and return where its members end."""
    draft = path.with_name(f"{path.name}.part")
    try:
        end = _written(draft, members)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return end


def _added(path: Path, end: int, members: Members) -> int:
    """Add arrays to an archive whose members end at `end`, and return where they end then."""
    with path.open("rb") as file:
        file.seek(end)
        directory = file.read()
    try:
        return _written(path, members)
    except BaseException:
        os.truncate(path, end)
        with path.open("ab") as file:
            file.write(directory)
        raise


def _written(path: Path, members: Members) -> int:
    with path.open("r+b" if path.exists() else "w+b") as file, ZipFile(file, "a") as archive:
        for name, array in members.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            archive.writestr(f"{name}.npy", member.getbuffer())
        return file.tell()


def read(path: Path, names: tuple[str, ...]) -> tuple[int, int, Rows, Rows]:
    """Return a file's `every` and number of layers, the steps, and their statistics.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is foreign, cut short, or of other statistics than `names`.
    """
    try:
        with ZipFile(path) as archive:
            return _contents(archive, names)
    except (BadZipFile, EOFError, KeyError, ValueError, RuntimeError) as error:  # what ZipFile and NumPy raise
        raise ValueError(f"path: got {path}, wants a whole file of telemetry ({error})") from error


def _contents(archive: ZipFile, names: tuple[str, ...]) -> tuple[int, int, Rows, Rows]:
    found, every, layers = (_member(archive, name) for name in ("names", "every", "layers"))
    if tuple(found) != names:
        raise ValueError(f"its statistics are {', '.join(map(str, found))}; this version has {', '.join(names)}")
    row = (len(names), int(layers))
    chunks = [name for name in archive.namelist() if name.startswith("steps_")]
    steps = Rows((), np.int64)
    for index in range(len(chunks)):
        steps.put(len(steps), _member(archive, _STEPS.format(index)))
    statistics = Rows(row, most=len(steps))
    for index in range(len(chunks)):
        chunk = _member(archive, _STATISTICS.format(index))
        _checks.require_float64(_STATISTICS.format(index), chunk, ("steps", *row))
        statistics.put(len(statistics), chunk)
    if len(steps) != len(statistics):
        raise ValueError(f"it has {len(steps)} steps and {len(statistics)} rows of statistics")
    return int(every), int(layers), steps, statistics


def _member(archive: ZipFile, name: str) -> Array:
    with archive.open(f"{name}.npy") as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
        return array
