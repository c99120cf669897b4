"""The guard of a step's instructions: what it lets pass, what it refuses, and what it keeps. A stub stands for
valgrind, so that the counts are the test's.
"""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

import instructions

VERSIONS = "GCC 12.2.0, glibc 2.36, avx2"
KEPT = dict.fromkeys(instructions.CASES, 1_000_000)
STUB = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo "{versions}"
echo 12.5 us
echo "==1== Collected : $(cat "{counts}/$2 $3x$4x$5")" >&2
"""


def counts(**changed):
    """Return a million for every case but those changed, spelt sgd_64x2x32."""
    return KEPT | {name.replace("_", " "): number for name, number in changed.items()}


@pytest.fixture
def guard(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command on made counts; the file keeps a million for each case."""
    kept = tmp_path / "instructions.json"
    kept.write_text(json.dumps({VERSIONS: {"reason": "the first", "steps": KEPT}}))
    monkeypatch.setattr(instructions, "KEPT", kept)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def run(counted, *options, versions=VERSIONS):
        for case, number in counted.items():
            (tmp_path / case).write_text(str(number))
        stub = tmp_path / "valgrind"
        stub.write_text(STUB.format(versions=versions, counts=tmp_path))
        stub.chmod(0o755)
        status = instructions.main([*options, "steps"])
        return status, capsys.readouterr().out, json.loads(kept.read_text())

    return run


@pytest.mark.parametrize("now", [1_000_000, 1_029_999, 970_001])
def test_three_percent_either_way_pass_without_a_remark(guard, now):
    status, said, _ = guard(counts(sgd_64x10x256=now))
    assert status == 0
    assert f"{now:,}" in said
    assert f"{now / 1_000_000 - 1:+.2%}" in said
    assert "TOO MANY" not in said
    assert "update" not in said


@pytest.mark.parametrize("case", instructions.CASES)
def test_more_than_three_percent_above_fails_and_names_the_case(guard, case):
    status, said, kept = guard(KEPT | {case: 1_030_001})
    assert status == 1
    (line,) = [line for line in said.splitlines() if "TOO MANY" in line]
    assert line.startswith(case)
    assert 'UPDATE="why"' in said
    assert kept[VERSIONS]["steps"] == KEPT


def test_fewer_in_one_case_do_not_pay_for_more_in_another(guard):
    assert guard(counts(sgd_64x2x32=500_000, sgd_64x10x256=1_040_000))[0] == 1


def test_more_than_three_percent_below_passes_with_a_hint(guard):
    status, said, _ = guard(counts(sgd_64x2x32=969_999))
    assert status == 0
    (line,) = [line for line in said.splitlines() if "fewer: update the file" in line]
    assert line.startswith("sgd 64x2x32")
    assert "-3.00%" in line


@pytest.mark.parametrize("versions", ["GCC 13.1.0, glibc 2.36, avx2", "GCC 12.2.0, glibc 2.39, avx2"])
def test_other_versions_are_printed_and_pass(guard, versions):
    status, said, _ = guard(counts(sgd_64x2x32=9_000_000), versions=versions)
    assert status == 0
    assert "none are kept for these versions" in said
    assert "9,000,000" in said


def test_an_update_keeps_counts_and_reason_and_leaves_other_versions_alone(guard):
    mine = counts(sgd_64x2x32=9_000_000)
    other = "Debian Clang 14.0.6, glibc 2.36, avx2"
    assert guard(mine, "--update", " for clang ", versions=other)[0] == 0
    status, _, kept = guard(mine, "--update", "wider sums")
    assert status == 0
    assert kept == {
        VERSIONS: {"reason": "wider sums", "steps": mine},
        other: {"reason": "for clang", "steps": mine},
    }
    assert guard(mine)[0] == 0


def test_an_update_without_a_reason_is_refused(guard):
    with pytest.raises(SystemExit) as refused:
        guard(counts(), "--update", "  ")
    assert refused.value.code == 2


@pytest.mark.parametrize("spoilt", [{"reason": " "}, {"reason": None}, {"steps": {"sgd 64x2x32": 0}}, {"steps": 3}])
def test_a_file_without_reasons_or_with_impossible_counts_is_refused(guard, spoilt):
    entry = {"reason": "the first", "steps": KEPT} | spoilt
    instructions.KEPT.write_text(json.dumps({VERSIONS: entry}))
    with pytest.raises(SystemExit, match=r"instructions\.json"):
        guard(counts())


def test_the_kept_file_makes_sense_and_knows_every_case():
    kept = instructions.load(Path(instructions.__file__).parent / "results" / "instructions.json")
    assert kept
    assert all(set(entry["steps"]) == set(instructions.CASES) for entry in kept.values())
