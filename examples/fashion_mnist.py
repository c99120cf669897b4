"""Train 784-256-256-10 on Fashion-MNIST: loss, held-out accuracy and speed of every epoch.

    python examples/fashion_mnist.py --data DIR

DIR holds the four IDX files (train-images-idx3-ubyte, ..., plain or .gz) of
https://github.com/zalandoresearch/fashion-mnist, or of Debian's package dataset-fashion-mnist. Nothing is downloaded.
"""

import argparse
import gzip
import math
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np

import fastgrad as fg

CLASSES = 10
UNSIGNED_BYTE = 8


def read_idx(path, axes):
    """Return the array of unsigned bytes in an IDX file.

    Raises
    ------
    ValueError
        Not an IDX file of unsigned bytes with that many axes, or cut short.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: a damaged gzip file: {error}") from error
    if data[:4] != bytes([0, 0, UNSIGNED_BYTE, axes]):
        raise ValueError(f"{path}: starts with {data[:4].hex()}, wants an IDX file of bytes with {axes} axes")
    header = 4 + 4 * axes
    if len(data) < header:
        raise ValueError(f"{path}: cut short, {len(data)} bytes do not hold the header of {header}")
    shape = struct.unpack(f">{axes}I", data[4:header])
    if len(data) - header != math.prod(shape):
        raise ValueError(f"{path}: holds {len(data) - header:,} bytes, its header promises {math.prod(shape):,}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def find(folder, name):
    """Return the path of an IDX file, plain or compressed."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise ValueError(f"{folder}: holds neither {name} nor {name}.gz")


def load(folder, part):
    """Return images, (n, 784) float32 in [0, 1], and labels, (n,) int64."""
    images_path = find(folder, f"{part}-images-idx3-ubyte")
    labels_path = find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, axes=3), read_idx(labels_path, axes=1)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{images_path}: images are {images.shape[1]} x {images.shape[2]}, wants 28 x 28")
    if len(images) != len(labels):
        raise ValueError(f"{labels_path}: {len(labels):,} labels for {len(images):,} images")
    if labels.size == 0 or labels.max() >= CLASSES:
        raise ValueError(f"{labels_path}: wants labels from 0 to {CLASSES - 1}")
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int64)


def main():
    """Read the arguments, train, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the four files")
    parser.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"argument --epochs: got {options.epochs}, wants at least 1")
    try:
        X, y = load(options.data, "train")
        X_test, y_test = load(options.data, "t10k")
    except (OSError, ValueError) as error:
        sys.exit(f"fashion_mnist.py: {error}")
    net = fg.MLP([784, 256, 256, CLASSES], activation="relu", seed=options.seed)
    trainer = fg.Trainer(net, loss="cross_entropy", optimizer=fg.Adam(lr=1e-3))
    print(net.summary())
    steps = math.ceil(len(X) / 128)
    for epoch in range(1, options.epochs + 1):
        start = time.perf_counter()
        history = trainer.run(X, y, steps=steps, batch_size=128)
        seconds = time.perf_counter() - start
        accuracy = np.mean(net.predict(X_test) == y_test)
        print(
            f"epoch {epoch:2}/{options.epochs}  loss {history.loss.mean():.4f}  held-out accuracy {accuracy:.4f}"
            f"  {len(X) / seconds:,.0f} samples/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
