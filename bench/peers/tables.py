"""Boils measured quartiles down to what tables and figures show, and prints it as text. It measures nothing."""

from statistics import median

MEDIAN = 1  # of the quartiles


def shape_of(case):
    """Return a case's shape as WIDTHxLAYERSxBATCH."""
    return f"{case['width']}x{case['layers']}x{case['batch']}"


def best(cases, side):
    """Return the shortest median step of a side over numbers of threads, and its number."""
    return min((case[side][MEDIAN], case["threads"]) for case in cases)


def summary(results):
    """Return a dict for each shape: fastgrad's seconds, threads and share of peak; peers' seconds and ratios.

    A ratio compares steps that took turns; fastgrad's own figures are the median over its meetings with all peers. The
    share is that of one thread's multiply-add peak, measured right after it, in a run with one thread.
    """
    rows = []
    for shape in dict.fromkeys(shape_of(case) for case in results["steps"]):
        cases = [case for case in results["steps"] if shape_of(case) == shape]
        meetings = {peer: [case for case in cases if case["peer"] == peer] for peer in results["peers"]}
        meetings = {peer: met for peer, met in meetings.items() if met}
        mine = {peer: best(met, "fastgrad_seconds") for peer, met in meetings.items()}
        theirs = {peer: best(met, "peer_seconds") for peer, met in meetings.items()}
        alone = [case for case in cases if case["threads"] == 1]
        rows.append(
            {key: cases[0][key] for key in ("width", "layers", "batch")}
            | {
                "shape": shape,
                "fastgrad": median(seconds for seconds, _ in mine.values()),
                "threads": max(threads for _, threads in mine.values()),
                "of_peak": median(c["flops"] / c["fastgrad_seconds"][MEDIAN] / c["fma_peak"] for c in alone),
                "peers": theirs,
                "ratios": {peer: theirs[peer][0] / mine[peer][0] for peer in meetings},
            }
        )
    return rows


def monitoring(results):
    """Return a dict for each monitored shape: seconds of the bare step and each watch's overhead as a share of it."""
    rows = []
    for shape in dict.fromkeys(shape_of(case) for case in results["monitoring"]):
        cases = [case["seconds"] for case in results["monitoring"] if shape_of(case) == shape]
        taken = {name: each[MEDIAN] for name, each in min(cases, key=lambda case: case["bare"][MEDIAN]).items()}
        mine = min((case["fastgrad"][MEDIAN], case["fastgrad_read"][MEDIAN]) for case in cases)
        bare = taken["bare"]
        rows.append(
            {"shape": shape, "bare": bare, "fastgrad": mine[1], "fastgrad_overhead": mine[1] / mine[0] - 1.0}
            | {name: taken[name] / bare - 1.0 for name in ("norms", "activations", "histograms")}
        )
    return rows


def able(results):
    """Return the names of the peers that could run, by their keys."""
    return {peer: head["name"] for peer, head in results["peers"].items() if head["unavailable"] is None}


def heading(results):
    """Return the machine and the versions in two lines."""
    machine = results["machine"]
    known = ", ".join(f"{name} {number}" for name, number in results["versions"].items() if number)
    return (
        f"{machine['cpu']}, {machine['isa']}, {machine['threads']} threads, "
        f"{machine['fma_peak'] / 1e9:.0f} GFLOP/s a thread; {machine['compiler']}; {machine['commit']}\n{known}"
    )


def report(results):
    """Return both tables as text."""
    names = able(results)
    lines = [heading(results), "", "Training step, float32, fastgrad with all statistics. Ratio: peer / fastgrad."]
    lines.append(f"{'shape':>12} {'fastgrad us':>12} {'of peak':>8}" + "".join(f"{n:>15}" for n in names.values()))
    for row in summary(results):
        ratios = "".join(f"{row['ratios'][peer]:14.2f}x" for peer in names)
        lines.append(f"{row['shape']:>12} {row['fastgrad'] * 1e6:12.1f} {row['of_peak']:8.0%}{ratios}")
    lines += [
        f"{peer} not available: {head['unavailable']}" for peer, head in results["peers"].items() if peer not in names
    ]
    watched = monitoring(results)
    if watched:
        lines += [
            "",
            "Watching PyTorch: overhead over its bare step. fastgrad: its step, statistics read; reading alone.",
        ]
        lines.append(
            f"{'shape':>12} {'bare us':>10} {'norms':>8} {'+activations':>13} {'histograms':>11}"
            f" {'fastgrad us':>12} {'reading':>8}"
        )
    lines += [
        f"{row['shape']:>12} {row['bare'] * 1e6:10.0f} {row['norms']:+8.0%} {row['activations']:+13.0%}"
        f" {row['histograms']:+11.0%} {row['fastgrad'] * 1e6:12.0f} {row['fastgrad_overhead']:+8.1%}"
        for row in watched
    ]
    return "\n".join(lines)
