"""The file to which a run's statistics go while it lasts: an .npz that grows by a chunk at a time.

At any moment the file is whole as of the last write, for `numpy.load` too: a small one is replaced, a large one gets a
second directory at its far end before the first one makes way for a chunk. A write that fails leaves the file as it was
before, and so does a process that is killed in one. Values are not looked at.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastgrad import _archive, _owner
from fastgrad._rows import Change, Rows, commit

Array = npt.NDArray[Any]

STEPS, STATISTICS, AFTER = "steps_", "statistics_", "_after_"
NUMBER = "{:06}"

_CHUNK_BYTES = 8 << 20  # of what waits to be written
_REPLACED_BYTES = 1 << 20  # a file of at most so many is written anew, with each chunk


class _Written(NamedTuple):
    """What is in the file: where its members end, their directory and number, chunks, their steps, the one due next."""

    end: int = 0
    entries: bytes = b""
    members: int = 0
    chunks: int = 0
    steps: int = 0
    due: int = 0

    def directory(self, start: int) -> bytes:
        return _archive.directory(self.entries, self.members, start)


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
        self._header: dict[str, npt.ArrayLike] = {"names": np.array(names), "every": every, "layers": layers}
        self._full = max(1, _CHUNK_BYTES // (8 * len(names) * layers))
        self._statistics, self._steps = Rows((len(names), layers)), Rows((), np.int64)
        self._written = _Written()
        self._mine: list[FileIO] = []  # locked; one is where the path leads to, and others have been there
        self._left: tuple[int, ...] = ()  # what tells the file as this stream has left it
        self._runs, self._process = set[object](), os.getpid()

    def __len__(self) -> int:
        """Return how many steps wait to be written."""
        return len(self._steps)

    @contextmanager
    def owned(self, lock: AbstractContextManager[Any]) -> Iterator[None]:
        """Be the only one who writes to the file; runs of the same Trainer share it, one at a time begins or ends.

        Raises
        ------
        OSError
            Another run is writing to it, or what is there cannot be replaced. Nothing has changed.
        """
        run = object()
        try:
            with lock:
                self._take(run)
            yield
        finally:
            with lock:
                self._release(run)

    def _take(self, run: object) -> None:
        if self._process != os.getpid():
            self._runs, self._process = set(), os.getpid()
        if not self._runs:
            self._close()
            self._lock()
        self._runs.add(run)

    def _lock(self) -> None:
        found = _owner.locked(self._path)
        if found is not None:
            self._mine.append(found)
            if self._left not in ((), _identity(found)):
                self._close()  # to write is going to be an error
        elif not self._left:
            try:
                self._replace([], *self._packed([]))
            except FileExistsError:  # begun by another in the meantime
                self._lock()
            except FileNotFoundError:  # the folder, which may be back when there is something to write
                pass

    def _release(self, run: object) -> None:
        """Let others write to the file. One without steps, where there was none before, goes."""
        self._runs.discard(run)
        if not self._runs:
            file = _owner.at(self._path, self._mine)
            if file is not None and self._left:
                self._left = _identity(file)
            elif file is not None and self._written.members:
                with suppress(OSError):
                    self._path.unlink()
                self._written = _Written()
            self._close()

    def _close(self) -> None:
        for file in self._mine:
            file.close()
        self._mine = []

    def reserve(self, steps: int) -> None:
        """Have memory for so many more steps: to have them wait will need none."""
        rows = -(-steps // self._every)
        self._statistics.reserve(rows)
        self._steps.reserve(rows)

    def with_steps(self, first: int, statistics: Array) -> list[Change]:
        """Return what has (steps, len(names), layers) of the consecutive steps from `first` on wait with the others."""
        chosen = slice(-first % self._every, None, self._every)
        steps = np.arange(first, first + len(statistics))[chosen]
        waiting = len(self)
        return [*self._statistics.with_rows(waiting, statistics[chosen]), *self._steps.with_rows(waiting, steps)]

    def write_if_enough(self) -> None:
        """Write when a chunk is full, or as soon as there is anything for a new file; raises as `write` does."""
        if not self._written.chunks or len(self) >= self._full:
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
        file = self._ours()
        body, written = self._packed(self._chunks())
        if file is not None and written.end > _REPLACED_BYTES:
            self._add(file, body, written)
        else:
            self._replace([] if file is None else [os.pread(file.fileno(), self._written.end, 0)], body, written)

    def _ours(self) -> FileIO | None:
        """Return the file that this stream has begun, None where it is to be begun."""
        if not self._written.members:
            if _owner.at(self._path, self._mine) is None and (found := _owner.locked(self._path)) is not None:
                self._mine.append(found)
            return None
        file = _owner.at(self._path, self._mine)
        if file is None:
            with _owner.errors_of(self._path):
                self._path.lstat()  # raises where there is none
            raise OSError(f"file: {self._path} was changed by another, wants the one that this Trainer began")
        return file

    def _chunks(self) -> list[tuple[Array, Array]]:
        """Return steps and statistics of what waits, each chunk of consecutive ones."""
        steps, statistics = self._steps.view(), self._statistics.view()
        breaks = np.flatnonzero(np.diff(steps) != self._every) + 1
        return list(zip(np.split(steps, breaks), np.split(statistics, breaks), strict=True))

    def _packed(self, chunks: list[tuple[Array, Array]]) -> tuple[list[bytes], _Written]:
        """Return the bytes of chunks, after those of the header in a new file, and what is written once they are."""
        written, body = self._written, list[bytes]()
        arrays = [] if written.members else list(self._header.items())
        due, number, before = written.due, written.chunks, written.steps
        for steps, statistics in chunks:
            suffix = NUMBER.format(number) + ("" if steps[0] == due else f"{AFTER}{before}")
            arrays += [(STEPS + suffix, steps), (STATISTICS + suffix, statistics)]
            due, number, before = int(steps[-1]) + self._every, number + 1, before + len(steps)
        end, entries = written.end, written.entries
        for name, array in arrays:
            member, parts = _archive.packed(f"{name}.npy", array, end)
            end, entries = member.end, entries + _archive.entry(member)
            body += parts
        return body, _Written(end, entries, written.members + len(arrays), number, before, due)

    def _replace(self, content: list[bytes], body: list[bytes], written: _Written) -> None:
        """Have a new file, of what is there and what comes after it, in the place of whatever is there."""
        _owner.place(self._path, [*content, *body, written.directory(written.end)], self._mine)
        self._done(self._mine[-1], written)

    def _add(self, file: FileIO, body: list[bytes], written: _Written) -> None:
        """Write what comes next where the directory is; until it is whole the file ends in another one."""
        directory = written.directory(written.end)
        size = written.end + len(directory)
        far = max(os.fstat(file.fileno()).st_size, size)
        with _owner.errors_of(self._path):
            try:
                _owner.write_at(file, far, [self._written.directory(far)])
                _owner.write_at(file, self._written.end, [*body, directory])
                file.truncate(size)
            except BaseException:
                directory = self._written.directory(self._written.end)
                _owner.write_at(file, self._written.end, [directory])
                file.truncate(self._written.end + len(directory))
                raise
        self._done(file, written)

    def _done(self, file: FileIO, written: _Written) -> None:
        changes: list[Change] = [(self, "_written", written)]
        if written.chunks:
            waiting = [(self, "_statistics", self._statistics.emptied()), (self, "_steps", self._steps.emptied())]
            changes += [(self, "_left", _identity(file)), *waiting]
        commit(changes)
        for other in self._mine:
            if other is not file:
                other.close()
        self._mine = [file]


def _identity(file: FileIO) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size
