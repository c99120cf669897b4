"""Builds the C engine and its Cython wrapper; the metadata is in pyproject.toml, the compiler flags in csrc/flags.mk.

One static library per instruction set, because an extension has a single set of flags. Needs GCC or Clang and POSIX
threads, and refuses Windows. Environment: FASTGRAD_DEBUG=1, FASTGRAD_SANITIZE=address,undefined or thread.
"""

import os
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext


def switch(name: str, allowed: set[str]) -> list[str]:
    words = [word for word in os.environ.get(name, "").split(",") if word]
    if not allowed.issuperset(words):
        raise SystemExit(f"{name}: got {','.join(words)!r}, wants {sorted(allowed)}")
    return words


def library(name: str, patterns: list[str], isa_flags: list[str]) -> tuple[str, dict[str, object]]:
    cflags = CFLAGS + FLAGS["FLAGS_warnings"] + isa_flags
    return name, {"sources": files(*patterns), "include_dirs": ["csrc"], "cflags": cflags, "obj_deps": {"": HEADERS}}


def files(*patterns: str) -> list[str]:
    return sorted(str(path) for pattern in patterns for path in Path("csrc").glob(pattern))


class SharedObjects(build_clib):
    """Keeps the objects from install to install (pip's build folder is temporary) but no archive, as `ar` only adds:
    the object of a source since renamed would stay in it and be linked.
    """

    def finalize_options(self) -> None:
        self.build_clib = self.build_temp = OBJECTS
        super().finalize_options()

    def run(self) -> None:
        for archive in Path(OBJECTS).glob("*.a"):
            archive.unlink()
        super().run()


class BuildLibrariesFirst(build_ext):
    """`build_ext` by itself would link the archives of an earlier build."""

    def run(self) -> None:
        self.run_command("build_clib")
        super().run()


if os.name == "nt":
    raise SystemExit("fastgrad needs GCC or Clang and POSIX threads: build it on Linux, macOS or WSL")

DEBUG = switch("FASTGRAD_DEBUG", {"0", "1"}) == ["1"]
SANITIZERS = switch("FASTGRAD_SANITIZE", {"address", "undefined", "thread"})
STABLE_ABI = not sysconfig.get_config_var("Py_GIL_DISABLED")
PLATFORM = sysconfig.get_platform()
COMPILER = Path(os.environ.get("CC", "").split(" ")[-1]).name
BUILD = "-".join(["build/debug" if DEBUG else "build/release", *filter(None, [COMPILER]), *SANITIZERS])
OBJECTS = f"{BUILD}/{PLATFORM}"
HEADERS = files("**/*.h", "**/*.def", "flags.mk")

LINES = (line.partition("=") for line in Path("csrc/flags.mk").read_text().splitlines())
FLAGS = {name.strip(): words.split() for name, equals, words in LINES if equals}
ISAS = FLAGS.get(f"ISAS_{PLATFORM.rsplit('-', 1)[-1]}", ["scalar"])
SANITIZE = [f"-fsanitize={','.join(SANITIZERS)}", "-fno-sanitize-recover=all"] if SANITIZERS else []
CFLAGS = FLAGS["FLAGS_common"] + (FLAGS["FLAGS_checked"] if DEBUG or SANITIZERS else ["-DNDEBUG"]) + SANITIZE
CORE = Extension(
    "fastgrad._core",
    ["src/fastgrad/_core.pyx"],
    include_dirs=["csrc"],
    depends=files("**/*.c") + HEADERS,
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
    py_limited_api=STABLE_ABI,
    extra_compile_args=CFLAGS,
    extra_link_args=["-pthread", *SANITIZE],
)
setup(
    libraries=[
        library("fastgrad_engine", ["*.c", "exponents/*.c", "stages/*.c"], []),
        *(library(f"fastgrad_{isa}", [f"kernels/{isa}_*.c"], FLAGS[f"FLAGS_{isa}"]) for isa in ISAS),
    ],
    ext_modules=[CORE],
    cmdclass={"build_clib": SharedObjects, "build_ext": BuildLibrariesFirst},
    options={"build": {"build_base": BUILD}, "bdist_wheel": {"py_limited_api": "cp311"} if STABLE_ABI else {}},
)
