"""What README.md, CONTRIBUTING.md and docs/architecture name is there: files, and whatever code is called.

A file may be named from the root, from csrc/ or from src/fastgrad/; `<isa>` stands for every instruction set that has
kernels, any other `<word>` and `*` for at least one file. What is said of a file is not judged.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, ENGINE = ROOT / "src" / "fastgrad", ROOT / "csrc"
FOLDERS = (ROOT, ENGINE, PACKAGE)
LANES = ((384, PACKAGE), (668, ENGINE), (920, ENGINE / "kernels"))  # of the picture, each up to this x
ISAS = sorted(path.name.removesuffix("_f32.c") for path in (ENGINE / "kernels").glob("*_f32.c"))
FILE = re.compile(r"[\w./<>*-]+\.(?:c|h|py|pyx|pxd|pxi|pyi|def|mk|md|json|svg|png|toml)\b(?!\.\w)")
FOLDER = re.compile(r"(?<![\w./-])(?:\.ci|bench|csrc|docs|examples|src|tests)/[\w./-]*")


def named(text):
    """Return the files and folders that a text names, but those that a build makes."""
    found = {name.rstrip("./") for pattern in (FILE, FOLDER) for name in pattern.findall(text)}
    whole = {name for name in found if not any(name != other and other.startswith(name) for other in found)}
    return sorted(name for name in whole if not name.startswith((".venv/", "build/")))


def is_there(name, folders=FOLDERS):
    """Whether one of the folders has what is named."""
    patterns = [re.sub(r"<\w+>", "*", name.replace("<isa>", isa)) for isa in ISAS]
    return any(all(any(folder.glob(pattern)) for pattern in patterns) for folder in folders)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_a_document_names_exist(document):
    path = ROOT / document
    names = named(path.read_text())
    assert len(names) >= 10
    assert [name for name in names if not is_there(name, (path.parent, *FOLDERS))] == []


def test_files_in_the_picture_are_where_it_puts_them():
    seen = 0
    for text in ElementTree.parse(ROOT / "docs" / "architecture.svg").iter("{http://www.w3.org/2000/svg}text"):
        lane = next(folder for end, folder in LANES if float(text.attrib["x"]) < end)
        in_lane = text.attrib.get("class") == "file" and not text.text.endswith("/")
        for name in named(text.text):
            assert is_there(name, (lane,) if in_lane else FOLDERS), name
            seen += 1
    assert seen >= 30


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("`csrc/kernels/<isa>_f32.c`, like its neighbours.", ["csrc/kernels/<isa>_f32.c"]),
        ("run `.venv/bin/pytest tests/test_ops.py`", ["tests/test_ops.py"]),
        ("in `csrc/stages/`.", ["csrc/stages"]),
        ("`kernels/*.inc.h` and stage.h", ["kernels/*.inc.h", "stage.h"]),
        ("`Trainer.step`, `torch.optim`, and/or 1/2", []),
    ],
)
def test_names_are_found(text, names):
    assert named(text) == names
    assert all(is_there(name) for name in names)


@pytest.mark.parametrize("name", ["csrc/alignment.c", "linear.c", "kernels/map.inc.h", "<isa>_f32.c", "csrc/nothing"])
def test_what_is_not_there_is_missed(name):
    assert named(f"`{name}`") == [name]
    assert not is_there(name)


def test_code_that_the_architecture_names_exists():
    """Whatever stands in backticks and is neither a file nor a command is a name in the sources."""
    sources = [path for folder in (ENGINE, PACKAGE) for path in folder.rglob("*") if path.suffix in {".c", ".h", ".py"}]
    code = "\n".join(path.read_text() for path in sources)
    quoted = re.findall(r"`([\w.<>]+)`", (ROOT / "docs" / "architecture.md").read_text())
    names = {name for name in quoted if not named(name)}
    assert len(names) >= 10
    for part in {part for name in names for part in name.split(".")}:
        assert re.search(r"\b" + re.sub(r"<\w+>", lambda _: r"\w+", part) + r"\b", code), part
