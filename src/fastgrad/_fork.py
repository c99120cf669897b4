"""What is done with the living networks at each fork, see `_core.Forks`."""

import os

from fastgrad import _core

FORKS = _core.Forks(longest_wait=1.0)


def prepare_for_forks() -> None:
    """Do it at each fork from now on."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=FORKS.before, after_in_parent=FORKS.after_in_parent, after_in_child=FORKS.after_in_child
        )
