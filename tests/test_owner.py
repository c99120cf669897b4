"""Whose a file of telemetry is: one run's at a time, of whatever process, and nobody's once that has died.

Also what a file is like in the midst of a write, wherever that stops.
"""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import _owner, _stream, telemetry
from fastgrad.telemetry import CutShortWarning

TAKEN = r"file: another run is writing to it, wants a file of its own: '.*run\.npz'"
WORKER = """
import sys, time
from pathlib import Path
import numpy as np
import fastgrad as fg

path, go, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
net = fg.MLP([4, 3, 2], activation="tanh", seed=3)
trainer = fg.Trainer(net, "mse", fg.SGD(lr=0.01), telemetry=fg.Telemetry(every=1000, file=path))
rng = np.random.default_rng(4)
data = rng.standard_normal((64, 4)), rng.standard_normal((64, 2))
print("ready", flush=True)
while not go.exists():
    time.sleep(0.0005)
try:
    trainer.run(*data, steps=steps, batch_size=8)
except OSError as error:
    print(trainer.steps, type(error).__name__, error, flush=True)
else:
    print("done", flush=True)
"""


def data():
    rng = np.random.default_rng(4)
    return rng.standard_normal((64, 4)), rng.standard_normal((64, 2))


def trainer_to(path, **options):
    net = fg.MLP([4, 3, 2], activation="tanh", seed=3)
    return fg.Trainer(net, "mse", fg.SGD(lr=0.01), telemetry=fg.Telemetry(file=path, **options))


def expected(steps):
    return trainer_to(None, keep=10**6).run(*data(), steps=steps, batch_size=8).telemetry


@pytest.fixture
def start(tmp_path):
    """Start processes that each make a Trainer; they run when the file `go` is there."""
    started = []

    def start_workers(path, count=1, steps=10**9):
        command = [sys.executable, "-c", WORKER, path, tmp_path / "go", str(steps)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        started.extend(workers)
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        return workers

    yield start_workers
    for worker in started:
        worker.kill()
        worker.wait()
        worker.stdout.close()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def readable_by_all(path, grows=True):
    """Return the number of steps in a file that NumPy reads whole; `load`, which looks later, must agree that it is.

    A file that another run begins anew meanwhile does not grow.
    """
    with np.load(path) as file:
        seen = sum(len(file[name]) for name in file if name.startswith("steps_"))
        assert {"names", "every", "layers"} <= set(file)
    assert len(telemetry.load(path)) >= (seen if grows else 0)
    return seen


def loaded_from_the_killed(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutShortWarning)  # it may have been killed in a write
        return telemetry.load(path)


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "pipe", "folder"])
def test_what_is_left_of_a_draft_is_not_touched(tmp_path, kind):
    left, victim = tmp_path / "run.npz.part", tmp_path / "victim"
    victim.write_bytes(b"precious")
    {
        "file": lambda: left.write_bytes(b"half a draft"),
        "link": lambda: left.symlink_to(victim),
        "dangling link": lambda: left.symlink_to(tmp_path / "none"),
        "pipe": lambda: os.mkfifo(left),
        "folder": left.mkdir,
    }[kind]()
    before = left.lstat()
    trainer_to(tmp_path / "run.npz").run(*data(), steps=30, batch_size=8)
    np.testing.assert_array_equal(telemetry.load(tmp_path / "run.npz")["grad_norm"], expected(30)["grad_norm"])
    assert left.lstat() == before
    assert victim.read_bytes() == b"precious"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run.npz", "run.npz.part", "victim"]


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_what_is_no_file_is_not_written_to(tmp_path, kind):
    path, victim = tmp_path / "run.npz", tmp_path / "victim"
    victim.write_bytes(b"precious")
    trainer = trainer_to(path)
    {
        "link": lambda: path.symlink_to(victim),
        "dangling link": lambda: path.symlink_to(tmp_path / "none"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()
    with pytest.raises(OSError, match=r"file: what is there is no regular file, wants one or none: '.*run\.npz'"):
        trainer.run(*data(), steps=3)
    assert trainer.steps == 0
    assert victim.read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_the_file(tmp_path, monkeypatch, code, there):
    path, opened = tmp_path / "run.npz", os.open
    if there:
        path.write_bytes(b"precious")

    def refuse(name, flags, *mode, **options):
        if flags & os.O_CREAT:
            raise OSError(code, os.strerror(code), str(name))
        return opened(name, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refuse)
    trainer = trainer_to(path)
    with pytest.raises(OSError, match=r"file: .*run\.npz") as caught:
        trainer.run(*data(), steps=3, batch_size=8)
    assert caught.value.errno == code
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"precious"] * there


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_gets_the_mode_that_others_get(tmp_path, umask):
    before = os.umask(umask)
    try:
        trainer_to(tmp_path / "run.npz").run(*data(), steps=3)
        (tmp_path / "other").touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run.npz").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_name_may_be_as_long_as_a_name_may_be(tmp_path):
    path = tmp_path / ("a" * 251 + ".npz")
    trainer_to(path).run(*data(), steps=3)
    assert len(telemetry.load(path)) == 3


@pytest.mark.parametrize("there", [True, False])
def test_of_processes_that_begin_a_file_at_once_one_does(tmp_path, start, there):
    folder = tmp_path / "runs"
    folder.mkdir()
    path, before = folder / "run.npz", 0
    if there:
        trainer_to(path).run(*data(), steps=7, batch_size=8)
        before = 7
    workers = start(path, count=5)
    (tmp_path / "go").touch()
    wait_for(path.exists)
    looks, ended = 0, []
    while len(ended) < 4:
        assert readable_by_all(path, grows=not there) >= 0
        looks += 1
        ended = [worker for worker in workers if worker.poll() is not None]
    (owner,) = set(workers) - set(ended)
    owner.kill()
    owner.wait()
    for loser in ended:
        steps, kind, message = loser.stdout.readline().strip().split(" ", 2)
        assert (steps, kind) == ("0", "BlockingIOError")
        assert "file: another run is writing to it, wants a file of its own" in message
    record = loaded_from_the_killed(path)
    np.testing.assert_array_equal(record["grad_norm"], expected(record.steps[-1] + 1)["grad_norm"][record.steps])
    assert looks > 0
    assert before in (0, 7)
    assert [each.name for each in folder.iterdir() if not each.name.startswith(".fastgrad-")] == ["run.npz"]


def test_a_killed_owner_owns_nothing(tmp_path, start):
    path = tmp_path / "run.npz"
    (owner,) = start(path)
    (tmp_path / "go").touch()
    wait_for(lambda: path.exists() and readable_by_all(path))
    trainer = trainer_to(path)
    with pytest.raises(BlockingIOError, match=TAKEN):
        trainer.run(*data(), steps=3)
    assert trainer.steps == 0
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert len(loaded_from_the_killed(path)) > 0
    trainer.run(*data(), steps=4, batch_size=8)
    np.testing.assert_array_equal(telemetry.load(path)["grad_norm"], expected(4)["grad_norm"])


def test_a_forked_child_does_not_hold_the_file_of_its_parent(tmp_path):
    path = tmp_path / "run.npz"
    program = f"""
import os, threading, time
from pathlib import Path
import numpy as np
import fastgrad as fg
path = Path({str(path)!r})
trainer = fg.Trainer(fg.MLP([4, 3, 2]), "mse", fg.SGD(lr=0.01), telemetry=fg.Telemetry(file=path))
data = np.ones((64, 4)), np.zeros((64, 2))
threading.Thread(target=trainer.run, args=data, kwargs=dict(steps=10**9), daemon=True).start()
while not (path.exists() and path.stat().st_size > 10_000):
    time.sleep(0.001)
child = os.fork()
if not child:
    os.closerange(1, 3)
    time.sleep(100)
    os._exit(0)
print(child, flush=True)
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    child = int(ended.stdout)
    try:
        os.kill(child, 0)
        trainer_to(path).run(*data(), steps=4, batch_size=8)
        assert len(telemetry.load(path)) == 4
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_cannot_write_while_its_parent_does(tmp_path):
    trainer = trainer_to(tmp_path / "run.npz")
    trainer.run(*data(), steps=3)
    trainer._runs.recorder.file._take("a run")
    child = os.fork()
    if not child:
        try:
            trainer._runs.recorder.file._take("a run")
        except BlockingIOError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with pytest.raises(BlockingIOError, match=TAKEN):
        trainer_to(tmp_path / "run.npz").run(*data(), steps=3)  # the child has not let it go
    trainer._runs.recorder.file._release("a run")
    trainer.run(*data(), steps=2)
    assert len(telemetry.load(tmp_path / "run.npz")) == 5


def test_trainers_of_one_process_do_not_share_a_file_but_runs_of_one_trainer_do(tmp_path):
    path = tmp_path / "run.npz"
    one, other = trainer_to(path), trainer_to(path)
    with one._runs.recorder.recording(fg.History(2)):
        with pytest.raises(BlockingIOError, match=TAKEN):
            other.run(*data(), steps=3)
        assert other.steps == 0
        thread = threading.Thread(target=one.run, args=data(), kwargs={"steps": 5})
        thread.start()
        thread.join()
        assert len(telemetry.load(path)) == 5
        with pytest.raises(BlockingIOError, match=TAKEN):
            other.run(*data(), steps=3)
    other.run(*data(), steps=3)
    assert len(telemetry.load(path)) == 3


def test_who_asks_whether_there_is_an_owner_is_none(tmp_path):
    """However long a reader takes over it, as on a busy machine."""
    path = tmp_path / "run.npz"
    trainer_to(path).run(*data(), steps=3)
    with open(path, "rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        timer = threading.Timer(0.3, fcntl.flock, (reader, fcntl.LOCK_UN))
        timer.start()
        trainer_to(path).run(*data(), steps=4)
        timer.join()
    assert len(telemetry.load(path)) == 4


def test_a_run_without_steps_leaves_no_file(tmp_path):
    X, y = data()
    trainer = trainer_to(tmp_path / "run.npz", every=1)
    X[:] = np.nan
    trainer._task._check_finite = False
    with pytest.raises(fg.DivergenceError):
        trainer.run(X, y, steps=3)
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_locks_a_file_is_written_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    trainer_to(tmp_path / "run.npz").run(*data(), steps=3)
    assert len(telemetry.load(tmp_path / "run.npz")) == 3


class Stop(Exception):  # noqa: N818
    """Stands for a process that ends here."""


@pytest.mark.parametrize("replaced", [0, 1 << 20])
def test_a_file_is_whole_wherever_a_write_stops(tmp_path, monkeypatch, replaced):
    """Each write of a system call is split, and after each piece the file is read by NumPy as by `load`."""
    monkeypatch.setattr(_stream, "_REPLACED_BYTES", replaced)
    path, pwrite, seen = tmp_path / "run.npz", os.pwrite, []
    trainer, history = trainer_to(path), fg.History(2)
    trainer.run(*data(), steps=20, batch_size=8, history=history)

    def write_some(descriptor, view, start):
        written = pwrite(descriptor, view[:211], start)
        with np.load(path) as file:
            whole = sum(len(file[name]) for name in file if name.startswith("steps_"))
        cut = tmp_path / "copy.npz"  # as a process that is killed now leaves it: without an owner
        cut.write_bytes(path.read_bytes())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            steps = telemetry.load(cut).steps
        seen.append((whole, len(steps), len(caught)))
        np.testing.assert_array_equal(steps, np.arange(len(steps)))
        return written

    monkeypatch.setattr(os, "pwrite", write_some)
    for steps in (1, 7, 40):
        trainer.run(*data(), steps=steps, batch_size=8, history=history)
    monkeypatch.undo()
    np.testing.assert_array_equal(telemetry.load(path)["grad_norm"], history.telemetry["grad_norm"])
    numpys, loaded, warned = map(set, zip(*seen, strict=True))
    assert len(seen) > 100
    assert numpys == {20, 21, 28}
    assert loaded == ({20, 21, 28} if replaced else {20, 21, 28, 68})
    assert warned == ({0} if replaced else {1})
    assert all(len_ >= whole for whole, len_, _ in seen)


@pytest.mark.parametrize("replaced", [0, 1 << 20])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_a_write_that_is_interrupted_at_any_line_is_made_up_for(tmp_path, monkeypatch, replaced, kind):
    monkeypatch.setattr(_stream, "_REPLACED_BYTES", replaced)
    names = {_stream.__file__, _owner.__file__}
    lines = 0

    def interrupt_at(line):
        count = 0

        def trace(frame, event, _):
            nonlocal count
            if frame.f_code.co_filename not in names:
                return None
            if event == "line":
                count += 1
                if count == line:
                    raise kind("here")
            return trace

        return trace

    for line in range(1, 1000):
        path = tmp_path / f"{line}.npz"
        trainer, history = trainer_to(path), fg.History(2)
        trainer.run(*data(), steps=5, batch_size=8, history=history)
        stream = trainer._runs.recorder.file
        stream._take("a run")
        fg._rows.commit(stream.with_steps(5, np.zeros((6, *stream._statistics.view().shape[1:]))))
        before = sys.gettrace()
        sys.settrace(interrupt_at(line))
        try:
            stream.write()
        except kind:
            lines = line
        finally:
            sys.settrace(before)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            assert len(telemetry.load(path)) in (5, 11)
        stream.write()
        stream._release("a run")
        assert telemetry.load(path).steps.tolist() == list(range(11))
        if lines < line:
            break
    assert 30 < lines < 900
