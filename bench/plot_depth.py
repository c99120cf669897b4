"""Draws and tabulates what `test_depth.py` measured: bench/results/latest.json to depth.png beside it."""

import argparse
import json
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "latest.json"
COLOURS = {32: "#4477aa", 64: "#228833", 256: "#cc6677"}
STYLES = {32: "--", 256: "-"}


def load(path):
    """Return the extra_info of every depth case, sorted; exit with a message where there is none."""
    try:
        results = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        sys.exit(f"{path}: {error}; `make bench` writes it")
    cases = [each["extra_info"] for each in results["benchmarks"] if "seconds_per_layer" in each["extra_info"]]
    if not cases:
        sys.exit(f"{path} holds no measurement of depth; `make bench` makes them")
    return sorted(cases, key=lambda case: (case["kind"], case["width"], case["batch"], case["layers"]))


def table(cases):
    """Return the cases as lines of text."""
    lines = ["kind     width batch layers      samples/s    us/layer   GFLOP/s  of peak"]
    lines += [
        f"{case['kind']:<8} {case['width']:5} {case['batch']:5} {case['layers']:6} {case['samples_per_second']:14,.0f}"
        f" {case['seconds_per_layer'] * 1e6:11.2f} {case['gflops']:9.1f} {case['share_of_peak']:8.0%}"
        for case in cases
    ]
    return "\n".join(lines)


def growth(cases, width=64, rows=32):
    """Return in words how the time of a layer's step grows from 10 to 1000 layers, or None where not measured."""
    seconds = {
        case["layers"]: case["seconds_per_layer"]
        for case in cases
        if (case["kind"], case["width"], case["batch"]) == ("step", width, rows)
    }
    if not {10, 1000} <= seconds.keys():
        return None
    return f"time per layer of a step, width {width}, batch {rows}: 1000 layers / 10 layers = " + (
        f"{seconds[1000] / seconds[10]:.2f}"
    )


def draw(cases, path):
    """Draw throughput and time per layer of whole steps against depth."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    speed, time = figure.subplots(1, 2)
    steps = [case for case in cases if case["kind"] == "step"]
    for width, rows in sorted({(case["width"], case["batch"]) for case in steps}):
        line = [case for case in steps if (case["width"], case["batch"]) == (width, rows)]
        layers = [case["layers"] for case in line]
        look = {"color": COLOURS.get(width), "linestyle": STYLES.get(rows, ":"), "marker": "o", "markersize": 3.5}
        label = f"width {width}, batch {rows}"
        speed.plot(layers, [case["gflops"] for case in line], label=label, **look)
        time.plot(layers, [case["seconds_per_layer"] * 1e6 for case in line], label=label, **look)
    head = cases[0]
    speed.axhline(head["fma_peak"] * head["threads"] / 1e9, color="#888888", linewidth=1)
    speed.annotate(
        f"multiply-add peak of {head['threads']} threads",
        (0.02, head["fma_peak"] * head["threads"] / 1e9),
        xycoords=("axes fraction", "data"),
        xytext=(0, -11),
        textcoords="offset points",
        color="#666666",
        fontsize="small",
    )
    speed.set(title="Training step: throughput", ylabel="GFLOP/s", ylim=(0, None))
    time.set(title="Training step: time per layer", ylabel="microseconds", yscale="log")
    for panel in (speed, time):
        panel.set(xscale="log", xlabel="layers")
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*speed.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"{head['cpu']}, {head['isa']}, float32, all statistics on", fontsize="small", color="#666666")
    figure.savefig(path, dpi=130)


def main():
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS, help="default: bench/results/latest.json")
    options = parser.parse_args()
    cases = load(options.results)
    print(table(cases))
    verdict = growth(cases)
    if verdict:
        print(f"\n{verdict}")
    path = options.results.with_name("depth.png")
    draw(cases, path)
    print(f"drawn to {path}")


if __name__ == "__main__":
    main()
