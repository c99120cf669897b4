"""The README's example is the file it names, prints what the README says, and its tables are the kept results'."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastgrad.telemetry import RECORD, STATISTICS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLE = ROOT / "examples" / "quickstart.py"
TABLES = ROOT / "bench" / "peers" / "readme_table.py"
NUMBER = r"-?\d+\.\d+"
TOLERANCE = 0.1  # the last digits of a loss after 600 steps are the instruction set's


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def between(begin, end):
    (text,) = re.findall(rf"^{re.escape(begin)}\n(.*?)^{re.escape(end)}", README, re.MULTILINE | re.DOTALL)
    return text


def test_the_readmes_tables_are_the_kept_results():
    ran = subprocess.run([sys.executable, "-W", "error", TABLES], capture_output=True, text=True, check=True)
    assert ran.stdout.count("\n| ") >= 11
    assert between("<!-- bench-peers -->", "<!-- /bench-peers -->") == ran.stdout


def test_the_peers_figures_can_be_drawn_from_the_kept_results(tmp_path, monkeypatch):
    image = pytest.importorskip("matplotlib.image")
    monkeypatch.syspath_prepend(ROOT / "bench")
    from peers import plot

    results = json.loads((ROOT / "bench" / "results" / "peers.json").read_text())
    for path in plot.draw(results, tmp_path, "peers"):
        drawn, committed = image.imread(path), image.imread(ROOT / "docs" / "images" / path.name)
        assert drawn.shape == committed.shape
        assert drawn.std() > 0.0


def test_the_readmes_tables_refuse_others(tmp_path):
    results = json.loads((ROOT / "bench" / "results" / "peers.json").read_text())
    results["machine"]["cpu"] = "another"
    (tmp_path / "peers.json").write_text(json.dumps(results))
    for path, status in ((tmp_path / "peers.json", 1), (ROOT / "bench" / "results" / "peers.json", 0)):
        ran = subprocess.run([sys.executable, TABLES, "--check", path], capture_output=True, text=True)
        assert ran.returncode == status, ran.stderr


def test_the_readmes_code_is_the_example():
    assert blocks("python")[0] == EXAMPLE.read_text()


@pytest.mark.parametrize(("code", "said"), list(zip(blocks("python"), blocks("text"), strict=True)))
def test_the_readmes_code_prints_what_the_readme_says(code, said):
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert re.sub(NUMBER, "#", ran.stdout) == re.sub(NUMBER, "#", said)
    got, wanted = (np.array(re.findall(NUMBER, text), dtype=float) for text in (ran.stdout, said))
    np.testing.assert_allclose(got, wanted, rtol=0.0, atol=TOLERANCE + 1e-9)


def test_the_readme_counts_the_statistics():
    assert len(STATISTICS) == 15
    assert "fifteen statistics" in README
    assert f"{8 * len(RECORD)} bytes for each layer and step" in README
