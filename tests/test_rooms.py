"""How the package is built: no circle of imports, nobody reaches into another's inside, nothing internal looks public.

Read from the source, so that what hides in a function or under TYPE_CHECKING is found too.
"""

import ast
import graphlib
import importlib
import inspect
from pathlib import Path

import pytest
from public_calls import NOT_CALLED, RESULTS, public_callables

import fastgrad as fg

PACKAGE = Path(fg.__file__).parent
SOURCES = {path.stem: path.read_text() for path in PACKAGE.glob("*.py")}
ROOMS = ("engine", "data", "fitting", "sinks")  # internal, as all are whose name has an underscore


def imported(source, modules):
    """Return what a module imports of these modules of the package, or of the package itself: "__init__"."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            paths = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ["fastgrad"] * bool(node.level) + (node.module or "").split(".") * bool(node.module)
            paths = [[*base, alias.name] for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            paths = [argument.value.split(".") for argument in node.args[:1] if isinstance(argument, ast.Constant)]
        else:
            continue
        for path in paths:
            if path[0] == "fastgrad":
                found.add(path[1] if len(path) > 1 and path[1] in modules else "__init__")
    return found


def circle(sources):
    """Return modules that import each other in a circle, or None."""
    graph = {name: imported(source, {*sources, "_core"}) for name, source in sources.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_no_modules_import_each_other_in_a_circle():
    assert {"network", "train", "engine"} <= set(SOURCES)
    assert imported(SOURCES["train"], SOURCES) >= {"network", "engine", "fitting"}
    assert circle(SOURCES) is None


@pytest.mark.parametrize(
    "source",
    [
        "from fastgrad.train import Trainer",
        "from fastgrad import _checks, train",
        "import fastgrad.train",
        "import fastgrad",
        "from fastgrad import MLP",
        "from .train import Trainer",
        "from . import train",
        "if TYPE_CHECKING:\n    from fastgrad.train import Trainer",
        "def f():\n    from fastgrad.train import Trainer",
        "def f():\n    return importlib.import_module('fastgrad.train')",
    ],
)
def test_a_circle_is_found_wherever_it_hides(source):
    sources = {"__init__": "from fastgrad.train import Trainer", "train": "import fastgrad._checks", "_checks": source}
    assert {"train", "_checks"} <= set(circle(sources))
    assert circle(sources | {"_checks": "import numpy"}) is None


OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}  # public, and underscored to leave names to fields
OWN = ("self", "cls", "super()")


def foreign(source):
    """Return each use of a private name of anything but oneself, be it of the same class.

    It may be an attribute, be imported, or be a text, as for `getattr` and for a `Change`.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            used = [(node.value, node.attr)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("attr", "attr__")) and len(node.args) > 1:
            used = [(node.args[0], node.args[1])]
        elif isinstance(node, ast.Tuple) and len(node.elts) == 3 and not isinstance(node.elts[0], ast.Constant):
            used = [(node.elts[0], node.elts[1])]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastgrad."):
            used = [(ast.Name(node.module), alias.name) for alias in node.names]
        else:
            continue
        for thing, name in used:
            text = name.value if isinstance(name, ast.Constant) else name
            if isinstance(text, str) and is_private(text) and ast.unparse(thing) not in OWN:
                found.append(f"{ast.unparse(thing)}.{text}")
    return found


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name not in OF_NAMED_TUPLES


@pytest.mark.parametrize("module", SOURCES)
def test_nobody_reaches_into_another(module):
    assert foreign(SOURCES[module]) == (["thing._inside"] if module == "_inside" else [])


@pytest.mark.parametrize(
    "source",
    [
        "net._network",
        "self._net._network",
        "f(net)._network.lock",
        "net._network = 1",
        "setattr(net, '_network', 1)",
        "object.__setattr__(net, '_network', 1)",
        "commit([(net, '_network', 1)])",
        "from fastgrad.network import _network",
    ],
)
def test_who_reaches_into_another_is_found(source):
    assert len(foreign(source)) == len(foreign(f"class Net:\n    _network = 0\n    {source}")) == 1
    assert foreign(source.replace("_network", "network")) == []


def test_nothing_internal_looks_public():
    """Whatever a public module defines under a public name is for users: what introspection finds, and no more."""
    named = {thing.__name__.split(".")[-1] for thing in vars(fg).values() if inspect.ismodule(thing)} & set(fg.__all__)
    things = [getattr(fg, name) for name in fg.__all__]
    made_in = {thing.__module__.split(".")[-1] for thing in things if not inspect.ismodule(thing)}
    homes = (named | made_in | {"parameters"}) - {"reference"}
    known = set(public_callables()) | {"Epoch", "CpuInfo", "cpu_info", "get_num_threads"}  # that nothing is given to
    for home in homes:
        assert not home.startswith("_")
        assert home not in ROOMS
        tree = ast.parse(SOURCES[home])
        made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert {name for name in made if not name.startswith("_")} <= known | set(NOT_CALLED) | exceptions(home), home
    assert len(homes) > 10


def exceptions(module):
    things = vars(importlib.import_module(f"fastgrad.{module}")).items()
    return {name for name, thing in things if inspect.isclass(thing) and issubclass(thing, Exception)}


def test_methods_of_public_classes_are_for_users():
    rules = {name for name in NOT_CALLED if name.endswith(".__call__")}  # called by a network with its own arguments
    assert {name for name, why in NOT_CALLED.items() if why != RESULTS} == rules


def test_internal_rooms_say_so():
    for room in ROOMS:
        assert ast.get_docstring(ast.parse(SOURCES[room])).startswith("Internal: ")
        assert room not in fg.__all__
