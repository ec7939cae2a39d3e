"""The site in headless Chromium: what is drawn, what reacts, what is reachable, what never runs."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reports.choose import offers
from reports.drawings.notes import slug
from reports.labels import method_label
from reports.loaders import load_asv
from reports.summaries import summarize
from tests.reports.browser import PHONE, chromium, opened
from tests.reports.conftest import HOSTILE, HOSTILE_PROBLEM
from tests.reports.invented import ALL_PROBLEMS, fields, plausible, write_asv

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; without one the tests of this module are skipped."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine (CHROMIUM names one elsewhere)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


KINDS = (
    "index.html",
    "choose.html",
    "problems.html",
    "problem-kdv-checkpoints.html",
    "paper.html",
    "history.html",
    "history-digits-cnf.html",
    "compare.html",
    "measurements.html",
    "machines.html",
)
"""A page of each kind."""
MORE = ("problem-mlp-steps.html", f"problem-{slug(HOSTILE_PROBLEM)}.html")

_NUM_DRAWN = """[...document.querySelectorAll("figure")].filter((figure) =>
  figure.querySelector(".main-svg .point, .main-svg .points path, .lines path")
  && figure.querySelector(".main-svg").getBoundingClientRect().height > 200).length"""


@dataclass(frozen=True)
class Visit:
    """What was seen on a page that was opened, scrolled through, made narrow, and made dark."""

    errors: list[str]
    requests: list[str]
    num_figures: int
    num_drawn: int
    phone_width: int
    violations: dict[str, list[object]]


@pytest.fixture(scope="module")
def visits(browser: Any, grown_site: Path) -> dict[str, Visit]:
    """A visit to a page of each kind, and to some that are not usual."""
    return {name: _visit(browser, grown_site / name) for name in (*KINDS, *MORE)}


def _visit(browser: Any, file: Path) -> Visit:
    with opened(browser, file) as seen:
        seen.settle()
        num_drawn = seen.page.evaluate(_NUM_DRAWN)
        # A table's rows are alike, and axe looks at every cell for long.
        seen.page.evaluate(
            "document.querySelectorAll('tbody tr:nth-child(n + 9)').forEach((row) => row.remove())"
        )
        violations = {"light": _serious(seen.page)}
        seen.page.emulate_media(color_scheme="dark")
        # Only colours differ.
        violations["dark"] = _serious(seen.page, runOnly=["color-contrast"])
        seen.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        seen.page.wait_for_timeout(400)  # figures follow the width of the window
        width = seen.page.evaluate("document.documentElement.scrollWidth")
        num_figures = seen.page.locator("figure").count()
        return Visit(seen.errors, seen.requests, num_figures, num_drawn, width, violations)


def _serious(page: Any, **options: object) -> list[object]:
    """What axe calls serious or critical; nothing where it is not installed."""
    try:
        from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  # optional
    except ImportError:
        return []
    given: dict[str, object] = {"preload": False, "resultTypes": ["violations"]}
    return [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in Axe().run(page, options=given | options).response["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"][:2]
    ]


def test_pages_open_without_an_error_or_a_request_to_elsewhere(visits: dict[str, Visit]) -> None:
    for name, visit in visits.items():
        assert visit.errors == [], name
        assert all(url.startswith(("file:", "data:")) for url in visit.requests), name


def test_every_figure_draws(visits: dict[str, Visit]) -> None:
    for name, visit in visits.items():
        assert visit.num_drawn == visit.num_figures, name
    assert sum(visit.num_figures for visit in visits.values()) > 30


def test_no_page_is_wider_than_a_phone(visits: dict[str, Visit]) -> None:
    for name, visit in visits.items():
        assert visit.phone_width <= PHONE[0], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visits: dict[str, Visit], scheme: str) -> None:
    pytest.importorskip("axe_playwright_python")
    for name, visit in visits.items():
        assert visit.violations[scheme] == [], name


@pytest.mark.parametrize("name", [KINDS[0], KINDS[1], KINDS[3], KINDS[4]])
def test_without_javascript_there_are_tables_and_pictures(
    browser: Any, grown_site: Path, name: str
) -> None:
    with opened(browser, grown_site / name, scripts=False) as seen:
        assert seen.errors == []
        for picture in seen.page.locator(".plot img").all():
            picture.scroll_into_view_if_needed()
            assert picture.bounding_box()["height"] > 100
        assert seen.page.locator("table tbody tr").first.is_visible()
        assert seen.page.locator("form:visible, .tools:visible").count() == 0


def test_names_are_shown_and_never_run(browser: Any, grown_site: Path) -> None:
    with opened(browser, grown_site / "history.html") as seen:
        assert HOSTILE in seen.page.locator("#commits").evaluate("(e) => e.parentElement.innerText")
    with opened(browser, grown_site / "compare.html") as seen:
        seen.page.wait_for_selector("#comparison table")
        machines = seen.page.locator("select[name=run-a] option").all_inner_texts()
        assert any("<script>alert('machine')" in text for text in machines)
        seen.page.select_option("select[name=run-b]", index=len(machines) - 1)
        seen.page.wait_for_timeout(300)
        methods = seen.page.locator("select[name=method-a] option").all_inner_texts()
        assert HOSTILE in methods
        assert seen.errors == []


def test_a_table_filters_and_sorts_by_mouse_and_by_keys(browser: Any, grown_site: Path) -> None:
    with opened(browser, grown_site / "measurements.html") as seen:
        page = seen.page
        rows = page.locator("tbody tr:visible")
        everything = rows.count()
        page.get_by_label("Filter the rows").fill("dopri8 symadj")
        left = rows.all_inner_texts()
        assert 0 < len(left) < everything
        assert all("dopri8" in text and "symadj" in text for text in left)
        assert page.locator("output").inner_text() == f"{len(left)} of {everything} rows"
        page.get_by_label("Filter the rows").fill("")
        page.get_by_label("Tableau").select_option("heun2")
        assert all("heun2" in text for text in rows.all_inner_texts())
        page.get_by_label("Tableau").select_option("")

        heading = page.get_by_role("button", name="Wall time")
        heading.focus()
        page.keyboard.press("Enter")
        column = page.locator("thead th").evaluate_all(
            "(all) => all.findIndex((th) => th.ariaSort === 'ascending')"
        )
        cells = page.locator(f"tbody td:nth-child({column + 1})")
        values = cells.evaluate_all("(all) => all.map((td) => td.dataset.v ?? null)")
        known = [float(value) for value in values if value is not None]
        assert known == sorted(known)
        assert len(known) > 10
        assert values[len(known) :] == [None] * (len(values) - len(known)), "failed ones last"


def test_the_chooser_finds_the_fastest_exact_method_that_fits(
    browser: Any, grown_site: Path
) -> None:
    with opened(browser, grown_site / "choose.html") as seen:
        page = seen.page
        advice = page.locator("#advice")
        page.get_by_label("Work like yours").select_option("cnf-miniboone")
        first = advice.inner_text()
        assert "the fastest exact method within 2 GiB" in first
        assert "measured" in page.locator("#choices tbody").inner_text()
        page.get_by_label("Steps", exact=True).fill("500000")
        assert advice.inner_text() != first
        assert "symadj.odeint(f, y0, t)" in advice.inner_text()
        assert "carried over" in page.locator("#choices tbody").inner_text()
        page.get_by_label("Unit of the budget").select_option("1048576")
        page.get_by_label("Memory budget").fill("0.001")
        assert "No exact method fits" in advice.inner_text()


def test_the_chooser_carries_over_as_the_report_does(
    browser: Any, grown_site: Path, tmp_path: Path
) -> None:
    write_asv(tmp_path, {"Size": ALL_PROBLEMS["MlpSize"]}, values=plausible)
    (run,) = load_asv(tmp_path).runs
    found = [offer for item in summarize(run).comparisons for offer in offers(item)]
    here = found[0]
    with opened(browser, grown_site / "choose.html") as seen:
        data = json.loads(seen.page.locator("#offers").text_content())
        like = next(
            o
            for o in data["offers"]
            if (o["problem"], o["method"], o["size"])
            == ("mlp-size", here.row.label, here.place.size)
        )
        like = data["looks"][like["method"]] | like
        others = [offer.place for offer in found if offer.row.method == here.row.method]
        assert len(others) == 3
        for place in others:
            bytes_ = seen.page.evaluate(
                "([offer, place]) => carryOver(offer, place).bytes", [like, vars(place)]
            )
            assert bytes_ == pytest.approx(here.peak_bytes(place), rel=1e-4)


def test_two_versions_can_be_picked_and_compared(browser: Any, grown_site: Path) -> None:
    with opened(browser, grown_site / "compare.html") as seen:
        page = seen.page
        page.wait_for_selector("#comparison table")
        page.select_option("select[name=run-a]", index=5)  # the oldest of six
        page.select_option("select[name=method-a]", "symadj")
        page.select_option("select[name=method-b]", "symadj")
        page.wait_for_function(
            "document.querySelector('#comparison tbody').innerText.includes('1.25×')"
        )
        page.select_option("select[name=run-a]", index=0)
        page.select_option("select[name=tableau-a]", "dopri5")
        page.select_option("select[name=tableau-b]", "dopri8")
        page.wait_for_function("document.querySelector('#compared').innerText.startsWith('1 case')")
        assert seen.errors == []


def test_both_renderers_put_the_same_marks_at_the_same_places(
    browser: Any, grown_site: Path
) -> None:
    """Compare screenshots of a picture and of its drawing by where the methods' colours are."""
    name = "problem-cnf-miniboone.html"
    places = []
    for scripts in (False, True):
        with opened(browser, grown_site / name, scripts=scripts) as seen:
            if scripts:
                seen.settle()
            plot = seen.page.locator("figure .plot").first
            plot.scroll_into_view_if_needed()
            seen.page.wait_for_timeout(200)
            places.append(_color_places(plot.screenshot()))
    picture, drawing = places
    assert picture.keys() == drawing.keys()
    assert len(picture) == 6
    # Margins differ: compare the places relative to the outermost ones.
    for axis in (0, 1):
        shares = []
        for found in places:
            spots = [spot[axis] for spot in found.values()]
            low, high = min(spots), max(spots)
            shares.append({c: (spot[axis] - low) / (high - low) for c, spot in found.items()})
        assert shares[0] == pytest.approx(shares[1], abs=0.06)


def _color_places(png: bytes) -> dict[str, tuple[float, float]]:
    """Middle of the pixels that have a method's colour, by colour."""
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png)).convert("RGB")
    colors = {
        method_label(m).style.color: None
        for m in (
            "symadj",
            "symadj-stages",
            "torchdiffeq-backprop",
            "torchdiffeq-adjoint",
            "checkpoint-solve",
            "checkpoint-step",
        )
    }
    spots: dict[str, list[tuple[int, int]]] = {}
    pixels = image.load()
    for x in range(image.width):
        for y in range(image.height):
            name = "#{:02x}{:02x}{:02x}".format(*pixels[x, y])
            if name in colors:
                spots.setdefault(name, []).append((x, y))
    return {
        name: (
            sorted(x for x, _ in found)[len(found) // 2],
            sorted(y for _, y in found)[len(found) // 2],
        )
        for name, found in spots.items()
        if len(found) > 20
    }


def test_a_dark_page_is_dark(browser: Any, grown_site: Path) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        with opened(browser, grown_site / "index.html", scheme=scheme) as seen:
            seen.settle()
            image = pytest.importorskip("PIL.Image").open(io.BytesIO(seen.page.screenshot()))
            grey = image.convert("L").resize((1, 1)).getpixel((0, 0))
            brightness[scheme] = grey
    assert brightness["light"] > 200
    assert brightness["dark"] < 60


def test_an_unknown_method_has_one_look_everywhere(tmp_path: Path) -> None:
    write_asv(tmp_path, {"A": fields("a", methods=("zz-one", "symadj", "aa-two"))})
    (run,) = load_asv(tmp_path).runs
    alone = method_label("zz-one").style
    assert method_label("zz-one", ("zz-one", "aa-two", "symadj")).style == alone
    (comparison,) = summarize(run, ("zz-one", "aa-two", "symadj", "other")).comparisons
    assert comparison.row("zz-one").look.style == alone  # type: ignore[union-attr]


def test_even_markup_that_got_through_would_run_nothing(browser: Any, grown_site: Path) -> None:
    """The pages' own policy: scripts come from the site's files alone."""
    with opened(browser, grown_site / "problems.html") as seen:
        seen.page.evaluate(
            """document.body.insertAdjacentHTML(
                 "beforeend", "<img src='x:y' onerror='window.hit = true'>")"""
        )
        seen.page.wait_for_timeout(200)
        assert seen.page.evaluate("window.hit") is None
        assert any("Content Security Policy" in error for error in seen.errors)
