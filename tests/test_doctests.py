"""Every example in a docstring does what it says, and whatever is public has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import fastgrad as fg

LEAST_EXAMPLES = 101  # so many there are: one that is no longer found is missed
MODULES = sorted(
    {"fastgrad"} | {f"fastgrad.{m.name}" for m in pkgutil.iter_modules(fg.__path__) if not m.name.startswith("_")}
)
TESTS = [
    test
    for module in MODULES
    for test in doctest.DocTestFinder().find(importlib.import_module(module), module, globs={})
    if test.examples
]
WITH_EXAMPLES = {test.name for test in TESTS}


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_an_example_does_what_it_says(test):
    if test.name == "fastgrad.plot.gradient_flow":
        pytest.importorskip("matplotlib")
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


def test_no_example_is_lost():
    found = sum(len(test.examples) for test in TESTS)
    print(f"{found} examples in {len(TESTS)} docstrings")
    assert found >= LEAST_EXAMPLES


@pytest.mark.parametrize("name", fg.__all__)
def test_what_is_public_has_an_example(name):
    public = getattr(fg, name)
    if inspect.ismodule(public):
        assert any(found.startswith(f"{public.__name__}.") for found in WITH_EXAMPLES)
    elif not (inspect.isclass(public) and issubclass(public, Warning)):
        assert f"{public.__module__}.{public.__qualname__}" in WITH_EXAMPLES


def test_an_example_that_is_wrong_is_told():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    with pytest.raises(AssertionError, match=r"Expected:\n\s+3\n\s+Got:\n\s+2"):
        test_an_example_does_what_it_says(wrong)
