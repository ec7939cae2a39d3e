"""Command line: ``python -m benchmarks.compare run | show | recorded | merge``.

Exit status: 0, nothing is worse; 1, something is, or does not run any more; 2, it could not be
measured.
"""

from __future__ import annotations

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
