"""The file of a run's statistics: all of them, whatever ends the run; what is foreign or cut short is refused."""

import os
import resource
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from support import parameters, same_bits

import fastgrad as fg
from fastgrad import _stream, telemetry
from fastgrad.telemetry import RECORD

SIZES = [4, 3, 2]
CHUNK = 2**20 // (8 * len(RECORD) * 2)  # steps


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(_stream, "_CHUNK_BYTES", 2**20)


def data(rows=64):
    rng = np.random.default_rng(4)
    return rng.standard_normal((rows, 4)), rng.standard_normal((rows, 2))


def trainer_to(path, every=1, keep=10**6, **options):
    how = fg.Telemetry(every=every, keep=keep, file=path)
    return fg.Trainer(fg.MLP(SIZES, activation="tanh", seed=3), "mse", fg.SGD(lr=0.01), telemetry=how, **options)


def assert_same(record, expected, steps=slice(None)):
    np.testing.assert_array_equal(record.steps, expected.steps[steps])
    for name in record:
        np.testing.assert_array_equal(record[name], expected[name][steps])
        np.testing.assert_array_equal(record.log10(name), expected.log10(name)[steps])


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("rows", [1, 50, 10**5])
def test_a_file_has_every_step_that_memory_had(tmp_path, rows, every):
    trainer = trainer_to(tmp_path / "run.npz", every)
    X, y = data(rows)
    history = trainer.run(X, y, steps=CHUNK + 5, batch_size=1)
    trainer.run(X, y, steps=2, batch_size=1, history=history)
    trainer.run(X, y, steps=2 * CHUNK, batch_size=1, history=history)
    record = telemetry.load(tmp_path / "run.npz")
    assert_same(record, history.telemetry)
    assert (record.layers, record.every, record.stride) == (2, every, every)
    assert record.steps[-1] == (len(history) - 1) // every * every
    assert record.at(3).step == 3 * every


def test_a_file_is_not_thinned(tmp_path):
    path = tmp_path / "run.npz"
    thinned = trainer_to(str(path), every=3, keep=10).run(*data(), steps=500, batch_size=8)
    whole = trainer_to(tmp_path / "other.npz").run(*data(), steps=500, batch_size=8)
    assert_same(telemetry.load(str(path)), whole.telemetry, slice(None, None, 3))
    assert thinned.telemetry.stride == 3 * 32
    assert_same(thinned.telemetry, whole.telemetry, slice(None, None, 3 * 32))


def test_fit_writes_its_file(tmp_path):
    X, y = data(100)
    net = fg.MLP(SIZES, seed=0)
    history = net.fit(X, y, loss="mse", epochs=3, telemetry=fg.Telemetry(every=2, file=tmp_path / "fit.npz"))
    assert len(history) == 12
    assert_same(telemetry.load(tmp_path / "fit.npz"), history.telemetry)


def test_runs_into_new_histories_follow_each_other(tmp_path):
    trainer = trainer_to(tmp_path / "run.npz", every=2)
    histories = [trainer.run(*data(), steps=steps, batch_size=8) for steps in (5, 4)]
    record = telemetry.load(tmp_path / "run.npz")
    assert record.steps.tolist() == [0, 2, 4, 0, 2]
    np.testing.assert_array_equal(
        record["grad_norm"], np.concatenate([each.telemetry["grad_norm"] for each in histories])
    )


def test_the_members_are_those_documented(tmp_path):
    trainer_to(tmp_path / "run.npz", every=2).run(*data(), steps=2 * CHUNK + 400, batch_size=64)
    with np.load(tmp_path / "run.npz") as file:
        chunks = [name.removeprefix("steps_") for name in file if name.startswith("steps_")]
        members = {f"{kind}_{n}" for n in chunks for kind in ("steps", "statistics")}
        assert set(file) == {"names", "every", "layers"} | members
        assert tuple(file["names"]) == RECORD
        assert (file["every"], file["layers"]) == (2, 2)
        steps = np.concatenate([file[f"steps_{n}"] for n in chunks])
        assert steps.dtype == np.int64
        np.testing.assert_array_equal(steps, np.arange(0, 2 * CHUNK + 400, 2))
        assert [file[f"statistics_{n}"].shape[1:] for n in chunks] == [(len(RECORD), 2)] * len(chunks)


def test_it_can_be_read_while_the_run_goes_on(tmp_path, monkeypatch):
    path, seen, write = tmp_path / "run.npz", [], _stream.Stream.write

    def write_and_look(stream):
        write(stream)
        seen.append(len(telemetry.load(path)))

    monkeypatch.setattr(_stream.Stream, "write", write_and_look)
    trainer_to(path).run(*data(), steps=3 * CHUNK, batch_size=32)
    assert seen == sorted(seen)
    assert len(set(seen)) >= 4
    assert seen[-1] == 3 * CHUNK


def test_a_killed_process_leaves_what_was_written(tmp_path):
    program = f"""
import os
import numpy as np
import fastgrad as fg
from fastgrad import _stream
write, left = _stream.Stream.write, [3]
def write_and_count(stream):
    write(stream)
    left[0] -= 1
    if not left[0]:
        os._exit(0)
_stream.Stream.write = write_and_count
how = fg.Telemetry(file={str(tmp_path / "run.npz")!r})
trainer = fg.Trainer(fg.MLP([4, 3, 2], activation="tanh", seed=3), "mse", fg.SGD(lr=0.01), telemetry=how)
rng = np.random.default_rng(4)
trainer.run(rng.standard_normal((64, 4)), rng.standard_normal((64, 2)), steps=10**9, batch_size=8)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    record = telemetry.load(tmp_path / "run.npz")
    assert len(record) >= 2 * CHUNK
    steady = trainer_to(tmp_path / "other.npz").run(*data(), steps=len(record), batch_size=8)
    assert_same(record, steady.telemetry)


def test_a_divergence_leaves_all_steps_in_the_file(tmp_path):
    how = fg.Telemetry(file=tmp_path / "run.npz")
    trainer = fg.Trainer(fg.MLP([2, 6, 6, 2], activation="identity"), "mse", fg.SGD(lr=30.0), telemetry=how)
    with pytest.raises(fg.DivergenceError) as caught:
        trainer.run(np.ones((4, 2)), np.zeros((4, 2)), steps=1000)
    assert len(caught.value.history) > 0
    assert_same(telemetry.load(tmp_path / "run.npz"), caught.value.history.telemetry)


def test_the_first_recorded_step_replaces_a_file_and_nothing_does_before(tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes(b"precious")
    trainer = trainer_to(path, check_finite=False)
    X, y = data()
    for bad in (X[:, :3], np.full_like(X, np.nan)):
        with pytest.raises((ValueError, fg.DivergenceError)):
            trainer.run(bad, y, steps=1)
    trainer.step(X, y)
    assert path.read_bytes() == b"precious"
    trainer.run(X, y, steps=3)
    assert len(telemetry.load(path)) == 3
    trainer_to(path).run(X, y, steps=2)
    assert len(telemetry.load(path)) == 2


def test_two_trainers_do_not_mix_their_steps_in_one_file(tmp_path):
    path, (X, y) = tmp_path / "run.npz", data()
    one, other = trainer_to(path), trainer_to(path)
    one.run(X, y, steps=3)
    other.run(X, y, steps=2)
    history = fg.History(2)
    with pytest.raises(OSError, match=r"file: .*run.npz was changed by another, wants the one that this Trainer began"):
        one.run(X, y, steps=4, history=history)
    assert len(history) == 4
    assert len(telemetry.load(path)) == 2
    other.run(X, y, steps=1)


def test_a_change_of_directory_does_not_change_the_file(tmp_path, monkeypatch):
    X, y = data()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trainer = trainer_to("run.npz")
    trainer.run(X, y, steps=3)
    history = fg.History(2)
    monkeypatch.chdir(tmp_path / "there")
    trainer.run(X, y, steps=2, history=history)
    assert list(tmp_path.glob("*/*")) == [tmp_path / "here" / "run.npz"]


def test_a_first_write_that_fails_leaves_what_was_there(tmp_path):
    path, (X, y) = tmp_path / "run.npz", data()
    trainer_to(path).run(X, y, steps=3)
    kept, before = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            trainer_to(path).run(X, y, steps=50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_history_and_file_whole(tmp_path):
    path, (X, y) = tmp_path / "run.npz", data()
    trainer, steady = trainer_to(path), trainer_to(tmp_path / "other.npz")
    history, before = fg.History(2), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 2**19, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            trainer.run(X, y, steps=10 * CHUNK, batch_size=8, history=history)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    done = len(history)
    assert CHUNK < trainer.steps == done < 4 * CHUNK
    assert_same(telemetry.load(path), history.telemetry, slice(len(telemetry.load(path))))
    assert len(telemetry.load(path)) > 0
    trainer.run(X, y, steps=100, batch_size=8, history=history)
    assert_same(telemetry.load(path), history.telemetry)  # with what could not be written before
    calm = steady.run(X, y, steps=done, batch_size=8)
    np.testing.assert_array_equal(calm.loss, history.loss[:done])


@pytest.mark.parametrize("ran_before", [True, False])
def test_a_folder_that_is_gone_is_an_error_after_the_steps(tmp_path, ran_before):
    folder = tmp_path / "runs"
    folder.mkdir()
    trainer, history = trainer_to(folder / "run.npz"), fg.History(2)
    if ran_before:
        trainer.run(*data(), steps=4, history=history)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match=r"run\.npz"):
        trainer.run(*data(), steps=3, batch_size=8, history=history)
    assert trainer.steps == len(history) == len(history.telemetry) > 0
    twin = trainer_to(tmp_path / "other.npz")
    if ran_before:
        twin.run(*data(), steps=4)
    twin.run(*data(), steps=3, batch_size=8)
    assert same_bits(parameters(trainer.net), parameters(twin.net))


def foreign_files(folder):
    """Return paths of files that are no telemetry, or not all of it."""
    trainer_to(folder / "good.npz").run(*data(), steps=40)
    good = (folder / "good.npz").read_bytes()
    made = {"text": b"hello", "empty": b"", "zip's beginning": b"PK\x03\x04"}
    made |= {f"cut at {cut}": good[:cut] for cut in (10, len(good) // 2, len(good) - 30, len(good) - 1)}
    at = good.index(np.float64(telemetry.load(folder / "good.npz")["grad_norm"][7, 0]).tobytes())
    made["a bit turned"] = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    paths = []
    for name, content in made.items():
        paths.append(folder / f"{name}.npz")
        paths[-1].write_bytes(content)
    np.save(folder / "array.npy", np.ones(3))
    np.savez(folder / "other.npz", a=np.ones(3))
    with zipfile.ZipFile(folder / "good.npz") as whole, zipfile.ZipFile(folder / "less.npz", "w") as less:
        for name in whole.namelist()[:-1]:
            less.writestr(name, whole.read(name))
    return [*paths, folder / "array.npy", folder / "other.npz", folder / "less.npz"]


def test_what_is_foreign_or_cut_short_is_refused(tmp_path):
    paths = foreign_files(tmp_path)
    assert len(paths) == 11
    for path in paths:
        with pytest.raises(ValueError, match="wants a whole file of telemetry") as caught:
            telemetry.load(path)
        assert str(caught.value).startswith(f"path: got {path}, ")
    with pytest.raises(FileNotFoundError):
        telemetry.load(tmp_path / "none.npz")


def test_a_file_grows_without_what_came_before_being_written_again(tmp_path):
    path, written = tmp_path / "run.npz", []
    trainer = trainer_to(path)
    for _ in range(4):
        trainer.run(*data(), steps=CHUNK, batch_size=64)
        written.append(os.path.getsize(path))
    growth = np.diff(written)
    np.testing.assert_allclose(growth, growth[0], rtol=0.01)
    assert growth[0] < 1.2 * 8 * CHUNK * (2 * len(RECORD) + 1)
