"""Prints what `run.py` measured as tables for the README. Its argument is the file, if not results/peers.json."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers.tables import able, heading, monitoring, summary

RESULTS = Path(__file__).resolve().parents[1] / "results" / "peers.json"


def row(*cells):
    """Return a line of a table."""
    return "| " + " | ".join(cells) + " |"


def rule(columns):
    """Return the line under a heading: the first column to the left, numbers to the right."""
    return "|---|" + "---:|" * (columns - 1)


def steps(results):
    """Return the lines of the table of training steps."""
    names = able(results)
    yield row("width x layers, batch", "fastgrad", "of FMA peak, 1 thread", *names.values())
    yield rule(3 + len(names))
    for each in summary(results):
        if each["shape"] in results["table"]:
            ratios = (f"{each['ratios'][peer]:.1f}x" for peer in names)
            shape = f"{each['width']} x {each['layers']}, {each['batch']}"
            yield row(shape, time_of(each["fastgrad"]), f"{each['of_peak']:.0%}", *ratios)


def watching(results):
    """Return the lines of the table of what watching costs."""
    yield row(
        "width x layers, batch", "PyTorch, bare", "gradient norms", "activations", "histograms", "fastgrad, all read"
    )
    yield rule(6)
    for each in monitoring(results):
        width, layers, batch = each["shape"].split("x")
        costs = (f"{each[name]:+.0%}" for name in ("norms", "activations", "histograms"))
        yield row(f"{width} x {layers}, {batch}", time_of(each["bare"]), *costs, time_of(each["fastgrad"]))


def time_of(seconds):
    """Return seconds in the unit that suits them."""
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def main(path=RESULTS):
    """Print both tables under a line that says where they come from."""
    results = json.loads(Path(path).read_text())
    print(heading(results).replace("\n", "; "), "", *steps(results), sep="\n")
    if results["monitoring"]:
        print("", *watching(results), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
