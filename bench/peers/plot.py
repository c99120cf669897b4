"""Draws the results of `run.py`: throughput against depth, and how many times fastgrad's time peers take by width."""

from peers.tables import able, shape_of, summary

DEPTH_WIDTH, DEPTH_BATCH = 64, 32
WIDTH_LAYERS, WIDTH_BATCH = 5, 256
SHAPES = (
    *(f"{DEPTH_WIDTH}x{layers}x{DEPTH_BATCH}" for layers in (2, 5, 10, 20, 50, 100, 200)),
    *(f"{width}x{WIDTH_LAYERS}x{WIDTH_BATCH}" for width in (32, 64, 128, 256, 512, 1024)),
)
COLOURS = {
    "fastgrad": "#cc3311",
    "torch_eager": "#ee7733",
    "torch_compile": "#aa8855",
    "jax_jit": "#0077bb",
    "sklearn_mlp": "#009988",
    "numpy_blas": "#777777",
}
MARKERS = dict(zip(COLOURS, "o^vsDP", strict=True))


def look(key):
    """Return the style of a library's line."""
    prominent = key == "fastgrad"
    return {"color": COLOURS[key], "marker": MARKERS[key], "markersize": 5, "linewidth": 2.4 if prominent else 1.4}


def panel(results, xlabel, ylabel, title):
    """Return a figure of one panel, and the panel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left", fontsize="medium")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    machine = results["machine"]
    credit = f"{machine['cpu']}, {machine['isa']}, {machine['threads']} threads at most; {machine['commit']}"
    figure.supxlabel(credit, fontsize="x-small", color="#666666")
    return figure, axes


def finish(figure, axes, ticks, path):
    """Name every measured x, add the legend and save; return the path."""
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)
    return path


def draw_depth(results, rows, path):
    """Draw samples per second against depth."""
    title = f"Training step, width {DEPTH_WIDTH}, batch {DEPTH_BATCH}, float32; fastgrad with all statistics"
    figure, axes = panel(results, "layers", "samples per second", title)
    depths = [row["layers"] for row in rows]
    lines = {"fastgrad": "fastgrad"} | able(results)
    for key, name in lines.items():
        seconds = [row["fastgrad"] if key == "fastgrad" else row["peers"][key][0] for row in rows]
        axes.plot(depths, [DEPTH_BATCH / each for each in seconds], label=name, **look(key))
    return finish(figure, axes, depths, path)


def draw_width(results, rows, path):
    """Draw the ratio of each peer's step to fastgrad's against width."""
    title = f"Training step, {WIDTH_LAYERS} layers, batch {WIDTH_BATCH}, float32; fastgrad with all statistics"
    figure, axes = panel(results, "width", "time of a step / fastgrad's", title)
    widths = [row["width"] for row in rows]
    axes.axhline(1.0, color=COLOURS["fastgrad"], linewidth=2.4, label="fastgrad")
    for key, name in able(results).items():
        axes.plot(widths, [row["ratios"][key] for row in rows], label=name, **look(key))
    bottom, top = axes.get_ylim()
    axes.set_yticks([tick for tick in (1, 2, 3, 5, 10, 20, 50) if tick < top])
    axes.set_ylim(min(0.9, bottom), top)
    return finish(figure, axes, widths, path)


def drawable(results):
    """Return whether the results hold every shape of both figures."""
    return {shape_of(case) for case in results["steps"]}.issuperset(SHAPES)


def draw(results, folder, stem):
    """Draw both figures into a folder; return their paths, which begin with the stem."""
    rows = sorted(summary(results), key=lambda row: (row["width"], row["layers"]))
    deep = [row for row in rows if (row["width"], row["batch"]) == (DEPTH_WIDTH, DEPTH_BATCH)]
    wide = [row for row in rows if (row["layers"], row["batch"]) == (WIDTH_LAYERS, WIDTH_BATCH)]
    return [
        draw_depth(results, deep, folder / f"{stem}_depth.png"),
        draw_width(results, wide, folder / f"{stem}_width.png"),
    ]
