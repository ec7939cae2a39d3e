"""The site over HTTP, for this machine alone, built again when what it is made of has changed."""

from collections.abc import Callable, Iterable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

LOOPBACK = "127.0.0.1"
_CODE = Path(__file__).parent
_NAMES = {LOOPBACK, "localhost"}

Stamp = frozenset[tuple[str, int, int]]


def stamp(places: Iterable[Path]) -> Stamp:
    """Names, times and sizes of every JSON file in some folders, and of the report's templates."""
    files: list[Path] = []
    for place in places:
        files += place.rglob("*.json") if place.is_dir() else [place]
    files += [f for f in _CODE.rglob("*") if f.suffix in {".html", ".css", ".js"}]
    found = set()
    for file in files:
        try:
            known = file.stat()
        except OSError:
            continue  # gone since it was listed
        found.add((file.as_posix(), known.st_mtime_ns, known.st_size))
    return frozenset(found)


class Builder:
    """Builds the site when its sources have changed since the last time.

    Parameters
    ----------
    build : callable
        Builds it; what it raises is told, and the last site stays.
    places : iterable of Path
        Folders and files that it is built from.
    """

    def __init__(self, build: Callable[[], object], places: Iterable[Path]) -> None:
        self._build, self._places = build, tuple(places)
        self._stamp: Stamp | None = None
        self._lock = Lock()

    def refresh(self) -> None:
        """Build, if anything has changed."""
        with self._lock:
            now = stamp(self._places)
            if now != self._stamp:
                self._build()
                self._stamp = now


class _Handler(SimpleHTTPRequestHandler):
    """Serves the site; a page is built again first, if what it is made of has changed."""

    def __init__(self, *arguments: Any, builder: Builder, **options: Any) -> None:
        self._builder = builder
        super().__init__(*arguments, **options)

    def send_head(self) -> Any:
        # A page of another site must not read this one by giving its own name to our address.
        if self.headers.get("Host", "").partition(":")[0] not in _NAMES:
            self.send_error(403, "Only for this machine")
            return None
        if self.path.split("?")[0].endswith(("/", ".html")):
            try:
                self._builder.refresh()
            except Exception as error:  # whatever it is, the server stays
                self.send_error(500, "The report could not be built", str(error))
                return None
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of each request."""


def make_server(site: Path, builder: Builder, port: int) -> ThreadingHTTPServer:
    """Make a server of a site on the loopback interface.

    Parameters
    ----------
    site : Path
        Folder of the site.
    builder : Builder
        Asked before each page.
    port : int
        0 takes a free one.
    """
    handler = partial(_Handler, builder=builder, directory=str(site))
    return ThreadingHTTPServer((LOOPBACK, port), handler)
