"""Counts the instructions of a whole training step, beside those that the repository keeps.

    python bench/instructions.py [--update REASON] PROGRAM

PROGRAM is `steps.c`, built. valgrind counts what one thread executes of a step: a figure that neither the neighbours on
a machine nor its clock disturb. valgrind knows no AVX-512, so AVX2 it is. Counts belong to a compiler's and a C
library's version. Of those that the file knows, more than 3 % above a kept count is a failure until `--update` keeps
the new ones and the reason for them; other versions have nothing to be compared with: they are printed and pass. It
says nothing of time, which caches and dependences between instructions decide as well.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KEPT = Path(__file__).parent / "results" / "instructions.json"
TOLERANCE = 0.03
SHAPES = ("64x2x32", "64x10x256", "128x20x128", "256x10x256")  # width, layers, batch
CASES = (*(f"sgd {shape}" for shape in SHAPES), *(f"adam {shape}" for shape in SHAPES[:-1]))
VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=fg_plan_step")
STEPS = "1"


def count(program: str, case: str) -> tuple[str, int]:
    """Return what the program says that it is built with and runs on, and the instructions of a step."""
    optimizer, shape = case.split()
    command = [*VALGRIND, program, "-i", "avx2", "-o", optimizer, *shape.split("x"), STEPS]
    environment = os.environ | {"LD_BIND_NOW": "1"}  # or the first call of each function would count the linker's work
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit("instructions.py needs valgrind")
    collected = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or not collected:
        sys.exit(f"{' '.join(command)}: exit status {ran.returncode}\n{ran.stderr}")
    return ran.stdout.splitlines()[0], int(collected[1])


def count_all(program: str) -> tuple[str, dict[str, int]]:
    """Return the versions, and the instructions of every case."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda case: count(program, case), CASES))
    return found[0][0], {case: instructions for case, (_, instructions) in zip(CASES, found, strict=True)}


def judge(kept: dict[str, int] | None, counted: dict[str, int]) -> tuple[list[str], bool]:
    """Return a line for each case, and whether one takes more instructions than the kept ones allow.

    Parameters
    ----------
    kept : dict or None
        Instructions by case under the same versions; None where the file does not know them.
    counted : dict
        Those of now.
    """
    if kept is None:
        return [f"{case:<18} {now:>14,}" for case, now in counted.items()], False
    lines, failed = [], False
    for case, now in counted.items():
        if case not in kept:
            lines.append(f"{case:<18} {now:>14,}  not kept yet: update the file")
            continue
        more, fewer = now > kept[case] * (1.0 + TOLERANCE), now < kept[case] * (1.0 - TOLERANCE)
        failed |= more
        remark = "  TOO MANY" if more else "  fewer: update the file, lest they come back" if fewer else ""
        lines.append(f"{case:<18} {now:>14,} {kept[case]:>14,} {now / kept[case] - 1.0:+8.2%}{remark}")
    return lines, failed


def load(path: Path) -> dict[str, dict]:
    """Return what the file keeps by versions: the `steps` and the `reason` for them; exit where it makes no sense."""
    try:
        kept = json.loads(path.read_text()) if path.exists() else {}
        for versions, entry in kept.items():
            if not (entry["reason"].strip() and all(steps > 0 for steps in entry["steps"].values())):
                raise ValueError(f"{versions}: wants a reason, and numbers above 0")
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        sys.exit(f"{path}: {error!r}")
    return kept


def reason(text: str) -> str:
    """Return the reason for an update, which must say something."""
    if not text.strip():
        raise argparse.ArgumentTypeError("wants the reason why a step takes other numbers of instructions now")
    return text.strip()


def main(arguments: list[str] | None = None) -> int:
    """Count, compare, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="PROGRAM", help="bench/steps.c, built")
    parser.add_argument("--update", type=reason, metavar="REASON", help="keep these counts, for this reason")
    options = parser.parse_args(arguments)
    kept = load(KEPT)
    versions, counted = count_all(options.program)
    known = kept.get(versions)
    lines, failed = judge(known and known["steps"], counted)
    print(f"{versions}: instructions of a step{', and those kept' if known else '; none are kept for these versions'}")
    print("\n".join(lines))
    if options.update:
        kept[versions] = {"reason": options.update, "steps": counted}
        KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        print(f"kept in {KEPT}")
        return 0
    if failed:
        print(f'More than {TOLERANCE:.0%} above the kept counts. Is it worth it? make bench-instructions UPDATE="why"')
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
