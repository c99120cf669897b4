"""The command line: `fastgrad demo` and `fastgrad info`. It reads arguments and prints; the work is done elsewhere."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import fastgrad
from fastgrad import _checks, _core, config, demo

_PEAK_SECONDS = 0.2
_TOO_LARGE = 2**63
_LONGEST_NUMBER = 19  # digits
_INTERRUPTED, _BROKEN_PIPE = 130, 141  # what a shell tells of a process that died of SIGINT, and of SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process when None.

    Returns
    -------
    int
        Exit status: 0; 130 when interrupted; 141 when the reader of its output has gone; 1 when that cannot be written.

    Raises
    ------
    SystemExit
        After ``--help`` and ``--version``, on bad arguments (status 2), or when a package is missing (status 1).
    """
    try:
        try:
            _run(arguments)
        finally:
            _flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return _BROKEN_PIPE
    except OSError as error:
        _give_up_output()
        print(f"fastgrad: {error}", file=sys.stderr)
        return 1
    return 0


def _run(arguments: Sequence[str] | None) -> None:
    parser, commands = _parsers()
    options = parser.parse_args(arguments)
    if options.command == "info":
        print(_info())
    else:
        _demo(commands["demo"], options)


def _flush() -> None:
    if sys.stdout is not None:  # as it is where the process was started without one
        sys.stdout.flush()


def _give_up_output() -> None:
    """Let what still waits for standard output go nowhere: the interpreter would try once more to write it."""
    if sys.stdout is not None:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)


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
        value = int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else -1
        if not least <= value < _TOO_LARGE:
            got = _checks.shown(text)
            raise argparse.ArgumentTypeError(f"got {got}, wants a whole number >= {least} and < {_TOO_LARGE}")
        return value

    return number


def _demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    missing = demo.missing_packages()
    if missing:
        parser.exit(1, f"fastgrad demo needs {' and '.join(missing)}: pip install 'fastgrad[demo]'\n")
    try:
        output = demo.checked_output(options.output)
    except OSError as error:
        parser.error(f"argument --{error.strerror}")
    except ValueError as error:
        parser.error(f"argument --{error}")
    with open(os.devnull, "w") if sys.stdout is None else nullcontext(sys.stdout) as out:
        demo.run(output, options.epochs, options.seed, out)


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
