"""Break the modules of `targets`, one change at a time, and name the changes no test notices.

Run from the repository: ``python -m tests.mutation [--only REGEX] [--every K]``. The exit status is
1 if a survivor is not explained in ``survivors.toml``, or if what is explained there does not
survive any more.
"""

import argparse
import ast
import re
import sys
import time
import tomllib
from pathlib import Path

from tests.mutation.mutants import mutants
from tests.mutation.targets import TARGETS
from tests.mutation.trial import survives

SURVIVORS = Path(__file__).with_name("survivors.toml")


def main() -> int:
    """Run, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="modules to break")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="each K-th mutant only")
    parser.add_argument("--limit", type=float, default=60, help="seconds for one mutant's tests")
    arguments = parser.parse_args()
    explained: dict[str, dict[str, str]] = tomllib.loads(SURVIVORS.read_text("utf-8"))
    is_bad = False
    for module, tests in TARGETS.items():
        if re.search(arguments.only, module):
            is_bad |= _run(module, tests, explained.get(module, {}), arguments)
    return int(is_bad)


def _run(
    module: str, tests: tuple[str, ...], explained: dict[str, str], arguments: argparse.Namespace
) -> bool:
    """Try the mutants of one module; return whether something is wrong."""
    start = time.monotonic()
    path = Path(*module.split(".")).with_suffix(".py").resolve()
    source = path.read_text("utf-8")
    if not survives(module, path, ast.parse(source), tests, arguments.limit):
        print(f"{module}: {' '.join(tests)} fail, or take more than {arguments.limit} s, unchanged")
        return True
    survivors, tried = [], []
    for mutant in list(mutants(source))[:: arguments.every]:
        tried.append(mutant.name)
        if survives(module, path, mutant.tree, tests, arguments.limit):
            survivors.append(mutant.name)
            if mutant.name not in explained:
                print(f"{path.name}:{mutant.line}: survives, unexplained:\n  {mutant.name}")
                sys.stdout.flush()
    killed = [name for name in tried if name in explained and name not in survivors]
    gone = [] if arguments.every > 1 else [name for name in explained if name not in tried]
    for name in (*killed, *gone):
        print(f"{module}: explained in {SURVIVORS.name}, but does not survive:\n  {name}")
    seconds = time.monotonic() - start
    print(f"{module}: {len(tried)} tried, {len(survivors)} survive, {seconds:.0f} s", flush=True)
    return bool(killed or gone or set(survivors) - set(explained))


if __name__ == "__main__":
    sys.exit(main())
