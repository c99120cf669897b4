"""The machine and the process: instruction sets, threads, and the environment variables that set them."""

import os
import re
import subprocess
import sys

import pytest
from support import ISAS

import fastgrad as fg

SHOW = "import fastgrad as fg; print(fg.cpu_info()['isa'], fg.get_num_threads())"


def run(script=SHOW, **environment):
    """Import fastgrad in a process with only these of its variables set."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FASTGRAD_", "OMP_"))}
    return subprocess.run(
        [sys.executable, "-c", script], env=clean | environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def plain():
    """Return what an import tells in a process without any of the variables."""
    return run().stdout


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


@pytest.mark.parametrize("spelling", [str.upper, str.title, "  {} ".format, "\t{}\n".format])
@pytest.mark.parametrize("isa", ISAS)
def test_case_and_blanks_of_an_instruction_set_do_not_matter(isa, spelling):
    shown = run(FASTGRAD_ISA=spelling(isa))
    assert (shown.stdout.split()[0], shown.stderr) == (isa, "")


@pytest.mark.parametrize("empty", ["", " ", "\t"])
def test_empty_variables_count_as_unset(plain, empty):
    names = ("FASTGRAD_ISA", "FASTGRAD_NUM_THREADS", "OMP_NUM_THREADS")
    shown = run(**dict.fromkeys(names, empty))
    assert (shown.stdout, shown.stderr) == (plain, "")


HUGE = "9" * 5000
ABOVE = [isa for isa in ("avx2", "avx512") if isa not in ISAS]


@pytest.mark.parametrize("isa", [*ABOVE, "sse2", "avx", "2", "avx2,scalar", HUGE, "\udcff"])
def test_an_instruction_set_that_is_not_to_be_had_is_warned_of_and_the_best_is_used(isa):
    shown = run(FASTGRAD_ISA=isa)
    assert (shown.returncode, shown.stdout.split()[0]) == (0, ISAS[-1])
    (warning,) = re.findall("RuntimeWarning: (.*)", shown.stderr)
    got = "'.*'" if isa == HUGE else re.escape(repr(isa))
    choices = ", ".join(ISAS)
    assert re.fullmatch(f"FASTGRAD_ISA: got {got}, wants one of {choices} on this machine; uses {ISAS[-1]}", warning)
    assert len(warning) < 300


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


BAD_NUMBERS = ["0", "-1", "two", "1.5", "0,4"]


@pytest.mark.parametrize("value", [*BAD_NUMBERS, "257", "9" * 30, HUGE])
def test_a_bad_number_of_threads_in_the_environment_is_an_error(value):
    failed = run(FASTGRAD_NUM_THREADS=value)
    assert failed.returncode != 0
    (told,) = re.findall("ValueError: (.*)", failed.stderr)
    assert re.fullmatch("FASTGRAD_NUM_THREADS: got '.*', wants a whole number, 1 to 256", told)
    assert len(value) > 30 or repr(value) in told
    assert len(told) < 300


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_what_others_find_in_omp_num_threads_is_no_mistake_of_ours(plain, value):
    shown = run(OMP_NUM_THREADS=value)
    assert (shown.stdout, shown.stderr) == (plain, "")


@pytest.mark.parametrize("value", ["257", "9" * 30, HUGE])
def test_more_threads_than_the_engine_has_are_all_it_has_where_others_were_asked(value):
    assert run(OMP_NUM_THREADS=value).stdout.split()[1] == "256"


def test_where_warnings_are_errors_the_import_fails_cleanly_and_can_be_tried_again(plain):
    script = f"""
import os, sys, warnings
warnings.simplefilter("error")
for attempt in range(2):
    try:
        import fastgrad
    except RuntimeWarning as warning:
        print(warning)
    assert "fastgrad" not in sys.modules
del os.environ["FASTGRAD_ISA"]
{SHOW}
"""
    shown = run(script, FASTGRAD_ISA="sse2")
    assert shown.stderr == ""
    first, second, *rest = shown.stdout.splitlines()
    assert first == second
    assert first.startswith("FASTGRAD_ISA: got 'sse2', wants one of scalar")
    assert rest == plain.splitlines()


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
