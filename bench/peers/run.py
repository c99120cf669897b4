"""Times training steps of fastgrad and its peers side by side, and what it costs to watch a network train.

Every peer does the same work (`peers/__init__.py`) and meets fastgrad alone, in a process of their own, in turns
(`turns.py`), once with one thread and once with all; the better of both counts on each side. Writes all quartiles as
JSON, draws two figures beside it and prints two tables; `readme_table.py` brings them into the README. A run of less
than everything goes to peers_partial.json, which is not kept in the repository. It needs: pip install
'fastgrad[peers]'. PyTorch is a large download, of gigabytes where pip chooses a build for graphics cards. A peer that
is not installed is left out and named.

OpenBLAS is told to let idle threads spin for 2**20 cycles, some 0.4 ms, instead of its own 100 ms: NumPy and
scikit-learn are as fast with it, while those threads would halve whatever takes its turn after them.
"""

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import results_file
from machine import describe

from peers import PEERS, plot, tables
from peers.turns import positive_seconds

BENCH = Path(__file__).resolve().parents[1]

SHAPES = (
    *("64x2x32", "64x10x32", "64x10x256", "96x6x64", "128x20x128", "200x8x100", "256x10x256", "333x4x128"),
    *("512x5x256", "1024x5x256"),
)
MONITORED = ("64x50x128", "256x50x128", "512x20x256")
PACKAGES = ("fastgrad", "numpy", "scipy", "torch", "jax", "jaxlib", "scikit-learn")
THREAD_LIMITS = ("FASTGRAD_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SETTINGS = {"JAX_PLATFORMS": "cpu", "OPENBLAS_THREAD_TIMEOUT": "20"}


def shape(text):
    """Return WIDTHxLAYERSxBATCH as it is, or say what is wrong with it."""
    numbers = text.split("x")
    if len(numbers) != 3 or not all(each.isdecimal() and int(each) > 0 for each in numbers) or int(numbers[1]) < 2:
        raise argparse.ArgumentTypeError(f"got {text!r}, wants WIDTHxLAYERSxBATCH with at least 2 layers")
    return text


def arguments():
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", type=shape, default=SHAPES, metavar="WIDTHxLAYERSxBATCH")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--seconds", type=positive_seconds, default=2.0, help="for each pair (default: %(default)s)")
    parser.add_argument(
        "--monitored", nargs="+", type=shape, default=MONITORED, metavar="WIDTHxLAYERSxBATCH", help="shapes to watch"
    )
    parser.add_argument("--skip", nargs="+", choices=["plots", "monitoring"], default=[])
    parser.add_argument("--output", type=Path, help="default: bench/results/peers.json")
    options = parser.parse_args()
    if options.output and options.output.suffix != ".json":
        parser.error(f"argument --output: got {str(options.output)!r}, wants a file's name that ends in .json")
    whole = (options.shapes, options.peers, options.monitored, options.skip) == (SHAPES, PEERS, MONITORED, [])
    options.output = options.output or BENCH / "results" / ("peers.json" if whole else "peers_partial.json")
    return options


def lines_of(module, threads, *words):
    """Run a module with so many threads and yield what its lines of JSON say; exit when it fails."""
    environment = os.environ | dict.fromkeys(THREAD_LIMITS, str(threads)) | SETTINGS
    command = [sys.executable, "-m", f"peers.{module}", *map(str, words)]
    with subprocess.Popen(command, cwd=BENCH, env=environment, stdout=subprocess.PIPE, text=True) as child:
        yield from map(json.loads, child.stdout)
    if child.returncode:
        sys.exit(f"{' '.join(command[1:])}: exit status {child.returncode}")


def measured(module, threads, *words):
    """Return whether the module can run, and its cases, each with the number of threads; show progress."""
    lines = lines_of(module, threads, *words)
    head = next(lines)
    cases = []
    for case in lines:
        cases.append({"threads": threads} | case)
        print(f"{head['name']}, threads={threads}, {tables.shape_of(case)}", file=sys.stderr, flush=True)
    return head, cases


def versions():
    """Return the versions of all packages that take part and are installed."""
    found: dict[str, str | None] = {"Python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def measure(options):
    """Return the results of all processes."""
    machine = describe()
    counts = sorted({1, machine["threads"]})
    shapes = list(dict.fromkeys([*options.shapes, *(() if "plots" in options.skip else plot.SHAPES)]))
    results = {"machine": machine, "versions": versions(), "table": list(options.shapes), "seconds": options.seconds}
    results |= {"peers": {}, "steps": [], "monitoring": []}
    for peer in options.peers:
        for threads in counts:
            head, cases = measured("pair", threads, peer, threads, options.seconds, *shapes)
            results["peers"][peer] = head
            results["steps"] += [{"peer": peer} | case for case in cases]
    if "monitoring" not in options.skip:
        for threads in counts:
            results["monitoring"] += measured("monitoring", threads, threads, options.seconds, *options.monitored)[1]
    return results


def main():
    """Measure, write, print and draw."""
    options = arguments()
    results = results_file.rounded(measure(options))
    results_file.write(options.output, results)
    print(tables.report(results))
    for path in () if "plots" in options.skip else plot.draw(results, options.output.parent, options.output.stem):
        print(f"drawn to {path}")


if __name__ == "__main__":
    main()
