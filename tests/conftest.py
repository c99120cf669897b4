"""Every test starts with the number of threads that the process started with."""

import pytest

import fastgrad as fg


@pytest.fixture(autouse=True)
def _same_threads_for_every_test():
    threads = fg.get_num_threads()
    yield
    fg.set_num_threads(threads)
