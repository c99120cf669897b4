"""The layout of an .npz, where 32 bits are too few: `zipfile` is the oracle."""

import zipfile

import numpy as np
import pytest

from fastgrad import _archive


def write(path, arrays, gap=0):
    """Write arrays as an archive, the last of them `gap` bytes after the others; return the members."""
    members = []
    with open(path, "wb") as file:
        for index, array in enumerate(arrays):
            start = (members[-1].end if members else 0) + (gap if index == len(arrays) - 1 else 0)
            member, content = _archive.packed(f"a{index}.npy", array, start)
            file.seek(start)
            file.write(b"".join(content))
            members.append(member)
        entries = b"".join(map(_archive.entry, members))
        file.write(_archive.directory(entries, len(members), members[-1].end))
    return members


@pytest.mark.parametrize("gap", [0, 2**31, 2**32 - 1, 2**32, 2**33])
def test_members_beyond_four_gigabytes(tmp_path, gap):
    """The file is sparse: it takes a few kilobytes of the disk."""
    path = tmp_path / "large.npz"
    members = write(path, [np.arange(3), np.ones((2, 3))], gap)
    with np.load(path) as file:
        np.testing.assert_array_equal(file["a0"], np.arange(3))
        np.testing.assert_array_equal(file["a1"], np.ones((2, 3)))
    with open(path, "rb") as file:
        size = path.stat().st_size
        directory = _archive.listed(file, size)
        assert directory.lists(members)
        assert directory.start == members[-1].end
        assert _archive.walked(file, size) == (members[:1] if gap else members)
        out = np.empty((2, 3))
        assert _archive.read_into(file, members[1], out)
        np.testing.assert_array_equal(out, np.ones((2, 3)))


@pytest.mark.parametrize("count", [65534, 65535, 65536])
def test_more_members_than_sixteen_bits_count(tmp_path, count):
    path = tmp_path / "many.npz"
    member, _ = _archive.packed("a.npy", np.int64(0), 0)
    path.write_bytes(_archive.directory(_archive.entry(member) * count, count, 0))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == count
    with open(path, "rb") as file:
        assert len(_archive.listed(file, path.stat().st_size).entries) == count
