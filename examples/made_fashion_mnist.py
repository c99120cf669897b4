"""Write made pictures in the format of Fashion-MNIST, to try `fashion_mnist.py` without its data.

    python examples/made_fashion_mnist.py DIR [--images 600]

DIR receives the four IDX files, compressed. Each of the ten classes is a pattern of its own, which every picture of it
shows under noise: easy to learn, and nothing to compare results with.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

SIDE = 28
CLASSES = 10
UNSIGNED_BYTE = 8
NOISE = 40.0


def write_idx(path, array):
    """Write unsigned bytes as a compressed IDX file: type, axes, big-endian shape, data."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def main():
    """Read the arguments, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="made where it is missing")
    parser.add_argument("--images", type=int, default=600, help="to train on; a third as many are held out")
    options = parser.parse_args()
    if options.images < 3:
        parser.error(f"argument --images: got {options.images}, wants at least 3")
    rng = np.random.default_rng(0)
    patterns = rng.uniform(0.0, 255.0, (CLASSES, SIDE, SIDE))
    options.folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", options.images), ("t10k", options.images // 3)):
        labels = np.arange(count) % CLASSES
        images = np.clip(patterns[labels] + rng.normal(0.0, NOISE, (count, SIDE, SIDE)), 0.0, 255.0)
        write_idx(options.folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(options.folder / f"{part}-labels-idx1-ubyte.gz", labels)


if __name__ == "__main__":
    main()
