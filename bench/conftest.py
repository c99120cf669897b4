"""Says how long a case takes, and adds the machine's peak, instruction set, threads and the commit to what
pytest-benchmark records.
"""

import pytest
from machine import describe


def pytest_addoption(parser):
    """Add the option that says how long a case takes."""
    parser.addoption("--case-seconds", type=float, default=1.0, help="time of each case (default: %(default)s)")


@pytest.fixture(scope="session")
def case_seconds(request):
    """Return for how long a case is timed, about."""
    return request.config.getoption("case_seconds")


@pytest.fixture(scope="session")
def machine():
    """Return what `machine.describe` tells, measured once a run."""
    return describe()


def pytest_benchmark_update_machine_info(config, machine_info):
    """Describe the machine in the results' head too."""
    machine_info["fastgrad"] = describe()
