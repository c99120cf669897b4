"""One owner of a file at a time: a lock on the file itself, which a process that has died cannot hold.

The lock (`flock`) belongs to an open descriptor, so it also keeps threads apart. A forked child closes its copy of the
descriptor, a started program does not get one. A file is put in its place whole, from a draft that nobody else has,
while the lock on what was there is held. Links are not followed. What the bytes mean is not known here.
"""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO
from weakref import WeakSet

_DRAFT = ".fastgrad-{}.part"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_PAUSE = 0.001  # seconds

_locked: WeakSet[FileIO] = WeakSet()


def _close_in_child() -> None:
    for file in list(_locked):
        file.close()


os.register_at_fork(after_in_child=_close_in_child)


def locked(path: Path) -> FileIO | None:
    """Return the file that is there, open and locked; None where there is none.

    Raises
    ------
    BlockingIOError
        Another has the lock.
    OSError
        It is not a regular file, or cannot be opened for writing.
    """
    with errors_of(path):
        while True:
            try:
                if not stat.S_ISREG(path.lstat().st_mode):
                    raise FileExistsError(errno.EEXIST, "what is there is no regular file, wants one or none")
                file = _opened(path, os.O_RDWR)
            except FileNotFoundError:
                return None
            _lock(file)
            if is_at(file, path):
                return file
            file.close()  # it has been replaced in the meantime


def place(path: Path, content: Sequence[bytes], mine: list[FileIO]) -> None:
    """Put a new file where one of `mine` is, or else where none is; it is one of `mine`, open and locked, before that.

    Raises
    ------
    FileExistsError
        There is one by now.
    OSError
        It cannot be made. What was there is there.
    """
    with errors_of(path):
        draft, file = path.with_name(_DRAFT.format(secrets.token_hex(8))), None
        try:
            file = _opened(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            _lock(file)
            write_at(file, 0, content)
            anew = at(path, mine) is None
            mine.append(file)
            _move(draft, path, anew)
        except BaseException:
            draft.unlink(missing_ok=True)
            if file is not None and not is_at(file, path):
                file.close()
            raise


def at(path: Path, files: Sequence[FileIO]) -> FileIO | None:
    """Return which of these files the path names."""
    return next((file for file in files if not file.closed and is_at(file, path)), None)


def write_at(file: FileIO, start: int, content: Sequence[bytes]) -> None:
    """Write all of it, from byte `start` on."""
    for part in content:
        view = memoryview(part)
        while view:
            written = os.pwrite(file.fileno(), view, start)
            view, start = view[written:], start + written


def is_at(file: FileIO, path: Path) -> bool:
    """Return whether the path still names that open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def has_owner(file: IO[bytes]) -> bool:
    """Return whether another has the lock of an open file."""
    try:
        if not _has(file, fcntl.LOCK_SH):
            return True
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    except OSError:  # there are no locks here
        pass
    return False


def _opened(path: Path, flags: int) -> FileIO:
    return FileIO(path, "r+", opener=lambda name, _: os.open(name, flags | _CAREFULLY, 0o666))


def _lock(file: FileIO) -> None:
    _locked.add(file)
    try:
        while not _has(file, fcntl.LOCK_EX):
            if not _has(file, fcntl.LOCK_SH):
                file.close()
                raise BlockingIOError(errno.EWOULDBLOCK, "another run is writing to it, wants a file of its own")
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)
            time.sleep(_PAUSE)  # a reader is asking whether there is an owner
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise


def _has(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _move(draft: Path, path: Path, anew: bool) -> None:
    if anew:
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            draft.replace(path)
        else:
            draft.unlink()
    else:
        draft.replace(path)


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Have errors name the argument, and the file rather than its draft."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"file: {error.strerror}", str(path)) from error
