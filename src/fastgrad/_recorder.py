"""Where a Trainer's steps are kept: in its ring and its file, and in the history of the run that does them.

What is kept does not depend on what ends a run.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from fastgrad import _core
from fastgrad._inside import inside
from fastgrad._record import RECORD
from fastgrad._ring import Ring
from fastgrad._rows import Change
from fastgrad._stream import Stream
from fastgrad.history import History
from fastgrad.sinks import Chunk, Recording, Sink
from fastgrad.telemetry import Record, Telemetry


class Recorder:
    """Keeps the steps of one Trainer.

    Parameters
    ----------
    layers : int
    telemetry : Telemetry or None
        How statistics are recorded; None where they are not.
    lock : _core.Lock
        The Trainer's.

    Attributes
    ----------
    ring : Ring
    file : Stream or None
    """

    def __init__(self, layers: int, telemetry: Telemetry | None, lock: _core.Lock) -> None:
        self._layers, self._telemetry, self._lock = layers, telemetry, lock
        self.ring = Ring(layers, telemetry is not None)
        self.file: Stream | None = None
        if telemetry is not None and telemetry.file is not None:
            self.file = Stream(Path(telemetry.file), telemetry.every, RECORD, layers)

    @contextmanager
    def recording(self, history: History) -> Iterator[Recording]:
        """Keep steps in `history` too; whatever ends them, the file is left with all of them.

        Raises
        ------
        ValueError
            The history has steps of another network, or steps recorded otherwise, or another run is writing to it.
        OSError
            The file cannot be written.
        """
        with inside(history).one_writer(), nullcontext() if self.file is None else self.file.owned(self._lock):
            prepare(history, self._layers, self._telemetry)
            sinks: list[Sink] = [ToHistory(history, self._telemetry is not None), self.ring]
            if self.file is not None:
                sinks.append(ToFile(self.file))
            with _noted(history):
                try:
                    yield Recording(sinks)
                except BaseException as error:
                    try:
                        self._write()
                    except (OSError, MemoryError) as failure:
                        error.add_note(f"The telemetry's file could not be written either: {failure}")
                    raise
                self._write()

    def _write(self) -> None:
        if self.file is not None:
            with self._lock:
                self.file.write()


class ToHistory:
    """Adds steps to a history, with statistics where these are recorded."""

    def __init__(self, history: History, recorded: bool) -> None:
        self._history, self._recorded = history, recorded

    def reserve(self, steps: int) -> None:
        inside(self._history).reserve(steps)
        if self._recorded:
            inside(self._history.telemetry).reserve(len(self._history), steps)

    def with_chunk(self, chunk: Chunk) -> list[Change]:
        history = self._history
        return inside(history).with_chunk(history.telemetry, chunk.losses, chunk.statistics, chunk.first)

    def settle(self) -> None:
        pass


class ToFile:
    """Has the statistics of steps wait for the next write to a file."""

    def __init__(self, file: Stream) -> None:
        self._file = file

    def reserve(self, steps: int) -> None:
        self._file.reserve(steps)

    def with_chunk(self, chunk: Chunk) -> list[Change]:
        return [] if chunk.statistics is None else self._file.with_steps(chunk.first, chunk.statistics)

    def settle(self) -> None:
        self._file.write_if_enough()


def prepare(history: History, layers: int, telemetry: Telemetry | None) -> None:
    """Make a history ready for steps of a network of so many layers, recorded as `telemetry` says, or not at all.

    Raises
    ------
    ValueError
        There are steps of another network, or steps that were recorded otherwise. Nothing has changed.
    """
    record = history.telemetry
    if record.layers != layers:
        raise ValueError(f"history: got one of {record.layers} layers, wants {layers} as the network has")
    if not len(history):
        history.telemetry = Record(layers) if telemetry is None else Record(layers, telemetry.every, telemetry.keep)
        return
    if (telemetry is None) != (len(record) == 0):
        got, wants = ("with", "without") if telemetry is None else ("without", "with")
        raise ValueError(f"history: got steps {got} telemetry, wants steps {wants}, as this Trainer does them")
    if telemetry is not None and (record.every, record.keep) != (telemetry.every, telemetry.keep):
        raise ValueError(
            f"history: got steps recorded with every={record.every} and keep={record.keep}, wants "
            f"every={telemetry.every} and keep={telemetry.keep} as this Trainer's telemetry"
        )


@contextmanager
def _noted(history: History) -> Iterator[None]:
    """Note on the exception that ends a run how much was done, and where the record is."""
    try:
        yield
    except BaseException as error:
        error.add_note(
            f"The history has what was done before this: steps {len(history)}, epochs {len(history.epochs)}. It is "
            f"kept, by fit as net.history, by run as trainer.history."
        )
        raise
