"""Prints how near whole training steps are to the machine's limits, and writes it as JSON.

The figures wanted are this project's aims on any machine; nothing fails on them. A run of some sections alone goes to
limits_partial.json, which is not kept in the repository.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import results_file
from machine import describe
from peers.turns import positive_seconds

from limits import additions, arithmetic, clipping, memory, options, sharing, threads, vanishing

RESULTS = Path(__file__).resolve().parents[1] / "results"
SECTIONS = {
    "peak": (arithmetic.peak, "share of a thread's multiply-add peak, whole step with statistics"),
    "widths": (arithmetic.widths, "ragged widths by full ones"),
    "batches": (arithmetic.batches, "ragged batches by full ones, sample for sample"),
    "bandwidth": (memory.bandwidth, "batch 1: share of np.max's bandwidth over as many bytes"),
    "adam": (additions.adam, "Adam"),
    "options": (options.options, "an optimizer's options by its plainest"),
    "clipping": (clipping.clipping, "steps that clip by steps that do not"),
    "threads": (sharing.two_threads, "two threads by one"),
    "depth": (memory.depth, "time of a layer in deep networks"),
    "vanishing": (vanishing.vanishing, "steps whose gradients vanish by steps whose gradients do not"),
    "statistics": (additions.statistics, "statistics"),
    "python": (additions.python, "cost of a call"),
}
FORMATS = {"share": "{:.0%}", "ratio": "{:.2f}x", "speedup": "{:.2f}x", "us": "{:.2f} us"}


def arguments():
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--seconds", type=positive_seconds, default=1.0, help="each comparison (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="default: bench/results/limits.json")
    options = parser.parse_args()
    options.output = options.output or RESULTS / ("limits_partial.json" if options.only else "limits.json")
    return options


def line(row):
    """Return a row as text."""
    figure = FORMATS[row.unit].format
    wanted = "" if row.wanted is None else ("" if row.met else "* ") + figure(row.wanted)
    return f"  {row.what:<48} {figure(row.measured):>10} {wanted:>10}"


def measure(sections, seconds):
    """Return the rows of all sections as dicts; print each as it comes."""
    found = []
    for name in sections:
        section, title = SECTIONS[name]
        print(f"{name}: {title}", flush=True)
        for row in section(seconds):
            print(line(row), flush=True)
            found.append({"section": name} | asdict(row))
    return found


def main():
    """Measure, print and write."""
    options = arguments()
    machine = describe()
    print(f"{machine['cpu']}, {machine['isa']}; {machine['compiler']}; {machine['commit']}; float32")
    print(f"  {'what':<48} {'measured':>10} {'wanted':>10}    *: missed")
    with threads(1):
        rows = measure(options.only or SECTIONS, options.seconds)
    results_file.write(options.output, {"machine": machine, "seconds": options.seconds, "rows": rows})
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
