"""What a public object keeps for the rest of the package, which works with it and which users do not see.

A public class has no method that is not for its users. What other modules need of it is an object of its own, whose
names they may use as those of any other; `inside` hands it over, and nobody else does.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class HasInside(Generic[T]):
    """A public class that has such an object."""

    _inside: T


def inside(thing: HasInside[T]) -> T:
    """Return what a public object keeps for the package."""
    return thing._inside
