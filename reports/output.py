"""Writing a site to disk."""

from pathlib import Path

from plotly.offline import get_plotlyjs

from reports.pages import render_site
from reports.pages.site import raw_names
from reports.records import Loaded

_STATIC = Path(__file__).parent / "static"
_MANIFEST = "files.txt"


def build_site(loaded: Loaded, output: Path) -> list[str]:
    """Write the site.

    The same input gives the same bytes. Files that an earlier build left and this one does not
    write are deleted; files that no build wrote are left alone.

    Parameters
    ----------
    loaded : Loaded
        Runs, at least one of them with measurements, and warnings to show.
    output : Path
        Folder of the site.

    Returns
    -------
    list of str
        Files written, relative to `output`, in order.
    """
    files = {
        "plotly.min.js": get_plotlyjs(),
        **{
            file.name: file.read_text(encoding="utf-8")
            for file in sorted(_STATIC.iterdir())
            if file.suffix in {".css", ".js"}
        },
    }
    files |= render_site(loaded)
    for name, copy in raw_names(loaded).items():
        # As it was read: bytes that are no UTF-8 would have been a warning, and no run.
        files[copy] = Path(name).read_text(encoding="utf-8")
    files[_MANIFEST] = "".join(f"{name}\n" for name in sorted(files))
    _clean(output, keep=set(files))
    for name, text in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return sorted(files)


def _clean(output: Path, keep: set[str]) -> None:
    manifest = output / _MANIFEST
    if not manifest.is_file():
        return
    for name in manifest.read_text(encoding="utf-8").splitlines():
        path = output / name
        is_within = path.resolve().is_relative_to(output.resolve())
        if name not in keep and is_within and path.is_file():
            path.unlink()
