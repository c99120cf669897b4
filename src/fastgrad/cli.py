"""The command line: `fastgrad demo` and `fastgrad info`. It reads arguments and prints; the work is done elsewhere."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import fastgrad
from fastgrad import _core, config, demo

_PEAK_SECONDS = 0.2
_TOO_LARGE = 2**63


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process when None.

    Returns
    -------
    int
        Exit status: 0, or 130 when interrupted.

    Raises
    ------
    SystemExit
        After ``--help`` and ``--version``, on bad arguments (status 2), or when a package is missing (status 1).
    """
    parser, commands = _parsers()
    options = parser.parse_args(arguments)
    try:
        if options.command == "info":
            print(_info())
        else:
            _demo(commands["demo"], options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    return 0


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(prog="fastgrad", description=fastgrad.__doc__)
    parser.add_argument("--version", action="version", version=f"fastgrad {fastgrad.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="tell the processor, the kernels in use, and its multiply-add peak")
    show = commands.add_parser("demo", help="train two networks of 30 layers and watch their gradients")
    show.add_argument("--epochs", type=_number(1), default=demo.EPOCHS, help="of each network (default: %(default)s)")
    show.add_argument("--seed", type=_number(0), default=0, help="of weights and batches (default: %(default)s)")
    show.add_argument(
        "--output", type=Path, default=Path("fastgrad-demo.png"), help="picture to write (default: %(default)s)"
    )
    return parser, {"info": info, "demo": show}


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < _TOO_LARGE:
            raise argparse.ArgumentTypeError(f"got {text!r}, wants a whole number >= {least} and < {_TOO_LARGE}")
        return int(text)

    return number


def _demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    missing = demo.missing_packages()
    if missing:
        parser.exit(1, f"fastgrad demo needs {' and '.join(missing)}: pip install 'fastgrad[demo]'\n")
    if options.output.suffix.lower() != ".png":
        parser.error(f"argument --output: got {str(options.output)!r}, wants a path ending in .png")
    if not options.output.parent.is_dir():
        parser.error(f"argument --output: got {str(options.output)!r}, but {options.output.parent} is not a folder")
    demo.run(options.output, options.epochs, options.seed, sys.stdout)


def _info() -> str:
    cpu = config.cpu_info()
    lines = [
        f"fastgrad {fastgrad.__version__}",
        f"processor         {cpu['brand']}",
        f"instruction sets  {', '.join(cpu['isas'])} (in use: {cpu['isa']})",
        f"threads           {cpu['threads']} (by default: {cpu['default_threads']})",
    ]
    for dtype in ("float32", "float64"):
        peak = _core.fma_peak(cpu["isa"], dtype, _PEAK_SECONDS) / 1e9
        lines.append(f"{dtype} peak      {peak:.1f} GFLOP/s in one thread, measured with multiply-adds alone")
    return "\n".join(lines)
