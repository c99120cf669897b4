"""The heat map: panels, shared scale, the colours of zeros and of what is not finite, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib import colormaps
from matplotlib.figure import Figure

from fastgrad import plot
from fastgrad.history import History
from fastgrad.telemetry import RECORD, STATISTICS, Telemetry

GREY, RED = (212, 212, 212, 255), (227, 52, 47, 255)


def history(grad_norm, **options):
    """Return a run whose grad_norm is the (steps, layers) array given and whose other statistics are 1."""
    grad_norm = np.asarray(grad_norm, dtype=np.float64)
    steps, layers = grad_norm.shape
    statistics = np.ones((steps, len(RECORD), layers))
    statistics[:, len(STATISTICS) :] = 0.0
    statistics[:, RECORD.index("grad_norm")] = grad_norm
    run = History(layers)
    run.prepare(layers, Telemetry(**options))
    run.append_chunk(np.ones(steps), statistics)
    return run


def unrecorded(layers):
    """Return a run of five steps without telemetry."""
    run = History(layers)
    run.append_chunk(np.ones(5), None)
    return run


def falling(steps, layers, decades, **options):
    return history(10.0 ** np.broadcast_to(np.linspace(-decades, 0.0, layers), (steps, layers)), **options)


def heat_maps(figure):
    return [axes for axes in figure.axes if axes.images]


def pixels(axes):
    return axes.images[0].get_array()


def colour_bar(figure):
    (bar,) = [axes for axes in figure.axes if not axes.images]
    return bar


def test_a_record_is_drawn_as_its_history_is():
    run = history(10.0 ** np.arange(-12.0, 0.0).reshape(4, 3))
    drawn = [pixels(plot.gradient_flow(what).axes[0]) for what in (run, run.telemetry)]
    np.testing.assert_array_equal(*drawn)


def test_one_history_gives_one_panel_and_a_file(tmp_path):
    path = tmp_path / "flow.png"
    figure = plot.gradient_flow(falling(7, 4, 3.0), path=path)
    assert isinstance(figure, Figure)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    (panel,) = heat_maps(figure)
    assert pixels(panel).shape == (4, 7, 4)
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("step", "layer")
    assert panel.images[0].origin == "lower"
    assert panel.images[0].get_extent() == [-0.5, 6.5, -0.5, 3.5]
    assert colour_bar(figure).get_ylabel() == r"$\log_{10}$ |grad_norm|"


def test_panels_keep_their_titles_order_and_a_common_scale():
    runs = {f"run {i}": falling(5, 3 + i, float(i)) for i in range(5)}
    figure = plot.gradient_flow(runs)
    panels = heat_maps(figure)
    assert [panel.get_title(loc="left") for panel in panels] == list(runs)
    assert colour_bar(figure).get_ylim() == (-4.0, 0.0)
    top = np.array(colormaps["viridis"](1.0, bytes=True))
    for i, panel in enumerate(panels):
        np.testing.assert_array_equal(pixels(panel)[-1, 0], top)
        expected = colormaps["viridis"]((4.0 - i) / 4.0, bytes=True)
        np.testing.assert_array_equal(pixels(panel)[0, 0], expected)


def test_zeros_and_values_that_are_not_finite_have_colours_and_a_legend():
    figure = plot.gradient_flow(history([[1.0, 0.0, 1e-5], [np.nan, 0.5, np.inf]]))
    (panel,) = heat_maps(figure)
    image = pixels(panel)
    assert [tuple(image[layer, step]) for layer, step in ((1, 0), (0, 1), (2, 1))] == [GREY, RED, RED]
    assert tuple(image[2, 0]) == tuple(colormaps["viridis"](0.0, bytes=True))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["exactly 0", "not finite"]
    assert colour_bar(figure).get_ylim() == pytest.approx((-5.0, 0.0))


def test_finite_runs_have_no_legend():
    assert plot.gradient_flow(falling(3, 3, 2.0)).legends == []


@pytest.mark.parametrize("value", [0.0, np.nan, 1e-250])
def test_runs_without_a_range_are_drawn(value, tmp_path):
    figure = plot.gradient_flow(history(np.full((1, 2), value)), path=tmp_path / "flow.png")
    low, high = colour_bar(figure).get_ylim()
    assert high - low == pytest.approx(1.0)


def test_a_thousand_layers_and_many_steps_are_thinned_by_steps_only(tmp_path):
    figure = plot.gradient_flow(falling(5000, 1000, 250.0, keep=5000), path=tmp_path / "flow.png")
    (panel,) = heat_maps(figure)
    assert pixels(panel).shape == (1000, 2500, 4)
    assert panel.get_xlim() == (-0.5, 4999.5)


def test_steps_are_where_the_record_has_them():
    grad_norm = 10.0 ** np.arange(20.0)[:, np.newaxis] * np.ones(2)
    full, thinned = (
        plot.gradient_flow({"": history(grad_norm)}),
        plot.gradient_flow(history(grad_norm, every=2, keep=5)),
    )
    (whole,), (panel,) = heat_maps(full), heat_maps(thinned)
    assert whole.get_xlim() == panel.get_xlim() == (-0.5, 19.5)
    assert pixels(panel).shape == (2, 5, 4)
    np.testing.assert_array_equal(pixels(panel)[:, 0], pixels(whole)[:, 0])


@pytest.mark.parametrize(("decades", "marked"), [(250.0, True), (60.0, True), (30.0, False)])
def test_the_end_of_float32_is_marked_where_it_is_on_the_scale(decades, marked):
    labels = [text.get_text() for text in colour_bar(plot.gradient_flow(falling(3, 4, decades))).texts]
    assert labels == (["float32 ends"] if marked else [])


def test_another_statistic_can_be_drawn():
    figure = plot.gradient_flow(falling(3, 4, 30.0), "weight_norm")
    assert colour_bar(figure).get_ylim() == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("histories", "error", "message"),
    [
        ({}, ValueError, "histories: got an empty mapping"),
        ([1], TypeError, "histories: got list, wants a History or a mapping"),
        ({"a": 1}, TypeError, r"histories\['a'\]: got int, wants a History"),
        ({"a": History(3)}, ValueError, r"histories\['a'\]: got no steps with telemetry"),
        ({"a": unrecorded(3)}, ValueError, r"histories\['a'\]: got no steps with telemetry"),
    ],
)
def test_what_is_not_a_run_is_refused(histories, error, message):
    with pytest.raises(error, match=message):
        plot.gradient_flow(histories)


def test_an_unknown_statistic_is_refused():
    with pytest.raises(KeyError, match="'loss' is not a statistic"):
        plot.gradient_flow(falling(3, 3, 1.0), "loss")


def test_a_missing_matplotlib_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[plot\]'"):
        plot.gradient_flow(falling(3, 3, 1.0))


def test_matplotlib_is_imported_late_and_pyplot_never():
    program = """
import sys
import numpy as np
from fastgrad import plot
from fastgrad.history import History
from fastgrad.telemetry import RECORD
assert not any(name.startswith("matplotlib") for name in sys.modules)
run = History(2)
run.append_chunk(np.ones(1), np.ones((1, len(RECORD), 2)))
plot.gradient_flow(run)
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
