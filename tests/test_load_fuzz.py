"""Damaged and forged files of telemetry: what `load` gives is what was written, to the bit, or it is an error.

The one exception is a file that was cut short: its whole chunks are given, with a warning. Cases are drawn from fixed
seeds, and how many there were is asserted and printed (`pytest -s`). FASTGRAD_FUZZ=1 turns every bit and cuts at every
byte.
"""

import io
import os
import socket
import struct
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import telemetry
from fastgrad._inside import inside
from fastgrad.telemetry import RECORD, CutShortWarning

ALL = os.environ.get("FASTGRAD_FUZZ") == "1"
EVERY, RUNS = 3, (7, 2, 30)  # multiples of 3: 0, 3, 6; none; 9 to 36; and in another history 0, 3
BOUNDARIES = (3, 13, 15)  # rows after each chunk


def untouched(tmp_path):
    """Return a path, the file's bytes and the record, of three chunks, the last of which restarts."""
    path = tmp_path / "run.npz"
    net = fg.MLP([4, 2], seed=3)
    how = fg.Telemetry(every=EVERY, file=path)
    trainer, history = fg.Trainer(net, "mse", fg.SGD(lr=0.01), telemetry=how), fg.History(1)
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((64, 4)), rng.standard_normal((64, 2))
    for steps in RUNS:
        trainer.run(X, y, steps=steps, batch_size=8, history=history)
    trainer.run(X, y, steps=4)
    return path, path.read_bytes(), telemetry.load(path)


@pytest.fixture
def file(tmp_path):
    return untouched(tmp_path)


def storage(record, rows=None):
    return [record.steps[:rows].tobytes(), inside(record).statistics[:rows].tobytes(), record.every, record.layers]


def outcome(path, content, record):
    """Load a file of that content; return "whole", "refused" or the number of rows rescued, each checked."""
    with open(path, "r+b") as file:  # made anew, it would wait for the disk
        file.write(content)
        file.truncate()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            got = telemetry.load(path)
        except ValueError as error:
            got = error
    if isinstance(got, ValueError):
        assert not isinstance(got, CutShortWarning)
        assert str(got).startswith(f"path: got {path}, wants a whole file of telemetry (")
        assert not caught
        return "refused"
    rows = len(got)
    assert storage(got) == storage(record, rows)
    if not caught:
        assert rows == len(record)
        return "whole"
    assert [each.category for each in caught] == [CutShortWarning]
    said = f"path: got {path}, wants a whole file of telemetry (it was cut short in a write; the first {rows} steps are"
    assert str(caught[0].message) == f"{said} there)"
    assert caught[0].filename == __file__
    assert rows in BOUNDARIES
    return rows


def tally(outcomes, least):
    counts = {kind: outcomes.count(kind) for kind in dict.fromkeys(outcomes)}
    print(f"{len(outcomes)} cases: {counts}")
    assert len(outcomes) >= least
    return counts


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members, **options):
    """Return an archive as `zipfile` makes it, with good CRCs, of (name, bytes) pairs."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", **options) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about members of one name
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return made.getvalue()


def npy(array):
    made = io.BytesIO()
    np.lib.format.write_array(made, np.asarray(array), allow_pickle=True)
    return made.getvalue()


def test_what_was_written_is_read(file, tmp_path):
    path, content, record = file
    assert record.steps.tolist() == [0, 3, 6, *range(9, 39, 3), 0, 3]
    assert outcome(path, content, record) == "whole"
    assert outcome(path, zipped(members_of(content)), record) == "whole"  # as the version before this one wrote it
    assert outcome(path, zipped(list(members_of(content).items())[::-1]), record) == "whole"
    with np.load(io.BytesIO(content)) as arrays:
        np.savez(tmp_path / "again.npz", **dict(arrays))
    assert outcome(path, (tmp_path / "again.npz").read_bytes(), record) == "whole"


def test_a_bit_turned_is_noticed_unless_nothing_hangs_on_it(file):
    path, content, record = file
    rng = np.random.default_rng(1)
    bits = range(8 * len(content)) if ALL else rng.choice(8 * len(content), 1500, replace=False).tolist()
    outcomes = []
    for bit in bits:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        outcomes.append(outcome(path, damaged, record))
    counts = tally(outcomes, least=1500)
    assert counts["refused"] > 0.8 * len(outcomes)
    assert counts["whole"] < 0.2 * len(outcomes)  # times and other numbers of the archive's that are not used


def test_a_bit_turned_in_the_directory_loses_no_step(file):
    path, content, record = file
    first = 8 * content.index(b"PK\1\2")
    outcomes = []
    for bit in range(first, 8 * len(content), 1 if ALL else 3):  # each field, and of every byte two or three bits
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        outcomes.append(outcome(path, damaged, record))
    tally(outcomes, least=1500)
    assert set(outcomes) <= {"whole", "refused", BOUNDARIES[-1]}  # no step is ever lost


def test_a_file_cut_anywhere_gives_its_whole_chunks(file):
    path, content, record = file
    ends = [
        content.index(b"PK\3\4", content.index(name.encode())) for name in ("statistics_000000", "statistics_000001")
    ]
    ends.append(content.index(b"PK\1\2"))
    outcomes = []
    marks = [at + shift for at in (0, *ends, len(content) - 22, *local_headers(content)) for shift in range(-40, 40)]
    cuts = range(len(content)) if ALL else sorted({*range(0, len(content), 7), *marks} & {*range(len(content))})
    for cut in cuts:
        outcomes.append(outcome(path, content[:cut], record))
        rows = [rows for rows, end in zip(BOUNDARIES, ends, strict=True) if end <= cut]
        assert outcomes[-1] == (rows[-1] if rows else "refused")
    tally(outcomes, least=1200)


def test_splices(file):
    path, content, record = file
    rng = np.random.default_rng(2)
    outcomes = []
    for _ in range(3000 if ALL else 1000):
        start, end, to = sorted(rng.integers(0, len(content), 3))
        piece = rng.choice([content[start:end], rng.bytes(int(rng.integers(1, 200))), bytes(end - start), b""])
        damaged = content[:start] + piece + content[to if rng.integers(2) else end :]
        if damaged != content:
            outcomes.append(outcome(path, damaged, record))
    tally(outcomes, least=800)
    assert "whole" not in outcomes


def test_what_follows_a_whole_file_does_not_get_in(file):
    path, content, record = file
    rng = np.random.default_rng(3)
    for more in (b"\0", b"PK\5\6", rng.bytes(100), content[-22:], content, zipped({}), zipped({"a": b"b"})):
        assert outcome(path, content + more, record) in ("refused", BOUNDARIES[-1])
        assert outcome(path, more + content, record) == "refused"


def test_members_lost_doubled_renamed_and_exchanged(file):
    path, content, record = file
    members = list(members_of(content).items())
    names = [name for name, _ in members]
    outcomes = []

    def attempt(changed):
        if changed != members:
            outcomes.append(outcome(path, zipped(changed), record))
            assert outcomes[-1] == "refused", [name for name, _ in changed]

    for index, (name, data) in enumerate(members):
        attempt(members[:index] + members[index + 1 :])
        attempt([*members, (name, data)])
        for other in (
            *names,
            "x.npy",
            "steps_3.npy",
            "steps_000003.npy",
            "../steps_000000.npy",
            name.upper(),
            name[:-4],
            " ",
        ):
            attempt([*members[:index], (other, data), *members[index + 1 :]])
        for other in range(index):
            changed = list(members)
            changed[index], changed[other] = (name, members[other][1]), (names[other], data)
            attempt(changed)
    for lost in (0, 1):  # both members of a chunk, and the ones after it counted anew
        left = [pair for pair in members if f"_00000{lost}" not in pair[0]]
        attempt(left)
        for number in range(lost, 2):
            left = [(name.replace(f"_00000{number + 1}", f"_00000{number}"), data) for name, data in left]
        attempt(left)
    tally(outcomes, least=150)


NAMES = np.array(RECORD)


def test_headers_of_arrays_that_are_not_as_numpy_writes_them(file):
    path, content, record = file
    members, outcomes = members_of(content), []
    good = npy(np.zeros((3, len(RECORD), 1)))
    rows = len(RECORD)
    shape = f"(3, {rows}, 1)"
    texts = [good[10:128].decode().replace(shape, other) for other in (
        f"(1000000000000, {rows}, 1)", "(" + "9" * 5000 + ",)", f"(-3, {rows}, 1)", f"(3.0, {rows}, 1)", "(1e99, )",
        "3", "()", f"(0, {rows}, 1)", f"(3, {rows}, 1, " + "1, " * 70 + ")", "(" * 3000, "-" * 5000 + "1", "[" * 5000,
        "(2**40000, )", "__import__('os')", "\0",
    )]  # fmt: skip
    texts += [good[10:128].decode().replace("'<f8'", other) for other in (
        "'|O'", "'<f4'", "'>f8'", "'O'", "[('a', '<f8')]", "'<V8'", "'|S8'", "'<U2'", "'<M8[s]'", "'x' * 10", "None",
    )]  # fmt: skip
    texts += [good[10:128].decode().replace("False", "True"), "", "\n", "{}", "{'descr': '<f8'}\n", "x" * 60000]
    heads = [b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode("latin1") for text in texts]
    heads += [b"\x93NUMPY" + version + good[8:128] for version in (b"\2\0", b"\3\0", b"\0\1", b"\xff\xff")]
    heads += [b"\x93NUMPX" + good[6:128], b"", good[:5], good[:8] + b"\xff\xff" + good[10:128], good[:100]]
    for name in members:
        for head in heads:
            for rest in (good[128:], b""):
                outcomes.append(outcome(path, zipped(members | {name: head + rest}), record))
                assert outcomes[-1] == "refused"
    tally(outcomes, least=700)


def local_headers(content):
    at = content.find(b"PK\3\4")
    while at >= 0:
        yield at
        at = content.find(b"PK\3\4", at + 4)


def test_no_more_memory_is_asked_for_than_the_file_has_bytes(file):
    path, content, record = file
    huge, outcomes = (2**31, 2**32 - 2, 2**32 - 1), []
    entries = [at for at in range(len(content)) if content[at : at + 4] == b"PK\1\2"]
    bombs = [zipped(members_of(content) | {"steps_000000.npy": bytes(10**7)}, compression=kind)
             for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)]  # fmt: skip
    for size in huge:
        for at in local_headers(content):
            bombs.append(content[: at + 18] + struct.pack("<2I", size, size) + content[at + 26 :])
        for at in entries:
            bombs.append(content[: at + 20] + struct.pack("<2I", size, size) + content[at + 28 :])
        for field in (12, 16):
            bombs.append(content[: field - 22] + struct.pack("<I", size) + content[field - 18 :])
    arrays = {"names": NAMES, "every": 3, "layers": 2**62}
    bombs.append(zipped({f"{name}.npy": npy(array) for name, array in arrays.items()}))
    tracemalloc.start()
    try:
        for bomb in bombs:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            outcomes.append(outcome(path, bomb, record))
            assert tracemalloc.get_traced_memory()[1] - before < 10 * len(content) + 200_000
    finally:
        tracemalloc.stop()
    tally(outcomes, least=60)
    assert "whole" not in outcomes


def test_members_that_are_compressed_or_encrypted_are_refused(file):
    path, content, record = file
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert outcome(path, zipped(members_of(content), compression=kind), record) == "refused"
    for flag in (1, 8, 64, 0x2000):
        for mark, field in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = content.index(mark) + field
            assert outcome(path, content[:at] + struct.pack("<H", flag) + content[at + 2 :], record) == "refused"


def test_what_is_foreign(file, tmp_path):
    path, _, record = file
    rng = np.random.default_rng(5)
    contents = [rng.bytes(int(size)) for size in rng.integers(0, 3000, 500)]
    contents += [
        mark + rng.bytes(200) for mark in (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"\x93NUMPY") for _ in range(40)
    ]
    contents += [
        rng.bytes(200) + mark + rng.bytes(18) for mark in (b"PK\5\6", b"PK\6\7", b"\0\0\0\0") for _ in range(40)
    ]
    contents += [
        b"",
        b"hello",
        npy(np.ones(3)),
        zipped({}),
        zipped({"a.txt": b"a"}),
        zipped({"a/b/names.npy": npy(NAMES)}),
    ]
    contents += [zipped({"names.npy": npy(NAMES)}), zipped({"\u00e9.npy": b"x"}), zlib.compress(bytes(1000))]
    outcomes = [outcome(path, content, record) for content in contents]
    assert set(outcomes) == {"refused"}
    tally(outcomes, least=800)
    other = tmp_path / "other.npz"
    np.savez(other, a=np.ones(3), b=np.arange(4))
    with pytest.raises(ValueError, match=r"is none of its members|it has no every"):
        telemetry.load(other)


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "nowhere.npz").symlink_to(tmp_path / "none")
    (tmp_path / "circle.npz").symlink_to(tmp_path / "circle.npz")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.npz"))
        paths = [
            *tmp_path.iterdir(),
            tmp_path / "none",
            "/dev/null",
            "/dev/zero",
            "/dev/tty",
            "a" * 5000,
            "a\0b",
            "\udcff\udfff",
        ]
        for path in paths:
            with pytest.raises((OSError, ValueError)) as caught:
                telemetry.load(path)
            if isinstance(caught.value, ValueError):
                assert str(caught.value).startswith("path: got ")
    for path in (None, 3, b"run.npz", [tmp_path]):
        with pytest.raises(TypeError, match=r"path: got .*, wants a path"):
            telemetry.load(path)
