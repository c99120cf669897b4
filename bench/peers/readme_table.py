"""Prints what `run.py` measured as tables for the README; --write puts them into it, --check says if they are there.

The README's tables are those of bench/results/peers.json, between two comments. Where the shapes of the figures were
measured too, --write draws them into docs/images and the README shows the first.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import plot
from peers.tables import WATCHES, able, heading, monitoring, summary

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
RESULTS = ROOT / "bench" / "results" / "peers.json"
IMAGES = ROOT / "docs" / "images"
FIGURE = "![samples a second against layers, for fastgrad and each peer](docs/images/peers_depth.png)"
BEGIN, END = "<!-- bench-peers -->\n", "<!-- /bench-peers -->\n"


def row(*cells):
    """Return a line of a table."""
    return "| " + " | ".join(cells) + " |"


def rule(columns):
    """Return the line under a heading: the first column to the left, numbers to the right."""
    return "|---|" + "---:|" * (columns - 1)


def steps(results):
    """Yield the lines of the table of training steps."""
    names = able(results)
    yield row("width x layers, batch", "fastgrad", "of FMA peak, 1 thread", *names.values())
    yield rule(3 + len(names))
    for each in summary(results):
        if each["shape"] in results["table"]:
            ratios = (f"{each['ratios'][peer]:.1f}x" for peer in names)
            yield row(spelt(each["shape"]), time_of(each["fastgrad"]), f"{each['of_peak']:.0%}", *ratios)


def watching(results):
    """Yield the lines of the table of what watching costs, where it was measured."""
    rows = monitoring(results)
    if not rows:
        return
    yield ""
    yield row("watching every step", "PyTorch", *WATCHES, "fastgrad, no statistics", "all statistics, read")
    yield rule(4 + len(WATCHES))
    for each in rows:
        costs = (f"{each[name]:+.0%}" for name in WATCHES)
        mine = time_of(each["fastgrad_bare"]), f"{each['fastgrad']:+.0%}"
        yield row(spelt(each["shape"]), time_of(each["bare"]), *costs, *mine)


def spelt(shape):
    """Return WIDTHxLAYERSxBATCH as the tables show it."""
    width, layers, batch = shape.split("x")
    return f"{width} x {layers}, {batch}"


def time_of(seconds):
    """Return seconds in the unit that suits them."""
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def text(results):
    """Return both tables, and the figure, under a line that says where they come from."""
    figure = ["", FIGURE] if plot.drawable(results) else []
    return "\n".join([heading(results).replace("\n", "; "), "", *steps(results), *watching(results), *figure, ""])


def replaced(readme, tables):
    """Return the README's text with these tables between its two comments; exit where it lacks them."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{README}: wants the lines {BEGIN.strip()} and {END.strip()}")
    return before + begin + tables + end + after


def main():
    """Print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS, help="default: bench/results/peers.json")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="put the tables into README.md")
    what.add_argument("--check", action="store_true", help="fail unless README.md has these tables")
    options = parser.parse_args()
    try:
        results = json.loads(options.results.read_text())
    except (OSError, json.JSONDecodeError) as error:
        sys.exit(f"{options.results}: {error}; `make bench-peers` writes it")
    if options.check:
        if README.read_text() != replaced(README.read_text(), text(results)):
            sys.exit(f"{README}: its tables are not those of {options.results}; --write puts them there")
        return
    if not options.write:
        print(text(results), end="")
        return
    readme = replaced(README.read_text(), text(results))
    if plot.drawable(results):
        plot.draw(results, IMAGES, "peers")
    README.write_text(readme)


if __name__ == "__main__":
    main()
