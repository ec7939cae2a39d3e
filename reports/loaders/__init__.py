"""Readers of result files. They parse JSON and nothing else: no value of a file is ever run."""

from collections.abc import Iterable
from pathlib import Path

from reports.loaders.asv import load_asv
from reports.loaders.commits import load_commits
from reports.loaders.comparisons import load_comparisons
from reports.loaders.pytest_benchmark import load_pytest_benchmark
from reports.loaders.scaling import load_scaling
from reports.loaders.training import load_trainings
from reports.records import Loaded

__all__ = ["load", "load_asv", "load_commits", "load_pytest_benchmark", "load_trainings"]


def load(results: Iterable[Path], benchmark_files: Iterable[Path]) -> Loaded:
    """Read asv result folders, then pytest-benchmark files, in the order given."""
    loaded = Loaded()
    for folder in results:
        loaded += load_asv(folder)
        loaded += load_trainings(folder)
        loaded += load_scaling(folder)
        loaded += load_comparisons(folder)
    for file in benchmark_files:
        loaded += load_pytest_benchmark(file)
    return loaded
