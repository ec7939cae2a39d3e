"""The command ``python -m benchmarks merge``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from . import command
from .collecting import CollectingError, collect
from .journal import JournalBusyError, locked, read_outcomes
from .sharing import merge, read_conditions, shards


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "merge",
        help="put together what several jobs or machines have measured",
        description="Copy what other journals hold into this one, then let asv collect.",
    )
    parser.add_argument(
        "journals", nargs="*", type=Path, help="journals to merge (those of the shards in this one)"
    )
    parser.set_defaults(command=main)


def main(given: argparse.Namespace, say: Callable[[str], None] = print) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 2 if the request cannot be met.
    """
    journal = command.JOURNAL
    try:
        sources = given.journals or shards(journal)
        with locked(journal):
            for folder, count in merge(sources, journal).items():
                outcomes = read_outcomes(folder)
                file = collect(command.ROOT, read_conditions(folder), outcomes)
                say(
                    f"{count} groups new, {len(outcomes)} cases in all in {folder.name}; asv has "
                    f"the results: {os.path.relpath(file, command.ROOT)}"
                )
    except (JournalBusyError, CollectingError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return command.MISUSED
    return 0
