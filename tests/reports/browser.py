"""A page in the system's Chromium, and what goes wrong in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WIDE, PHONE = (1400, 900), (390, 800)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """Path of the system's Chromium, or of the one that the variable CHROMIUM names."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@dataclass
class Opened:
    """An open page, and every error and request of it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Scroll through the page, so that every figure is drawn, and wait until they are."""
        self.page.evaluate(
            """async () => {
              const step = 900;
              for (let y = 0; y < document.documentElement.scrollHeight; y += step) {
                window.scrollTo(0, y);
                await new Promise((next) => setTimeout(next, 30));
              }
              window.scrollTo(0, 0);
            }"""
        )
        self.page.wait_for_function("document.querySelectorAll('.plot > img').length === 0")


@contextmanager
def opened(
    browser: Any,
    file: Path,
    *,
    size: tuple[int, int] = WIDE,
    scheme: str = "light",
    scripts: bool = True,
) -> Iterator[Opened]:
    """Open a page from disk."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    try:
        seen = Opened(context.new_page())
        seen.page.on(
            "console", lambda told: seen.errors.append(told.text) if told.type == "error" else None
        )
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("dialog", lambda dialog: seen.errors.append(f"dialog: {dialog.message}"))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(file.as_uri())
        yield seen
    finally:
        context.close()
