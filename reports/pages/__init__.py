"""Pages: one set for each machine and tool, the first one at the top of the site."""

from reports.pages.assembly import render_site

__all__ = ["render_site"]
