"""Benchmarks of gradient methods for neural ODEs: the same cases under asv and pytest-benchmark.

    problems -> methods -> cases -> sizes -> references, meters -> measure -> suites, pytest_suite

asv imports every module of this package; only the classes under ``suites`` are benchmarks.
"""

import sys
from pathlib import Path

# In asv's environments this package is all that there is of the checkout, and comparisons read what
# `reports` knows. Last, so that the version under test is the environment's and not the checkout's.
_CHECKOUT = str(Path(__file__).resolve().parents[1])
if _CHECKOUT not in sys.path:
    sys.path.append(_CHECKOUT)
