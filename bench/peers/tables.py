"""Boils measured quartiles down to what tables and figures show, and prints it as text. It measures nothing."""

from statistics import median

MEDIAN = 1  # of the quartiles
WATCHES = ("norms", "activations", "histograms")


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
    """Return a dict for each monitored shape: seconds of both bare steps, and each watch's overhead as a share of its.

    Each library is taken at the number of threads that suits its bare step.
    """
    rows = []
    for shape in dict.fromkeys(shape_of(case) for case in results["monitoring"]):
        cases = [case["seconds"] for case in results["monitoring"] if shape_of(case) == shape]
        torch, mine = (min(cases, key=lambda case: case[bare][MEDIAN]) for bare in ("bare", "fastgrad_bare"))
        watches = {watch: torch[watch][MEDIAN] / torch["bare"][MEDIAN] - 1.0 for watch in WATCHES}
        watches["fastgrad"] = mine["fastgrad"][MEDIAN] / mine["fastgrad_bare"][MEDIAN] - 1.0
        bare = {"bare": torch["bare"][MEDIAN], "fastgrad_bare": mine["fastgrad_bare"][MEDIAN]}
        rows.append({"shape": shape} | bare | watches)
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
    return "\n".join([*lines, *watching(results)])


def watching(results):
    """Yield the lines of the second table, where it was measured."""
    rows = monitoring(results)
    if not rows:
        return
    yield from (
        "",
        "Cost of watching every step, over the bare step of the same library. fastgrad: all statistics, read.",
    )
    yield (
        f"{'shape':>12} {'PyTorch us':>11} {'norms':>8} {'+activations':>13} {'histograms':>11}"
        f" {'fastgrad us':>12} {'all':>8}"
    )
    for row in rows:
        yield (
            f"{row['shape']:>12} {row['bare'] * 1e6:11.0f} {row['norms']:+8.0%} {row['activations']:+13.0%}"
            f" {row['histograms']:+11.0%} {row['fastgrad_bare'] * 1e6:12.0f} {row['fastgrad']:+8.1%}"
        )
