"""Classes whose instances take no attributes but their own: a name set in vain is an error that tells what there is.

Private names are the class's own business, and a caller's subclass may have what attributes it likes. Exceptions stay
as open as all of Python's are.
"""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)

VALUE = "It is a value: make another one"


def closed(*settable: str, cure: str = "") -> Callable[[Class], Class]:
    """Return a decorator that closes a class.

    Parameters
    ----------
    *settable : str
        Public attributes of instances that may be set.
    cure : str
        What to do instead, the error's last sentence without its full stop.

    Notes
    -----
    Setting any other public attribute raises AttributeError (FrozenInstanceError, which is one, of a dataclass), and so
    does deleting any.
    """

    def close(cls: Class) -> Class:
        kind = FrozenInstanceError if is_dataclass(cls) else AttributeError
        set_before: Callable[[object, str, Any], None] = getattr(cls, "__setattr__")  # noqa: B009
        delete_before: Callable[[object, str], None] = getattr(cls, "__delattr__")  # noqa: B009

        def set_attribute(self: object, name: str, value: Any) -> None:
            if type(self) is cls and not name.startswith("_") and name not in settable:
                raise kind(_refusal(self, name, "set", cure))
            try:
                set_before(self, name, value)
            except AttributeError as error:
                raise type(error)(_refusal(self, name, "set", cure)) from None

        def delete_attribute(self: object, name: str) -> None:
            if type(self) is cls:
                raise kind(_refusal(self, name, "deleted", cure))
            try:
                delete_before(self, name)
            except AttributeError as error:
                raise type(error)(_refusal(self, name, "deleted", cure)) from None

        cls.__setattr__, cls.__delattr__ = set_attribute, delete_attribute  # type: ignore[method-assign,assignment]
        return cls

    return close


def _refusal(instance: object, name: str, verb: str, cure: str) -> str:
    public = [known for known in dir(instance) if not known.startswith("_")]
    owner, remedy = type(instance).__name__, f". {cure}." if cure else ""
    if name in public:
        return f"{owner}.{name}: cannot be {verb}{remedy}"
    meant = get_close_matches(name, public, 1)
    hint = f" (did you mean {meant[0]!r}?)" if meant else ""
    return f"{owner}.{name}: cannot be {verb}, there is no such attribute{hint}; it has {', '.join(public)}{remedy}"
