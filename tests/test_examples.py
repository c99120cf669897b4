"""The examples that want data run for a moment on made data of the same format, and refuse what is none."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script, *arguments):
    command = [sys.executable, "-W", "error", EXAMPLES / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with 300 made pictures to train on and 100 held out."""
    folder = tmp_path_factory.mktemp("made") / "fashion"
    assert run("made_fashion_mnist.py", folder, "--images", 300).returncode == 0
    return folder


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("train-images-idx3", (300, 28, 28)),
        ("train-labels-idx1", (300,)),
        ("t10k-images-idx3", (100, 28, 28)),
        ("t10k-labels-idx1", (100,)),
    ],
)
def test_the_made_files_are_idx_files_of_bytes(made, name, shape):
    data = gzip.decompress((made / f"{name}-ubyte.gz").read_bytes())
    assert data[:4] == bytes([0, 0, 8, len(shape)])
    assert tuple(np.frombuffer(data, ">u4", len(shape), 4)) == shape
    assert len(data) == 4 + 4 * len(shape) + np.prod(shape)
    if len(shape) == 1:
        assert np.bincount(np.frombuffer(data[8:], np.uint8)).tolist() == [shape[0] // 10] * 10


def test_fashion_mnist_learns_the_made_pictures(made):
    ran = run("fashion_mnist.py", "--data", made, "--epochs", 3)
    assert ran.returncode == 0, ran.stderr
    accuracies = [float(text) for text in re.findall(r"held-out accuracy ([\d.]+)", ran.stdout)]
    assert len(accuracies) == 3
    assert accuracies[-1] > 0.9  # a tenth by chance


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda data: data[:-1], "holds 99 bytes, its header promises 100"),
        (lambda data: data[:6], "cut short"),
        (lambda data: b"\0\0\x0d\1" + data[4:], "wants an IDX file of bytes with 1 axes"),
        (lambda data: data[:-1] + b"\x0a", "wants labels from 0 to 9"),
    ],
)
def test_fashion_mnist_names_a_file_that_is_not_what_it_should_be(made, tmp_path, spoil, complaint):
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(spoil(gzip.decompress(labels.read_bytes()))))
    ran = run("fashion_mnist.py", "--data", tmp_path)
    assert ran.returncode == 1
    assert complaint in ran.stderr
    assert labels.name in ran.stderr
    assert "Traceback" not in ran.stderr
