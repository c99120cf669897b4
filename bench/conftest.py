"""Adds the machine's peak, instruction set, threads and the commit to what pytest-benchmark records."""

import pytest
from machine import describe


@pytest.fixture(scope="session")
def machine():
    """Return what `machine.describe` tells, measured once a run."""
    return describe()


def pytest_benchmark_update_machine_info(config, machine_info):
    """Describe the machine in the results' head too."""
    machine_info["fastgrad"] = describe()
