"""The site is whole: the build fails if a page, or a style, loads anything from elsewhere."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

LOADING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""Attributes by which a page loads something. Those of ``a`` are the reader's to follow."""

FAR = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", flags=re.IGNORECASE)
FAR_IN_STYLE = re.compile(
    r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""", flags=re.IGNORECASE
)


class _Loads(HTMLParser):
    """Collects what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_style = tag == "style"
        if tag == "link" and given.get("rel") == "canonical":
            return  # a name, not loaded
        for name in LOADING.get(tag, ()):
            if FAR.match(given.get(name) or ""):
                self.found.append(f"<{tag} {name}={given[name]!r}>")
        self.found += FAR_IN_STYLE.findall(given.get("style") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += FAR_IN_STYLE.findall(data)


def loads_from_elsewhere(folder: Path) -> Iterator[str]:
    """Yield, for each file of a site, what it loads from another host."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".html":
            parser = _Loads()
            parser.feed(path.read_text(encoding="utf-8"))
            found = parser.found
        elif path.suffix in (".css", ".svg"):
            found = FAR_IN_STYLE.findall(path.read_text(encoding="utf-8"))
        else:
            continue
        yield from (f"{path.relative_to(folder).as_posix()}: {what}" for what in found)


def on_post_build(config: Any, **_: Any) -> None:
    """Look through the site that was built.

    Raises
    ------
    PluginError
        If something would be loaded from elsewhere.
    """
    found = list(loads_from_elsewhere(Path(config.site_dir)))
    if found:
        raise PluginError("The site must need no network, and loads\n  " + "\n  ".join(found))
