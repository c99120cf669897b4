"""The machine and the process: instruction sets, threads, and the environment variables that set them."""

import os
import subprocess
import sys

import pytest
from support import ISAS

import fastgrad as fg

SHOW = "import fastgrad as fg; print(fg.cpu_info()['isa'], fg.get_num_threads())"


def run(**environment):
    """Import fastgrad in a process with only these of its variables set."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FASTGRAD_", "OMP_"))}
    return subprocess.run(
        [sys.executable, "-c", SHOW], env=clean | environment, capture_output=True, text=True, timeout=60
    )


def test_cpu_info_tells_what_is_used():
    info = fg.cpu_info()
    assert info["isas"] == ISAS
    assert info["isas"][0] == "scalar"
    assert info["isa"] == ISAS[-1]
    assert info["threads"] == fg.get_num_threads()
    assert 1 <= info["default_threads"] <= len(os.sched_getaffinity(0))
    assert isinstance(info["brand"], str)


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_may_lower_the_instruction_set(isa):
    assert run(FASTGRAD_ISA=isa).stdout.split()[0] == isa


@pytest.mark.parametrize("isa", ["sse2", "AVX2", ""])
def test_an_unknown_instruction_set_in_the_environment_is_an_error(isa):
    failed = run(FASTGRAD_ISA=isa)
    assert failed.returncode != 0
    assert f"ValueError: FASTGRAD_ISA: got {isa!r}, wants one of scalar" in failed.stderr


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"FASTGRAD_NUM_THREADS": "3"}, "3"),
        ({"OMP_NUM_THREADS": "5"}, "5"),
        ({"OMP_NUM_THREADS": "4,2"}, "4"),
        ({"FASTGRAD_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3"),
        ({"FASTGRAD_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, "5"),
    ],
)
def test_the_environment_sets_the_threads(environment, threads):
    assert run(**environment).stdout.split()[1] == threads


BAD_NUMBERS = ["0", "-1", "two", "1.5"]


@pytest.mark.parametrize("value", [*BAD_NUMBERS, "9" * 30])
def test_a_bad_number_of_threads_in_the_environment_is_an_error(value):
    failed = run(FASTGRAD_NUM_THREADS=value)
    assert failed.returncode != 0
    assert f"ValueError: FASTGRAD_NUM_THREADS: got {value!r}" in failed.stderr


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_what_others_find_in_omp_num_threads_is_no_mistake_of_ours(value):
    assert run(OMP_NUM_THREADS=value).stdout == run(OMP_NUM_THREADS="").stdout


def test_more_threads_than_the_engine_has_are_an_error_where_fastgrad_was_asked():
    failed = run(FASTGRAD_NUM_THREADS="257")
    assert failed.returncode != 0
    assert "ValueError: FASTGRAD_NUM_THREADS: got '257'" in failed.stderr


def test_the_default_respects_the_affinity_of_the_process():
    one = min(os.sched_getaffinity(0))
    script = f"import os; os.sched_setaffinity(0, {{{one}}}); {SHOW}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FASTGRAD_", "OMP_"))}
    shown = subprocess.run([sys.executable, "-c", script], env=clean, capture_output=True, text=True, timeout=60)
    assert shown.stdout.split()[1] == "1"


@pytest.mark.parametrize("threads", [1, 7, 256])
def test_an_explicit_number_of_threads_is_honoured(threads):
    fg.set_num_threads(threads)
    assert fg.get_num_threads() == fg.cpu_info()["threads"] == threads


def test_forcing_an_instruction_set_nests_and_ends_with_the_block():
    seen = []
    for isa in ISAS:
        with fg.force_isa(isa):
            with fg.force_isa(ISAS[0]):
                seen.append(fg.MLP([2, 2]).isa)
            seen.append(fg.MLP([2, 2]).isa)
    assert seen == [name for isa in ISAS for name in (ISAS[0], isa)]
    with pytest.raises(ZeroDivisionError), fg.force_isa(ISAS[0]):
        raise ZeroDivisionError
    assert fg.cpu_info()["isa"] == ISAS[-1]


def test_importing_leaves_the_floating_point_state_alone():
    script = "import numpy as np, fastgrad; print(np.float32(1e-38) * np.float32(0.1) > 0)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == "True"
