"""What takes several changes happens whole or not at all: whatever runs out of memory, wherever a signal comes.

A record and a history are compared with ones that were never disturbed. Memory fails at each allocation in turn, a
signal comes at each line in turn.
"""

import dis
import sys

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import (
    _kept,
    _ledger,
    _passes,
    _piece,
    _recorder,
    _ring,
    _rows,
    _stream,
    engine,
    fitting,
    history,
    sinks,
    telemetry,
    train,
)
from fastgrad._inside import inside
from fastgrad._piece import Start
from fastgrad._recorder import ToHistory, prepare
from fastgrad.data import Data
from fastgrad.history import History
from fastgrad.telemetry import RECORD, STATISTICS, Record, Telemetry

LAYERS = 2
KEEPING = (_kept, _ledger, _piece, _recorder, _ring, _rows, _stream, fitting, history, sinks, telemetry, train)
SOURCES = {module.__file__ for module in KEEPING}


def chunk(first, steps):
    values = np.zeros((steps, len(RECORD), LAYERS))
    for row, name in enumerate(STATISTICS):
        values[:, RECORD.index(name)] = np.arange(first, first + steps)[:, np.newaxis] + row
    return np.arange(first, first + steps, dtype=float), values


def filled(steps, **options):
    made = History(LAYERS)
    prepare(made, LAYERS, Telemetry(**options))
    made.append_chunk(*chunk(0, steps))
    return made


def assert_same(got, wants):
    np.testing.assert_array_equal(got.loss, wants.loss)
    np.testing.assert_array_equal(got.telemetry.steps, wants.telemetry.steps)
    np.testing.assert_array_equal(inside(got.telemetry).statistics, inside(wants.telemetry).statistics)
    assert got.telemetry.stride == wants.telemetry.stride


class Failing:
    """Stands for NumPy: one of its allocations fails, the k-th."""

    def __init__(self, at, names=("empty", "arange", "take", "flatnonzero", "count_nonzero")):
        self.at, self.names, self.count = at, names, 0

    def __getattr__(self, name):
        found = getattr(np, name)
        return self._counted(found) if name in self.names else found

    def _counted(self, function):
        def allocate(*args, **options):
            self.count += 1
            if self.count == self.at:
                raise MemoryError("none left")
            return function(*args, **options)

        return allocate


def at_every_allocation(monkeypatch, attempt):
    """Attempt it with memory failing at the first allocation, at the second, ...; return how many there are."""
    for at in range(1, 1000):
        numpy = Failing(at)

        def disturbed(function, numpy=numpy):
            with monkeypatch.context() as patched:
                for module in (_rows, _kept, _stream):
                    patched.setattr(module, "np", numpy)
                try:
                    function()
                except MemoryError:
                    return True
            return False

        attempt(disturbed)
        if numpy.count < at:
            return at - 1
    raise AssertionError("there is no end to it")


def at_every_line(attempt, kind=KeyboardInterrupt):
    """Attempt it with a signal at the first line, at the second, ...; return how many there are."""
    for at in range(1, 10_000):
        count = 0

        def trace(frame, event, _, at=at):
            nonlocal count
            if frame.f_code.co_filename not in SOURCES:
                return None
            if event == "line":
                count += 1
                if count == at:
                    raise kind("now")
            return trace

        before = sys.gettrace()

        def disturbed(function, trace=trace, before=before):
            sys.settrace(trace)
            try:
                function()
            except kind:
                return True
            finally:
                sys.settrace(before)
            return False

        attempt(disturbed)
        if count < at:
            return at - 1
    raise AssertionError("there is no end to it")


GROWN = [  # steps before, steps added, where; how they are recorded
    (0, 5, 0, {}),
    (16, 1, 16, {}),
    (10, 40, 10, {}),
    (20, 9, 12, {}),
    (20, 9, 0, {}),
    (8, 1, 8, {"keep": 8}),
    (5, 300, 5, {"keep": 8}),
    (40, 30, 40, {"keep": 10, "every": 3}),
    (30, 50, 10, {"keep": 8}),
]


@pytest.mark.parametrize("reserved", [True, False])
@pytest.mark.parametrize(("before", "more", "at", "how"), GROWN)
def test_a_history_without_memory_is_as_it_was(monkeypatch, before, more, at, how, reserved):
    old, new = filled(before, **how), filled(at + more, **how)
    if at + more > before > at:
        new = filled(before, **how)
        new.append_chunk(*chunk(at, more), at)
    losses, statistics = chunk(at, more)

    def attempt(disturbed):
        got = filled(before, **how)
        views = got.loss, got.telemetry["grad_norm"], got.telemetry.steps
        copies = [view.copy() for view in views]

        def add():
            if reserved and at == before:
                ToHistory(got, recorded=True).reserve(more)
            got.append_chunk(losses, statistics, at)

        if disturbed(add):
            assert_same(got, old)
            got.append_chunk(losses, statistics, at)
        assert_same(got, new)
        for view, kept in zip(views, copies, strict=True):
            np.testing.assert_array_equal(view, kept)

    assert at_every_allocation(monkeypatch, attempt) >= 2


@pytest.mark.parametrize(("before", "more", "at", "how"), [case for case in GROWN if case[0] == case[2]])
def test_after_room_was_made_nothing_large_is_allocated(monkeypatch, before, more, at, how):
    got, new = filled(before, **how), filled(at + more, **how)
    ToHistory(got, recorded=True).reserve(more)
    monkeypatch.setattr(_rows, "np", Failing(1, names=("empty",)))
    monkeypatch.setattr(_kept, "np", Failing(1, names=("empty",)))
    got.append_chunk(*chunk(at, more), at)
    monkeypatch.undo()
    assert_same(got, new)


@pytest.mark.parametrize(("before", "more", "at", "how"), GROWN)
def test_a_history_that_hears_a_signal_is_as_it_was_or_has_all(before, more, at, how):
    old, new = filled(before, **how), filled(before, **how)
    losses, statistics = chunk(at, more)
    new.append_chunk(losses, statistics, at)
    seen = []

    def attempt(disturbed):
        got = filled(before, **how)
        stopped = disturbed(lambda: got.append_chunk(losses, statistics, at))
        assert len(got.loss) in (before, at + more)
        seen.append(len(got.loss))
        assert_same(got, new if not stopped or len(got.loss) != len(old.loss) else old)
        got.append_chunk(losses, statistics, at)
        assert_same(got, new)

    assert at_every_line(attempt) > 20
    assert set(seen) == {before, at + more}


def test_a_record_alone_is_as_it_was_or_has_all(monkeypatch):
    values = chunk(0, 100)[1]

    def attempt(disturbed):
        got = Record(LAYERS, keep=8)
        got.append_chunk(0, values[:7])
        disturbed(lambda: got.append_chunk(7, values[7:]))
        expected = [0, 1, 2, 3, 4, 5, 6] if got.stride == 1 else list(range(0, 100, 16))
        assert got.steps.tolist() == expected
        assert len(got["grad_norm"]) == len(got.steps) == len(expected)
        np.testing.assert_array_equal(got["grad_norm"], values[expected, RECORD.index("grad_norm")])

    assert at_every_line(attempt) > 10


def data():
    rng = np.random.default_rng(4)
    return rng.standard_normal((64, 4)), rng.standard_normal((64, 2))


def network():
    return fg.MLP([4, 3, 2], activation="tanh", seed=3)


def trainer_to(path, **how):
    return fg.Trainer(network(), "mse", fg.SGD(lr=0.01), telemetry=Telemetry(file=path, **how))


@pytest.mark.parametrize("how", [{}, {"keep": 8, "every": 3}])
@pytest.mark.parametrize("first", [0, 13])
def test_a_run_without_memory_goes_on_with_the_right_record(tmp_path, monkeypatch, how, first):
    """Memory is found before steps are done: Trainer, history and file agree on how many there were."""
    calm, wants = trainer_to(None, **how), History(LAYERS)
    whole, every_step = trainer_to(None, keep=10**6, every=how.get("every", 1)), History(LAYERS)
    paths = iter(range(10_000))
    for trainer, into in ((calm, wants), (whole, every_step)):
        for steps in (first, 40, 5):
            if steps:
                trainer.run(*data(), steps=steps, batch_size=8, shuffle=False, history=into)

    def attempt(disturbed):
        path = tmp_path / f"{next(paths)}.npz"
        trainer, got = trainer_to(path, **how), History(LAYERS)
        if first:
            trainer.run(*data(), steps=first, batch_size=8, shuffle=False, history=got)
        if disturbed(lambda: trainer.run(*data(), steps=40, batch_size=8, shuffle=False, history=got)):
            done = trainer.steps
            assert done == len(got) == len(got.loss)
            assert len(got.telemetry) == len(range(0, done, got.telemetry.stride))
            if first + 40 > done:
                trainer.run(*data(), steps=first + 40 - done, batch_size=8, shuffle=False, history=got)
        trainer.run(*data(), steps=5, batch_size=8, shuffle=False, history=got)
        assert_same(got, wants)
        np.testing.assert_array_equal(telemetry.load(path)["grad_norm"], every_step.telemetry["grad_norm"])

    assert at_every_allocation(monkeypatch, attempt) > 10


@pytest.mark.parametrize("how", [{}, {"keep": 8, "every": 3}])
def test_a_run_that_hears_a_signal_leaves_trainer_history_and_file_in_step(tmp_path, how):
    """At each line of what records, several times in each run."""
    calm, wants = trainer_to(None, **how), History(LAYERS)
    calm.run(*data(), steps=64, batch_size=8, shuffle=False, history=wants)
    paths = iter(range(10_000))

    def attempt(disturbed):
        path = tmp_path / f"{next(paths)}.npz"
        trainer, got = trainer_to(path, **how), History(LAYERS)
        trainer.run(*data(), steps=8, batch_size=8, shuffle=False, history=got)
        runs, task = trainer._runs, trainer._task
        start = Start(0, 8, 8, runs._passes.done)
        batches = Data(*[np.ascontiguousarray(each, np.float32) for each in data()], flat=False)
        runs._buffers.make_room(8)
        with runs.recorder.recording(got) as recording:
            done = task.advance(batches, np.arange(64), 8, *runs._buffers.of(slice(8)), 0, lambda: None)
            assert done == 8
            disturbed(lambda: runs._keep(recording, start))
            assert len(got) in (8, 16)
            assert len(got.telemetry) == len(range(0, len(got), got.telemetry.stride))
            every = how.get("every", 1)
            assert len(runs.recorder.file) == len(range(8 + -8 % every, len(got), every))
            runs._keep(recording, start)
        assert trainer.steps == len(got) == 16
        trainer.run(*data(), steps=48, batch_size=8, shuffle=False, history=got)
        assert_same(got, wants)
        assert telemetry.load(path).steps.tolist() == list(range(0, 64, every))
        assert trainer.stats.step == 63

    assert at_every_line(attempt) > 30


class TwoAtATime:
    """A plan whose calls end after two steps, as after 50 ms."""

    def __init__(self, plan):
        self.__dict__["plan"] = plan

    def __getattr__(self, name):
        return getattr(self.plan, name)

    def __setattr__(self, name, value):
        setattr(self.plan, name, value)

    def steps(self, X, y, order, batch_size, training, losses, statistics, first, flat):
        most = min(first + 2, len(losses))
        kept = losses[:most], None if statistics is None else statistics[:most]
        return self.plan.steps(X, y, order[: most * batch_size], batch_size, training, *kept, first, flat)


SIGNALS_ARE_HEARD_AFTER = {dis.opmap.get(name) for name in ("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME")}


def interrupt_at(at, sources, counted):
    """Return what to trace with: it raises KeyboardInterrupt at the `at`-th place where a handler may run."""
    before = {}

    def trace(frame, event, _):
        if frame.f_code.co_filename not in sources:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            last, before[frame] = before.get(frame), frame.f_code.co_code[frame.f_lasti]
            counted[0] += last in SIGNALS_ARE_HEARD_AFTER
            if counted[0] == at and last in SIGNALS_ARE_HEARD_AFTER:
                raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.parametrize("how", [None, {"keep": 8, "every": 3}])
def test_a_run_that_hears_a_signal_at_any_bytecode_goes_on_with_the_next_step(tmp_path, monkeypatch, how):
    running = (_ledger, _passes, _piece, _recorder, engine, fitting, history, sinks, train)
    sources, counted, at = {module.__file__ for module in running}, [0], 0
    wants, seen = History(LAYERS), set()
    fg.Trainer(network(), "mse", fg.SGD(lr=0.01), telemetry=Telemetry(**how or {}) if how else False).run(
        *data(), steps=20, batch_size=9, history=wants
    )
    while counted[0] >= at:
        at, counted[0] = at + 1, 0
        path, got = tmp_path / f"{at}.npz", History(LAYERS)
        record = Telemetry(file=path, **how) if how else False
        trainer = fg.Trainer(network(), "mse", fg.SGD(lr=0.01), telemetry=record)
        monkeypatch.setattr(trainer._task, "_plan", TwoAtATime(trainer._task._plan))
        trainer.run(*data(), steps=5, batch_size=9, history=got)
        calm = sys.gettrace()
        sys.settrace(interrupt_at(at, sources, counted))
        try:
            trainer.run(*data(), steps=9, batch_size=9, history=got)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(calm)
        assert trainer.steps == len(got)
        seen.add(trainer.steps)
        trainer.run(*data(), steps=20 - trainer.steps, batch_size=9, history=got)
        assert_same(got, wants)
        if how:
            assert telemetry.load(path).steps.tolist() == list(range(0, 20, 3))
    assert seen >= {5, 7, 8, 10, 12, 14}
    assert at > 100


@pytest.mark.parametrize("first", [-1, 4, 10**30])
def test_steps_do_not_follow_steps_that_are_not_there(first):
    got = filled(3)
    with pytest.raises(ValueError, match=f"first: got {first}, wants an integer >= 0 and < 4"):
        got.append_chunk(*chunk(3, 2), first)
    with pytest.raises(TypeError, match=r"first: got 1\.0"):
        got.append_chunk(*chunk(3, 2), 1.0)
    for bad in (-1, 2**63 - 1, 10**30):
        with pytest.raises(ValueError, match=f"first: got {bad}, wants an integer"):
            got.telemetry.append_chunk(bad, chunk(0, 2)[1])
    assert_same(got, filled(3))
