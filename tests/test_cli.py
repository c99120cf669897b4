"""The command line and the demo: what is printed agrees with what was measured, and bad arguments end with a status."""

import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import demo
from fastgrad.cli import main

needs_demo = pytest.mark.skipif(bool(demo.missing_packages()), reason="needs the extra `demo`")
SHORT = ["--epochs", "2"]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def status(*arguments):
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return exit_.value.code


def run_of(log10_gradients, title="title"):
    return demo.Run(title, fg.History(len(log10_gradients)), np.array(log10_gradients), 0.5, 1.0, 1.0)


def test_version_is_the_packages(capsys):
    assert status("--version") == 0
    assert capsys.readouterr().out == f"fastgrad {fg.__version__}\n"


def test_info_names_the_kernels_and_a_plausible_peak(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert fg.cpu_info()["brand"] in out
    assert f"in use: {fg.cpu_info()['isa']}" in out
    single, double = (float(peak) for peak in re.findall(r"([\d.]+) GFLOP/s", out))
    assert 1.0 < double < single < 3000.0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "COMMAND"),
        (["train"], "train"),
        (["demo", "--epochs", "0"], "--epochs: got '0', wants a whole number >= 1"),
        (["demo", "--epochs", "many"], "--epochs: got 'many'"),
        (["demo", "--seed", "-1"], "--seed: got '-1', wants a whole number >= 0"),
        (["demo", "--seed", str(2**63)], f"--seed: got '{2**63}'"),
        (["demo", "--epochs", "9" * 5000], "--epochs: got '999"),
        *(
            pytest.param(["demo", "--output", output], f"argument --output: got {complaint}", marks=needs_demo)
            for output, complaint in (
                ("flow.txt", "'flow.txt', wants a path that ends in .png"),
                ("nowhere/flow.png", "'nowhere/flow.png', wants a path that ends in .png, in an existing folder"),
                (".", "'.', wants a path that ends in .png"),
                ("/proc/flow.png", "'/proc/flow.png', which cannot be written (No such file or directory)"),
                ("nul\0.png", "'nul\\x00.png', wants a name that a file can have (embedded null byte)"),
                ("\ud800.png", "'\\ud800.png', wants a name that a file can have"),
                ("x" * 252 + ".png", "'xxx"),
            )
        ),
    ],
)
def test_bad_arguments_end_with_status_2_and_name_the_argument(arguments, complaint, capsys):
    assert status(*arguments) == 2
    assert complaint in capsys.readouterr().err


@needs_demo
def test_nothing_is_trained_for_a_picture_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "load_digits", None)
    (tmp_path / "folder.png").mkdir()
    for path, error in (("/proc/flow.png", FileNotFoundError), (tmp_path / "folder.png", ValueError)):
        with pytest.raises(error, match=r"output: got .*png'"):
            demo.run(path, 1, 0, io.StringIO())
    assert os.listdir(tmp_path) == ["folder.png"]


@needs_demo
def test_a_picture_that_is_there_stays_until_the_new_one_is_drawn(tmp_path):
    old = tmp_path / "old.png"
    old.write_bytes(b"old")
    assert demo.checked_output(old) == old
    assert demo.checked_output(tmp_path / "new.png") == tmp_path / "new.png"
    assert (os.listdir(tmp_path), old.read_bytes()) == (["old.png"], b"old")


@contextmanager
def command(*arguments, **options):
    """Start the command as a shell does in the foreground, with buffered output; end it where the test does not."""
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = [sys.executable, "-c", f"{hear}; import sys; from fastgrad.cli import main; sys.exit(main())", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


LONG = ["demo", "--epochs", "100000"]


@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["--version"], pytest.param(LONG, marks=needs_demo)])
def test_a_reader_that_has_gone_ends_it_quietly(arguments, tmp_path):
    read, write = os.pipe()
    os.close(read)
    with command(*arguments, stdout=write, cwd=tmp_path) as process:
        os.close(write)
        _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["info"], ["--help"]])
def test_output_that_cannot_be_written_is_told_in_one_line(arguments):
    with open("/dev/full", "w") as full, command(*arguments, stdout=full) as process:
        _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (1, "fastgrad: [Errno 28] No space left on device\n")


def test_without_a_standard_output_there_is_nothing_to_complain_of():
    with command("info", preexec_fn=lambda: os.close(1)) as process:
        _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (0, "")


@needs_demo
def test_an_interrupt_ends_a_run_without_a_traceback(tmp_path):
    with command(*LONG, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout.read(1)  # a line was flushed: it trains
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (130, "\n")
    assert os.listdir(tmp_path) == []


def test_missing_packages_are_named_with_their_extra(monkeypatch, capsys):
    monkeypatch.setattr(demo, "find_spec", lambda module: None if module == "sklearn" else importlib.util.find_spec)
    assert status("demo") == 1
    assert capsys.readouterr().err == "fastgrad demo needs scikit-learn: pip install 'fastgrad[demo]'\n"


def test_interrupt_ends_with_status_130(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "missing_packages", interrupted)
    assert main(["demo"]) == 130


def test_flops_are_those_of_the_summary():
    net = fg.MLP([64, 128, 128, 10])
    per_layer = [int(row.split()[-1].replace(",", "")) for row in net.summary().splitlines()[1:-1]]
    assert demo.flops_per_sample(net.sizes) == sum(per_layer)


@needs_demo
def test_held_out_digits_are_not_trained_on():
    digits = demo.load_digits()
    trained = {image.tobytes() for image in digits.X}
    assert len(digits.X) == len(digits.y) == 5 * (1797 - len(digits.X_held_out))
    assert not any(image.tobytes() in trained for image in digits.X_held_out)
    original, down = digits.X[0].reshape(8, 8), digits.X[len(digits.X) // 5].reshape(8, 8)
    np.testing.assert_array_equal(down[1:], original[:-1])
    np.testing.assert_array_equal(np.unique(digits.y_held_out), np.arange(10))


@needs_demo
def test_demo_prints_what_it_measured_and_draws_it(tmp_path, capsys):
    image = pytest.importorskip("matplotlib.image")
    path = tmp_path / "flow.png"
    out = Terminal()
    runs = demo.run(path, 2, 3, out)
    text = out.getvalue()
    for number, run in enumerate(runs):
        assert len(run.history) == 2 * -(-7185 // demo.BATCH_SIZE)
        last_epoch = run.history.telemetry["grad_norm"][len(run.history) // 2 :]
        np.testing.assert_allclose(run.log10_gradients, np.log10(np.median(last_epoch, axis=0)))
        assert f"{run.title}: {run.accuracy:.1%}" in text
        for layer, value in enumerate(run.log10_gradients):
            (row,) = re.findall(rf"^ +{layer}  (.*)$", text, re.MULTILINE)
            assert re.findall(r"-?\d+\.\d", row)[number] == f"{value:.1f}"
    sick, healthy = (run.log10_gradients for run in runs)
    assert sick[0] - sick[-1] < -15.0
    assert abs(healthy[0] - healthy[-1]) < 2.0
    pixels = image.imread(path)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 100


@needs_demo
def test_command_writes_the_default_picture_where_it_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--epochs", "1"]) == 0
    assert (tmp_path / "fastgrad-demo.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert out.endswith("fastgrad-demo.png\n")
    assert "\r" not in out
    assert max(map(len, out.splitlines())) <= 100


@needs_demo
def test_healthy_network_tells_97_percent():
    healthy = demo.train(demo.RECIPES[1], demo.load_digits(), demo.EPOCHS, seed=0, out=io.StringIO())
    assert healthy.accuracy >= 0.97


def test_bars_are_as_long_as_the_values_say():
    text = demo.gradient_bars([run_of([-8.0, -4.0, -0.0]), run_of([-np.inf, -9.0, -1.0])], columns=80)
    bars = [[line[14:43], line[51:80]] for line in text.splitlines()[1:-1]]
    lengths = np.array([[cell.rstrip().count("█") for cell in row] for row in bars])
    width = lengths.max()
    assert width >= 25
    scale = width / 10.0  # from 1e-10, a decade under the smallest, to 1e0
    np.testing.assert_allclose(lengths[:, 0], [10 * scale, 6 * scale, 2 * scale], atol=1)
    np.testing.assert_allclose(lengths[:, 1], [9 * scale, 1 * scale, 0], atol=1)
    assert "-inf" in text
    assert text.splitlines()[-1].split() == ["1e-10", "1e0"] * 2


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_bars_fit_the_width(columns):
    text = demo.gradient_bars([run_of([-30.0, -0.5], "a title of many words, too long for its place")] * 2, columns)
    assert max(map(len, text.splitlines())) <= min(max(columns, 48), 100)


def test_bars_are_plain_where_blocks_cannot_be_written():
    runs = [run_of([-3.0, -1.0])]
    assert "#" in demo.gradient_bars(runs, unicode=False)
    assert demo.gradient_bars(runs, unicode=False).isascii()


def test_bars_of_dead_networks():
    text = demo.gradient_bars([run_of([-np.inf, -np.inf])])
    assert text.count("-inf") == 2
    assert "█" not in text


@needs_demo
def test_progress_is_one_line_on_a_terminal_and_four_elsewhere():
    for out, returns, newlines in ((Terminal(), 8, 1), (io.StringIO(), 0, 4)):
        progress = demo._Progress("title", 8, out)
        for epoch in range(1, 9):
            progress.tell(epoch, 1.0, 100.0, 1.0)
        assert (out.getvalue().count("\r"), out.getvalue().count("\n")) == (returns, newlines)
