"""A long history: built in seconds, on small pages, to the same bytes."""

import time
from pathlib import Path

from reports.loaders import load
from reports.output import build_site
from tests.reports.invented import write_many

LIMIT_SECONDS = 10.0
LIMIT_BYTES = 300_000


def test_fifty_thousand_measurements_take_less_than_ten_seconds(tmp_path: Path) -> None:
    count = write_many(tmp_path / "results", num_commits=100)
    assert count == 50_000

    started = time.process_time()  # other programs of the machine do not count
    loaded = load([tmp_path / "results"], [])
    build_site(loaded, tmp_path / "site")
    seconds = time.process_time() - started

    assert sum(len(run.measurements) for run in loaded.runs) == count
    assert seconds < LIMIT_SECONDS
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= 30
    assert max(page.stat().st_size for page in pages) < LIMIT_BYTES
