"""Command line of the benchmarks: ``python -m benchmarks run | train | compare | ...``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import export
from .compare.commands import add_parsers
from .runner import command as run
from .runner import merging as merge
from .training import command as train


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (run, merge, train, export):
        command.add_parser(commands)
    add_parsers(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    given = make_parser().parse_args(arguments)
    status: int = given.command(given)
    return status


if __name__ == "__main__":
    sys.exit(main())
