"""Benchmarks of gradient methods for neural ODEs: the same cases under asv and pytest-benchmark.

    problems -> methods -> cases -> sizes -> references, meters -> measure -> suites, pytest_suite

asv imports every module of this package; only the classes under ``suites`` are benchmarks.
"""
